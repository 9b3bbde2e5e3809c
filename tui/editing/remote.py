"""Saving where only the Engine reaches the file: its archive API, checked before and after.

It is the second best way: the Engine removes the old file before it writes the new one, so that what was there is kept
on this host first; ACLs, other names of the file (hard links) and attributes that the Engine leaves out are lost.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tui.core.archive import REMOTE_LIMIT, FileFacts, RemoteFile
from tui.core.errors import ChangedMeanwhile, EditRefused, NotFound
from tui.core.model import Details, EntryKind
from tui.core.record_ids import ContainerId
from tui.core.text import printable
from tui.editing.backups import Act, ActKind, Keeper
from tui.editing.document import Document
from tui.editing.nodes import Node
from tui.editing.session import Opened, Plan, refuse_state, refuse_unseen
from tui.editing.stamp import Stamp
from tui.editing.state import container_lock
from tui.editing.writing import Receipt
from tui.layers.covers import Covers
from tui.layers.paths import clean, split

LOST = "written by the Engine: ACLs and hard links are not kept, and it is not done in one step"


class Archive(Protocol):
    """The Engine's way to one container's files."""

    def facts(self, path: bytes) -> FileFacts:
        """Say what a path means; raises NotFound."""
        ...

    def get(self, path: bytes, limit: int) -> RemoteFile:
        """Read a regular file; raises NotFound, EditRefused, LayerError."""
        ...

    def put(self, directory: bytes, tar: bytes) -> None:
        """Unpack a tar in a directory, never a file over a directory; raises EditRefused."""
        ...


def open_by_engine(archive: Archive, path: bytes, limit: int) -> Opened:
    """Read a file for the editor; raises NotFound, EditRefused."""
    found = archive.get(clean(path), limit)
    return Opened(path, Document.parse(found.data), _stamp_of(found))


def plan_by_engine(details: Details, archive: Archive, path: bytes) -> Plan:
    """Say what a save would do now, and what it cannot keep."""
    refuse_state(details)
    if not details.container.state.alive:
        refuse_unseen(Covers.of(details.mounts), clean(path))
    facts = archive.facts(clean(path))
    warnings = [] if facts.path == clean(path) else [f"{printable(path)} is a link: {printable(facts.path)} is written"]
    return Plan(False, "sent to the Engine, which replaces the file; owner and mode kept", (*warnings, LOST))


def _stamp_of(file: RemoteFile) -> Stamp:
    digest = hashlib.sha256(file.data).hexdigest()
    return Stamp(len(file.data), file.mtime * 10**9, file.mode, file.uid, file.gid, digest)


def save_by_engine(
    container_id: ContainerId,
    path: bytes,
    data: bytes,
    stamp: Stamp | None,
    *,
    inspect: Callable[[str], Details],
    archive: Archive,
    create: bool = False,
    mode: int | None = None,
    mtime_ns: int | None = None,
    kind: ActKind | None = None,
    wrote: str = "",
    only_new: bool = False,
) -> Receipt:
    """Replace a file's bytes through the Engine, keep what its tar header tells, and read it back.

    Raises NotFound, EditRefused, ChangedMeanwhile; the receipt says what this way cannot keep.
    """
    if len(data) > REMOTE_LIMIT:
        raise EditRefused("that is too large to send through the Engine", "nothing was changed; docker cp does it")
    with container_lock(container_id):
        details = inspect(container_id)
        refuse_state(details)
        wanted = clean(path)
        if not details.container.state.alive:
            refuse_unseen(Covers.of(details.mounts), wanted)
        above = split(wanted)[0]
        if create and archive.facts(above).kind != "directory":
            raise EditRefused(f"{printable(above)} is no directory", "make it first")
        try:
            old = archive.get(wanted, REMOTE_LIMIT)
        except NotFound:
            if not create:
                raise
            return _create(archive, wanted, data, 0o644 if mode is None else mode)
        if stamp is not None and _stamp_of(old) != stamp:
            raise ChangedMeanwhile(
                f"{printable(old.path)} was changed meanwhile", "look at the difference, then decide"
            )
        if only_new:
            raise EditRefused(f"{printable(old.path)} exists already", "edit it, or choose another name")
        if wrote and _stamp_of(old).sha256 != wrote:
            raise ChangedMeanwhile(f"{printable(old.path)} was changed since", "dtui undo --force puts them back")
        act = _keep(details, old, data, kind or ActKind.WRITE, mode)
        kept = act.data
        mtime = int(time.time()) if mtime_ns is None else mtime_ns // 10**9
        new = RemoteFile(old.path, data, old.mode if mode is None else mode, old.uid, old.gid, mtime, old.attributes)
        if archive.get(old.path, REMOTE_LIMIT) != old:
            raise ChangedMeanwhile(f"{printable(old.path)} was changed meanwhile", "read it again")
        _put(archive, new, kept)
        act.mark("done")
        return Receipt(old.path, False, False, len(data), kept, (LOST,))


def _create(archive: Archive, path: bytes, data: bytes, mode: int) -> Receipt:
    above, name = split(path)
    real = archive.facts(above).path.rstrip(b"/") + b"/" + name
    _put(archive, RemoteFile(real, data, mode, 0, 0, int(time.time())), None)
    return Receipt(real, False, True, len(data), None, (LOST,))


def _keep(details: Details, old: RemoteFile, new: bytes, kind: ActKind, mode: int | None) -> Act:
    fd = os.memfd_create("dtui-backup", os.MFD_CLOEXEC)
    wrote = hashlib.sha256(new).hexdigest()
    keeper = Keeper(details.container.id, details.container.name, kind, old.path, wrote=wrote)
    try:
        view = memoryview(old.data)
        while view:
            view = view[os.write(fd, view) :]
        size, mtime = len(old.data), old.mtime * 10**9
        node = Node(old.path, EntryKind.FILE, old.mode, old.uid, old.gid, mtime, size=size)
        keeper.add(node, fd)
        act = keeper.commit()
        if mode is not None:
            act.expect(replace(node, mode=mode))
        return act
    finally:
        keeper.discard()
        os.close(fd)


def _put(archive: Archive, new: RemoteFile, kept: Path | None) -> None:
    directory, name = split(new.path)
    archive.put(directory, _tar_of(new, name))
    now = archive.get(new.path, REMOTE_LIMIT)
    if (now.data, now.mode, now.uid, now.gid) != (new.data, new.mode, new.uid, new.gid):
        where = f"the old bytes are in {kept}" if kept else "read it again"
        raise ChangedMeanwhile(f"{printable(new.path)} is not what was written", where)


def _tar_of(file: RemoteFile, name: bytes) -> bytes:
    """Return a tar of one member, the bare name: the Engine must not go anywhere with it."""
    member = tarfile.TarInfo(os.fsdecode(name))
    member.size, member.mode, member.mtime = len(file.data), file.mode, file.mtime
    member.uid, member.gid, member.pax_headers = file.uid, file.gid, dict(file.attributes)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(member, io.BytesIO(file.data))
    return buffer.getvalue()
