"""Puts right what a killed dtui left in the middle of a write; run at every start that may write."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from tui.core.errors import DtuiError, NotFound
from tui.core.model import Details, Marks
from tui.core.text import printable
from tui.editing import atomic, journal
from tui.editing.atomic import Metadata, metadata_of
from tui.editing.session import privileged, running_root, stack_of
from tui.editing.stamp import stamp_of
from tui.editing.state import container_lock
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
            outcome = "its container is gone"
        except DtuiError as error:
            lines.append(f"{name}: a write that was cut off cannot be put right yet: {error}")
            continue
        journal.end(record)
        lines.append(f"{name}: a write was cut off; {outcome}")
    return tuple(lines)


def _put_right(record: journal.Record, details: Details) -> str:
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
