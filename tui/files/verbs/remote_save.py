"""Save through the engine's archive API, where nothing else reaches the file; checked before and after.

The engine removes the old file before it writes the new one, so the old one is backed up on this host first. ACLs, hard
links and attributes that the engine omits are lost.
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

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, EngineLost, NotFound
from tui.core.ids import ContainerId
from tui.core.records import Details, EntryKind
from tui.core.remote_files import REMOTE_LIMIT, FileFacts, RemoteFile
from tui.core.state import container_lock
from tui.core.text import printable
from tui.files.document import Document
from tui.files.history.backups import BackupMode, BackupWriter, UndoKind, UndoRecord
from tui.files.tree.snapshots import CAPABILITY, EntrySnapshot, in_order
from tui.files.verbs.opening import OpenedFile, SavePlan, refuse_state, refuse_unseen
from tui.files.write.below_root import SaveResult
from tui.files.write.options import USUAL, SaveOptions
from tui.files.write.unchanged import changed_meanwhile, require_version
from tui.files.write.version import FileVersion
from tui.layers.mount_covers import Covers
from tui.linux.rooted_paths import normalized, split
from tui.linux.sparse import Content

_XATTR = "SCHILY.xattr."
LOST = "written by the Engine: ACLs and hard links are not kept, and it is not done in one step"


class Archive(Protocol):
    """The archive API for one container's files."""

    def facts(self, path: bytes) -> FileFacts:
        """Return what a path refers to; raises NotFound."""
        ...

    def get(self, path: bytes, limit: int) -> RemoteFile:
        """Read a regular file; raises NotFound, EditRefused, LayerError."""
        ...

    def resolve(self, path: bytes) -> bytes:
        """Return the canonical path, whether or not it exists; raises NotFound for a directory."""
        ...

    def owner_of(self, directory: bytes) -> tuple[int, int]:
        """Return user and group of a directory; raises NotFound, LayerError."""
        ...

    def remove(self, path: bytes) -> None:
        """Delete a file of a running container; raises EditRefused."""
        ...

    def put(self, directory: bytes, tar: bytes) -> None:
        """Unpack a tar in a directory, never a file over a directory; raises EditRefused."""
        ...


def open_by_engine(archive: Archive, path: bytes, limit: int) -> OpenedFile:
    """Read a file for the editor; raises NotFound, EditRefused."""
    file = archive.get(normalized(path), limit)
    return OpenedFile(path, Document.parse(file.data), _stamp_of(file))


def plan_by_engine(details: Details, archive: Archive, path: bytes) -> SavePlan:
    """Describe what a save would do now, and what it cannot keep."""
    refuse_state(details)
    if not details.container.state.alive:
        refuse_unseen(Covers.of(details.mounts), normalized(path))
    facts = archive.facts(normalized(path))
    warnings = (
        [] if facts.path == normalized(path) else [f"{printable(path)} is a link: {printable(facts.path)} is written"]
    )
    return SavePlan(False, "sent to the Engine, which replaces the file; owner and mode kept", (*warnings, LOST))


def _stamp_of(file: RemoteFile) -> FileVersion:
    return FileVersion(len(file.data), file.mtime_ns, file.mode, file.uid, file.gid, sha256_of(file.data))


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def save_by_engine(
    container_id: ContainerId,
    path: bytes,
    data: Content,
    stamp: FileVersion | None,
    options: SaveOptions = USUAL,
    *,
    inspect: Callable[[str], Details],
    archive: Archive,
) -> SaveResult:
    """Replace a file through the engine with the old one's owner, mode and capability, then read it back.

    Raises NotFound, EditRefused, ChangedMeanwhile; the result's notes say what is lost.
    """
    if options.in_place:
        message = f"{printable(path)} cannot be overwritten in place through the Engine: it always makes a new file"
        raise EditRefused(message, "leave that out, or do it on the Engine's host, by its socket")
    if len(data) > REMOTE_LIMIT:
        raise EditRefused("that is too large to send through the Engine", "nothing was changed; docker cp does it")
    data = bytes(data)  # it may be mapped from a file
    with container_lock(container_id):
        details = inspect(container_id)
        refuse_state(details)
        canonical_path = archive.resolve(normalized(path))
        _refuse_unspeakable(canonical_path)
        if not details.container.state.alive:
            refuse_unseen(Covers.of(details.mounts), canonical_path)
        try:
            old = archive.get(canonical_path, REMOTE_LIMIT)
        except NotFound:
            if not options.create:
                raise
            old = None
        if old is not None:
            require_version(canonical_path, _stamp_of(old), stamp, options)
        new = _new(archive, canonical_path, old, data, options)
        act = None
        keep = options.keep is not BackupMode.NOTHING
        if keep:
            kind = options.kind or (UndoKind.CREATE if old is None else UndoKind.WRITE)
            act = keep_present(details, canonical_path, old, kind, wrote=sha256_of(data))
            if old is not None and options.mode is not None:
                act.expect(replace(node_of_file(old), mode=options.mode))
        send(archive, act, new, old)
        backup_path = act.data if act is not None and old is not None else None
        notes = (LOST,) if keep else ("no backup is kept", LOST)
        return SaveResult(canonical_path, False, old is None, len(data), backup_path, notes)


