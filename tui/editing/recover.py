"""Puts right what a killed dtui left in the middle of a write; run at every start that may write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from tui.core.errors import DtuiError, NotFound
from tui.core.model import Details, Marks
from tui.core.text import printable
from tui.editing import atomic, backups, journal
from tui.editing.atomic import Metadata, metadata_of
from tui.editing.backups import Act, ActKind
from tui.editing.guard import is_plain_rename, put_back
from tui.editing.session import privileged, refuse_state, running_root, stack_of
from tui.editing.stamp import stamp_of
from tui.editing.state import container_lock
from tui.editing.undo import was_written
from tui.editing.workspace import writable_tree
from tui.layers.mounts import in_use, sweep, tree_root, write_view
from tui.layers.paths import Root


def recover(inspect: Callable[[str], Details]) -> tuple[str, ...]:
    """Finish or roll back every write whose dtui is gone; return what was done, a line each.

    A write in place is rolled back to the old bytes unless all new ones are there; a temporary file is removed. What
    cannot be reached now stays in the journal and is tried again at the next start.
    """
    lines = []
    for record in journal.pending():
        name = printable(record.path)
        try:
            with container_lock(record.container_id):
                outcome = _put_right(record, inspect(record.container_id))
        except NotFound:
            if not journal.is_old(record):
                continue  # perhaps a container of another endpoint
            outcome = "its container is gone"
        except (DtuiError, OSError) as error:
            lines.append(f"{name}: a write that was cut off cannot be put right yet: {error}")
            continue
        journal.end(record)
        if record.path:
            lines.append(f"{name}: a write was cut off; {outcome}")
    return (*lines, *_settle_acts(inspect))


def _settle_acts(inspect: Callable[[str], Details]) -> Iterator[str]:
    """Roll back acts that were cut off in the middle; of a single write, find out whether it took place."""
    backups.sweep()
    for act in [act for act in backups.acts() if act.cut_off]:
        try:
            line = _settle(act, inspect)
        except NotFound:
            continue  # its container is gone, or another endpoint's
        except (DtuiError, OSError) as error:
            line = f"{printable(act.path)}: the {act.kind} that was cut off cannot be put right yet: {error}"
        if line:
            yield line


def _settle(act: Act, inspect: Callable[[str], Details]) -> str:
    if act.kind in (ActKind.WRITE, ActKind.CREATE) or (act.kind is ActKind.UNDO and act.wrote):
        if was_written(act, inspect):
            act.mark("done")
        else:
            act.forget()
        return ""
    with container_lock(act.container):
        details = inspect(act.container)
        refuse_state(details)
        with writable_tree(details) as tree:
            if is_plain_rename(act):
                if tree.look(act.path) is None and tree.look(act.other) is not None:
                    act.mark("done")
                else:
                    act.forget()
                return ""
            put_back(tree, act)
    act.forget()
    return f"{printable(act.path)}: a {act.kind} was cut off; all is as it was before"


def _put_right(record: journal.Record, details: Details) -> str:
    if not record.path:
        sweep(stack_of(details))
        return ""
    if details.container.state.alive:
        with running_root(details) as root:
            return _in_root(record, root)
    stack = stack_of(details)
    if stack.marks is Marks.TREE:
        with tree_root(stack) as root:
            return _in_root(record, root)
    if stack.marks is not Marks.OVERLAY or not privileged():
        with Root.open(stack.writable.path) as upper:
            return _in_root(record, upper)
    if in_use(stack):
        raise DtuiError("the layer is in use", "look at the container's state")
    sweep(stack)
    with write_view(stack) as root:
        return _in_root(record, root)


def _in_root(record: journal.Record, root: Root) -> str:
    path = os.fsencode(record.path)
    if record.in_place:
        return _roll_back(record, root, path)
    with suppress(NotFound), root.parent(path) as (dir_fd, _), suppress(FileNotFoundError):
        _remove(os.fsencode(record.temporary), dir_fd)
    return "the file is whole"


def _remove(temporary: bytes, dir_fd: int) -> None:
    """Remove a temporary file, or a directory that was being copied up: that one is still empty."""
    try:
        os.unlink(temporary, dir_fd=dir_fd)
    except IsADirectoryError:
        os.rmdir(temporary, dir_fd=dir_fd)


def _roll_back(record: journal.Record, root: Root, path: bytes) -> str:
    fd = root.open_path(path, follow=False, flags=os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        now = stamp_of(fd).sha256
        if now in (record.new_sha256, record.old_sha256):
            return "the file is whole"
        old = record.data.read_bytes()
        metadata = Metadata(record.mode, record.uid, record.gid, metadata_of(fd).xattrs)
        atomic.overwrite(fd, (old,), metadata, size=len(old))
        return "the old bytes are back"
    except OSError as error:
        raise atomic.explain(error, path) from error
    finally:
        os.close(fd)
