"""Undo changes through the engine's archive API: restore a file, or delete a new one."""

from __future__ import annotations

import os
from dataclasses import replace

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, EngineLost, NotFound, NotReachable
from tui.core.records import Details, EntryKind
from tui.core.remote_files import REMOTE_LIMIT, RemoteFile
from tui.core.state import container_lock
from tui.core.text import human_size, printable
from tui.files.history.backups import UndoKind, UndoRecord
from tui.files.history.rollback import is_one_write, with_current_metadata
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.verbs.acts import ChangeResult, Inspect, notes_after
from tui.files.verbs.opening import refuse_state, refuse_unseen
from tui.files.verbs.remote_save import (
    LOST,
    Archive,
    file_of_node,
    keep_present,
    node_of_file,
    present,
    send,
    sha256_of,
)
from tui.files.verbs.undo import moved_away, old_sha256, refuse_changed, refuse_closed
from tui.layers.mount_covers import Covers


def undo_by_engine(act: UndoRecord, *, inspect: Inspect, archive: Archive, force: bool = False) -> ChangeResult:
    """Undo an act through the engine, as :func:`tui.files.verbs.undo.undo` describes.

    Raises NotReachable for an act that the archive API cannot undo.
    """
    with act.pin(), container_lock(act.container):
        details = inspect(act.container)
        refuse_state(details)
        refuse_closed(act, force=force)
        node = _only_file(act, details)
        if not details.container.state.alive:
            refuse_unseen(Covers.of(details.mounts), node.path)
        current = _present(archive, node)
        if not force:
            if not _is_ours(act, node, current):
                refuse_changed((node.path,))
            if is_one_write(act) and current is not None:
                node = with_current_metadata(act, node_of_file(current)).nodes[0]
        _refuse_impossible(details, node, current)
        backup = keep_present(details, node.path, current, act.taken_back_by, wrote=old_sha256(act))
        backup.expect(node)
        if node.kind is not None:
            send(archive, backup, file_of_node(node, _bytes_of(act, node)), current)
        elif current is not None:
            _delete(archive, backup, current)
        else:
            backup.mark("done")
        act.mark("undone")
        return ChangeResult(node.path, 1, backup, (*((LOST,) if node.kind else ()), *notes_after(details, inspect)))


def settle_by_engine(act: UndoRecord, details: Details, archive: Archive) -> str:
    """Find out what became of an interrupted change; return a line if the file is neither old nor new.

    Raises NotReachable for an act that the archive API cannot undo.
    """
    node = _only_file(act, details)
    current = present(archive, node.path)
    if _sha256(current) == (_kept_sha256(act) if node.kind else ""):
        act.forget()
        return ""
    act.mark("done")
    if not act.wrote or _sha256(current) == act.wrote:
        return ""
    return f"{printable(act.path)}: it was changed after a write that was cut off; the old bytes are in {act.data}"


def _only_file(act: UndoRecord, details: Details) -> EntrySnapshot:
    """Return the snapshot of the one file that an act changed or created; raises NotReachable."""
    node = act.nodes[0] if len(act.nodes) == 1 else EntrySnapshot(act.path, EntryKind.DIRECTORY)
    writes = act.kind in (UndoKind.WRITE, UndoKind.CREATE, UndoKind.UNDO, UndoKind.REDO)
    if not writes or not (node.kind is None or (node.kind is EntryKind.FILE and node.has_bytes)):
        message = (
            f"the Engine cannot take back a {act.kind} of {printable(act.path)}: its archive API only writes files"
        )
        raise NotReachable(message, f"undo it on the Engine's host, by its socket ({details.access.reason})")
    if node.size > REMOTE_LIMIT:
        message = f"{printable(node.path)} had {human_size(node.size)}, which is too large to send through the Engine"
        raise NotReachable(message, f"its old bytes are in {act.data}; docker cp takes any size")
    return node


def _is_ours(act: UndoRecord, node: EntrySnapshot, current: RemoteFile | None) -> bool:
    """Return whether the current file is the one that the act left, or the one before it."""
    if current is None or (act.wrote and _sha256(current) == act.wrote):
        return True
    if node.kind is not None and _sha256(current) == _kept_sha256(act):
        return True
    after = (act.after or {}).get(node.path)
    if act.wrote or after is None:
        return False
    return replace(node_of_file(current), xattrs=()) == replace(
        after, xattrs=(), offset=0, has_bytes=False, names=0, inode=(0, 0)
    )


def _present(archive: Archive, node: EntrySnapshot) -> RemoteFile | None:
    """Return the file to replace or delete, None if there is none; raises ChangedMeanwhile for anything else."""
    try:
        resolved_path = archive.resolve(node.path)
    except NotFound:  # not even its directory exists
        if node.kind is not None:
            raise
        return None
    if resolved_path != node.path:
        raise moved_away(node.path, resolved_path)
    try:
        return present(archive, node.path)
    except EditRefused as error:
        message = f"{printable(node.path)} was changed since: {error.message}"
        raise ChangedMeanwhile(message, "take it away first: the Engine puts nothing in its place") from error


def _refuse_impossible(details: Details, node: EntrySnapshot, current: RemoteFile | None) -> None:
    if node.kind is None and current is not None and details.container.state.value != "running":
        message = f"the Engine cannot delete {printable(node.path)} in a container that does not run"
        raise NotReachable(message, "start it, or undo it on the Engine's host, by its socket")


def _delete(archive: Archive, backup: UndoRecord, current: RemoteFile) -> None:
    """Delete a file with the container's own rm, and mark the act done or forget it."""
    try:
        archive.remove(current.path)
        is_removed = present(archive, current.path) is None
    except EngineLost:  # the next start finds out
        raise
    except DtuiError:
        if present(archive, current.path) == current:
            backup.forget()
        else:
            backup.mark("done")
        raise
    if not is_removed:
        backup.forget()
        raise EditRefused(
            f"{printable(current.path)} is still there after the container's own rm", "nothing was changed"
        )
    backup.mark("done")


def _bytes_of(act: UndoRecord, node: EntrySnapshot) -> bytes:
    fd = os.open(act.data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, node.size, node.offset)
    finally:
        os.close(fd)


def _kept_sha256(act: UndoRecord) -> str:
    return sha256_of(_bytes_of(act, act.nodes[0]))


def _sha256(file: RemoteFile | None) -> str:
    return "" if file is None else sha256_of(file.data)