def _refuse_unspeakable(path: bytes) -> None:
    """Raise EditRefused for a name that is not UTF-8, which the engine's API would mistake for another."""
    try:
        path.decode()
    except UnicodeDecodeError as error:
        message = f"{printable(path)} is not UTF-8, and the Engine would take it for another name"
        raise EditRefused(message, "do it on the Engine's host, by its socket") from error


def _new(
    archive: Archive, canonical_path: bytes, old: RemoteFile | None, data: bytes, options: SaveOptions
) -> RemoteFile:
    """Return the file to send: like the old one except for what was requested, or with its directory's owner."""
    mode = options.mode
    mtime_ns = time.time_ns() if options.mtime_ns is None else options.mtime_ns
    if old is not None:
        return replace(old, data=data, mode=old.mode if mode is None else mode, mtime_ns=mtime_ns)
    uid, gid = archive.owner_of(split(canonical_path)[0])
    return RemoteFile(canonical_path, data, 0o644 if mode is None else mode, uid, gid, mtime_ns)


def node_of_file(file: RemoteFile) -> EntrySnapshot:
    """Return a snapshot of a file from the engine; of its attributes only the capability is known."""
    xattrs = tuple(
        (name.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape")) for name, value in file.attributes.items()
    )
    kind, size = EntryKind.FILE, len(file.data)
    return EntrySnapshot(
        file.path, kind, file.mode, file.uid, file.gid, file.mtime_ns, xattrs=in_order(xattrs), size=size
    )


def file_of_node(node: EntrySnapshot, data: bytes) -> RemoteFile:
    """Return a snapshot as a file to send, with the one attribute that the engine's tar accepts."""
    attributes = {
        _XATTR + name: value.decode("utf-8", "surrogateescape") for name, value in node.xattrs if name == CAPABILITY
    }
    return RemoteFile(node.path, data, node.mode, node.uid, node.gid, node.mtime_ns, attributes)


def keep_present(
    details: Details, path: bytes, current: RemoteFile | None, kind: UndoKind, *, wrote: str = ""
) -> UndoRecord:
    """Back up the file at a path, or that there is none; raises EditRefused."""
    fd = os.memfd_create("dtui-backup", os.MFD_CLOEXEC)
    keeper = BackupWriter(details.container.id, details.container.name, kind, path, wrote=wrote)
    try:
        view = memoryview(b"" if current is None else current.data)
        while view:
            view = view[os.write(fd, view) :]
        if current is None:
            keeper.add(EntrySnapshot(path))
        else:
            keeper.add(node_of_file(current), fd)
        return keeper.commit()
    finally:
        keeper.discard()
        os.close(fd)


def send(archive: Archive, act: UndoRecord | None, new: RemoteFile, old: RemoteFile | None) -> None:
    """Replace or create a file, and mark the act done or forget it.

    If the engine is lost in between, the next start finds out what happened.
    """
    try:
        _put(archive, new, old, act.data if act is not None and old is not None else None)
    except EngineLost:
        raise
    except DtuiError:
        if act is not None and present(archive, new.path) == old:
            act.forget()
        elif act is not None:
            act.mark("done")
        raise
    if act is not None:
        act.mark("done")


def present(archive: Archive, path: bytes) -> RemoteFile | None:
    """Return the file at a canonical path, None if there is none; raises EditRefused for anything else."""
    try:
        return archive.get(path, REMOTE_LIMIT)
    except NotFound:
        return None


def _put(archive: Archive, new: RemoteFile, old: RemoteFile | None, backup_path: Path | None) -> None:
    if present(archive, new.path) != old:
        raise changed_meanwhile(new.path, "read it again")
    directory, name = split(new.path)
    archive.put(directory, _tar_of(new, name))
    written = archive.get(new.path, REMOTE_LIMIT)
    if (written.data, written.mode, written.uid, written.gid) != (new.data, new.mode, new.uid, new.gid):
        where = f"the old bytes are in {backup_path}" if backup_path else "read it again"
        raise ChangedMeanwhile(f"{printable(new.path)} is not what was written", where)


def _tar_of(file: RemoteFile, name: bytes) -> bytes:
    """Return a tar with one member under its bare name, so that the engine cannot leave the directory."""
    member = tarfile.TarInfo(os.fsdecode(name))
    second, nanoseconds = divmod(file.mtime_ns, 10**9)
    member.size, member.mode, member.mtime = len(file.data), file.mode, second
    member.uid, member.gid = file.uid, file.gid
    member.pax_headers = {**file.attributes, "mtime": f"{second}.{nanoseconds:09d}"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(member, io.BytesIO(file.data))
    return buffer.getvalue()
