"""Recover from a dtui that was killed during a write; runs at every start that may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from tui.core.errors import DtuiError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import Details, WhiteoutStyle
from tui.core.state import container_lock, state_base, sweep_locks
from tui.core.text import printable
from tui.files.abandon import Unanswered, answered
from tui.files.history import backups, journal
from tui.files.history.backups import UndoKind, UndoRecord
from tui.files.history.rollback import is_one_write, is_plain_rename, put_back
from tui.files.history.transaction import close_partial, skipped_text
from tui.files.removal_watch import ContainerGone, explain_removal
from tui.files.tree.workspace import writable_tree
from tui.files.verbs.acts import Inspect, refuse_hidden
from tui.files.verbs.opening import privileged, reading, refuse_state, running_root, stack_of
from tui.files.verbs.remote_save import Archive
from tui.files.verbs.remote_undo import settle_by_engine
from tui.files.write import exchange, set_aside
from tui.files.write.aside_places import sweep_trash
from tui.files.write.version import FileVersion, version_of
from tui.files.write.whiteout_writer import remove_leftover
from tui.files.write.without_kernel_overlay import finish_by_hand
from tui.layers.directories import upper_root
from tui.layers.private_mounts import is_in_use, sweep_mounts, tree_root, write_view
from tui.linux.admission import Need
from tui.linux.failures import explain_change
from tui.linux.rooted_paths import Root, reopen_to_write
from tui.linux.supervise import can_give_up
from tui.linux.syscalls import O_PATH

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds without progress after which a recovery is left for the next start."""

_SYNC_PATIENCE = 60.0
"""The same while a disk writes what a recovery has put back, which takes long for a large file on a slow disk."""

FindArchive = Callable[[Details], Archive | None]


def no_archive(details: Details) -> None:
    """Return None: no container is reached through its engine alone."""
    del details


def recover(inspect: Inspect, archive: FindArchive = no_archive) -> tuple[str, ...]:
    """Finish or roll back every write whose dtui is gone; return a line for each.

    ``archive`` returns the engine's way to a container's files if it is the only one.

    A write in place is rolled back unless all new bytes are there; a temporary file is removed. What somebody else
    changed since is left alone. What cannot be reached now, or does not answer, stays in the journal for the next
    start. Raises Unanswered if the state directory does not answer.
    """
    lines = []
    containers = _Containers()
    for record in _in_time(
        _interrupted_writes, f"the state directory {state_base()}", "set DTUI_STATE to a directory that answers"
    ):
        name = printable(record.path)
        try:
            outcome = containers.ask(record.container_id, partial(_recover_locked, record, inspect))
        except (NotFound, ContainerGone):
            if not journal.is_old(record):
                continue  # perhaps a container of another endpoint
            outcome = "its container is gone"
        except (DtuiError, OSError) as error:
            subject = f"{name}: a write that was cut off" if record.path else f"what was left beside {_short(record)}"
            lines.append(f"{subject} cannot be put right yet: {error}")
            continue
        journal.end(record)
        if record.path:
            lines.append(f"{name}: a write was cut off; {outcome}")
    return (*lines, *_settle_acts(inspect, archive, containers))


def _in_time(call: Callable[[], T], subject: str, hint: str = "the next start tries again") -> T:
    """Return what a call returns; raises Unanswered if it makes no progress for some seconds.

    A process that cannot end before the call returns waits for it.
    """
    return answered(call, _PATIENCE, subject, hint, sync=_SYNC_PATIENCE) if can_give_up() else call()


def _interrupted_writes() -> tuple[journal.Record, ...]:
    sweep_locks()
    journal.sweep_journal()
    return journal.pending()


class _Containers:
    """Waits for each container whose files do not answer only once."""

    def __init__(self) -> None:
        self._silent: dict[ContainerId, Unanswered] = {}

    def ask(self, container: ContainerId, call: Callable[[], T]) -> T:
        """Return what a call about a container returns; raises Unanswered if its files do not answer."""
        if container in self._silent:
            raise self._silent[container]
        try:
            return _in_time(call, "a file system of its container")
        except Unanswered as error:
            self._silent[container] = error
            raise


def _short(record: journal.Record) -> str:
    return f"the layer of {printable(record.container_id[:12])}"


def _recover_locked(record: journal.Record, inspect: Inspect) -> str:
    with container_lock(record.container_id):
        details = inspect(record.container_id)
        with explain_removal(details, inspect):
            return _recover_write(record, details)


def _settle_acts(inspect: Inspect, find_archive: FindArchive, containers: _Containers) -> Iterator[str]:
    """Roll back interrupted acts; of a single write, find out whether it happened."""
    try:
        _in_time(backups.sweep_backups, "a file system with backups")
    except Unanswered as error:
        yield f"backups that are no longer needed cannot be removed yet: {error}"
    waiting = {record.container_id for record in journal.pending()}  # their files may be half-written
    for act in [act for act in backups.undo_records() if act.cut_off and act.container not in waiting]:
        try:
            line = containers.ask(act.container, partial(_settle_locked, act, inspect, find_archive))
        except ContainerGone:
            continue
        except (DtuiError, OSError) as error:
            line = f"{printable(act.path)}: the {act.kind} that was cut off cannot be put right yet: {error}"
        if line:
            yield line


def _settle_locked(act: UndoRecord, inspect: Inspect, find_archive: FindArchive) -> str:
    with container_lock(act.container):
        try:
            details = inspect(act.container)
        except NotFound:
            return ""  # its container is gone, or belongs to another endpoint
        archive = find_archive(details)
        with explain_removal(details, inspect):
            return settle_by_engine(act, details, archive) if archive else _settle_act(act, details)


def _settle_act(act: UndoRecord, details: Details) -> str:
    if act.aside is not None and act.aside.exchanged:
        return exchange.settle(act)
    if act.kind is UndoKind.CREATE or is_one_write(act):
        return _settle_write(act, details)
    refuse_state(details)
    if act.aside is not None:
        return set_aside.settle(details, act)
    with writable_tree(details) as tree:
        refuse_hidden(details, tree, act)
        if is_plain_rename(act):
            if tree.look(act.path) is None and tree.look(act.new_path) is not None:
                act.mark("done")
            else:
                act.forget()
            return ""
        skipped = put_back(tree, act).skipped
    if skipped:
        close_partial(act)
        return (
            f"{printable(act.path)}: a {act.kind} was cut off; {skipped_text(skipped)}; the old bytes are in {act.data}"
        )
    act.forget()
    return f"{printable(act.path)}: a {act.kind} was cut off; all is as it was before"


def _settle_write(act: UndoRecord, details: Details) -> str:
    """Find out whether a write completed; drop its backup only if the file still has the old bytes."""
    finish_by_hand(details, act.path, act.wrote)
    try:
        with reading(details, act.path) as fd:
            current_sha256 = version_of(fd)
    except NotFound:
        current_sha256 = None
    if (current_sha256.sha256 if current_sha256 else "") == act.wrote:
        act.mark("done")
    elif act.kind is UndoKind.CREATE or _is_old(act, current_sha256):
        act.forget()
    else:
        act.mark("done")
        return f"{printable(act.path)}: it was changed after a write that was cut off; the old bytes are in {act.data}"
    return ""


def _is_old(act: UndoRecord, now: FileVersion | None) -> bool:
    """Return whether a file is as it was before a write."""
    node = act.nodes[0]
    if node.image:
        return now is not None and (now.size, now.mtime_ns) == (node.size, node.mtime_ns)
    return now is not None and now.sha256 == _hash_of(act.data)


def _hash_of(data: Path) -> str:
    with data.open("rb") as file:
        return version_of(file.fileno()).sha256


def _recover_write(record: journal.Record, details: Details) -> str:
    alive = details.container.state.alive
    if alive and record.path:
        with running_root(details) as root:
            return _recover_in_root(record, root, WhiteoutStyle.TREE)
    stack = stack_of(details)
    if stack.whiteout_style is WhiteoutStyle.TREE and record.path:
        with tree_root(stack) as root:
            return _recover_in_root(record, root, WhiteoutStyle.TREE)
    if stack.whiteout_style is not WhiteoutStyle.OVERLAY or not privileged():
        if not record.path:
            sweep_mounts(stack)
            sweep_trash(stack, details.container.id)
            return ""
        with upper_root(stack) as upper:
            return _recover_in_root(record, upper, stack.whiteout_style)
    if not alive and is_in_use(stack):
        raise DtuiError("the layer is in use", "look at the container's state")
    sweep_mounts(stack)
    if not record.path:
        return ""
    with write_view(stack) as root:
        return _recover_in_root(record, root, WhiteoutStyle.TREE)


def _recover_in_root(record: journal.Record, root: Root, marks: WhiteoutStyle) -> str:
    path = os.fsencode(record.path)
    if record.in_place:
        return _roll_back(record, root, path)
    with suppress(NotFound), root.parent(path) as (dir_fd, _), suppress(FileNotFoundError):
        remove_leftover(dir_fd, os.fsencode(record.temporary), marks)
    return "the file is whole"


def _roll_back(record: journal.Record, root: Root, path: bytes) -> str:
    try:
        path_fd = root.open_canonical(path, O_PATH | os.O_NOFOLLOW)
    except NotFound:
        return "the file was removed since"
    try:
        if not stat.S_ISREG(os.fstat(path_fd).st_mode):  # opening a device or FIFO may have effects
            return "something else stands there now and was left"
        root.admit(path_fd, path, Need.WRITE)
        fd = reopen_to_write(path_fd, path)
    finally:
        os.close(path_fd)
    try:
        current_sha256 = version_of(fd).sha256
        if current_sha256 in (record.new_sha256, record.old_sha256):
            journal.complete(record, fd, new=current_sha256 == record.new_sha256)
            return "the file is whole"
        if not journal.is_half_done(record, fd):
            return "the file was written again since and left as it is"
        journal.put_old_back(record, fd)
        return "the old bytes are back"
    except OSError as error:
        raise explain_change(error, path) from error
    finally:
        os.close(fd)
