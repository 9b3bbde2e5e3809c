"""Replace a file of a layer at rest without a copy: exchange it with a new file, and set the old one aside.

The new file is completed in the set-aside directory. Then both names are exchanged in one step (renameat2(2)), so that
the container always has the old file or the new one. Which of them is in the set-aside directory tells whether the
exchange happened.

Only layers at rest are written this way: nothing of the host is mounted in them, so the container's rights need no
check.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tui.core import progress
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotFound
from tui.core.progress import Phase
from tui.core.records import Details, WhiteoutStyle
from tui.core.text import count_of, printable
from tui.files.history.backups import BackupWriter, SetAside, UndoRecord
from tui.files.history.backups import undo_records as kept_acts
from tui.files.removal_watch import ContainerGone
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.verbs.opening import stack_of
from tui.files.write import atomic, set_aside
from tui.files.write.aside_places import make_place, opened
from tui.files.write.metadata import apply_metadata, metadata_in
from tui.files.write.unchanged import require_untouched
from tui.layers.whiteouts import is_whiteout
from tui.linux.failures import change_explained
from tui.linux.name_ops import EXCHANGE, NO_REPLACE
from tui.linux.rooted_paths import open_child, split
from tui.linux.sparse import copy_data
from tui.linux.syscalls import renameat2

Fill = Callable[[int], None]
"""Writes the content of a new file to a descriptor."""

AtRest = Callable[[], None]
"""Raises if the layer is in use."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to create: metadata as in ``node``, and a function that writes its content."""

    node: EntrySnapshot
    fill: Fill


def from_file(node: EntrySnapshot, source: int) -> NewFile:
    """Return a file with ``node.size`` bytes at ``node.offset`` of an open file."""

    def fill(fd: int) -> None:
        progress.begin(Phase.COPY, node.size, final=True)
        for _ in copy_data(source, node.offset, node.size, fd, 0, node.path):
            pass
        os.ftruncate(fd, node.size)

    return NewFile(node, fill)


def why_not(details: Details, path: bytes) -> str:
    """Return why the file at a canonical path cannot be exchanged, empty if it can."""
    reason = set_aside.why_not(details)
    if reason:
        return reason
    try:
        with set_aside.layer(details) as root, set_aside.directory(root, split(path)[0]) as above:
            status = os.stat(split(path)[1], dir_fd=above, follow_symlinks=False)
    except (DtuiError, FileNotFoundError):
        return "it lies in the image, where it stays"
    except OSError as error:
        return (error.strerror or "").lower()
    if not stat.S_ISREG(status.st_mode):
        return "it is no file of the layer's own"
    return f"{count_of(status.st_nlink, 'name')} share its bytes" if status.st_nlink > 1 else ""


def own_file(details: Details, path: bytes) -> EntrySnapshot | None:
    """Return a snapshot of the layer's own file, None if it has none; raises ChangedMeanwhile if it is not a file."""
    with change_explained(path), set_aside.layer(details) as root, set_aside.directory(root, split(path)[0]) as above:
        try:
            if is_whiteout(os.stat(split(path)[1], dir_fd=above, follow_symlinks=False)):
                return None
            return _look(details, above, split(path)[1], path)
        except FileNotFoundError:
            return None


def put(details: Details, old: EntrySnapshot, new: NewFile, keeper: BackupWriter, at_rest: AtRest) -> UndoRecord:
    """Exchange a file with a new one and set the old one aside; raises ChangedMeanwhile and EditRefused."""

    def make(place: int, name: bytes) -> EntrySnapshot:
        fd = atomic.new_file(place, name)
        try:
            new.fill(fd)
            apply_metadata(fd, metadata_in(new.node), raw=True)
            os.fsync(fd)
        finally:
            os.close(fd)
        return _look(details, place, name, old.path)

    return _exchange(details, old, keeper, make, at_rest)


def put_back(
    details: Details, act: UndoRecord, now: EntrySnapshot, wanted: EntrySnapshot, keeper: BackupWriter, at_rest: AtRest
) -> UndoRecord:
    """Exchange the file that an act put into the layer for the one it set aside, with the metadata of ``wanted``.

    ``now``, the current file, is set aside in turn, whatever its size. Raises NotFound if the old file is gone.
    """
    source = aside_of(act).directory
    if not source.is_dir():
        raise NotFound(f"{source} is gone, and what was set aside with it", "nothing was changed")

    def take(place: int, name: bytes) -> EntrySnapshot:
        with opened(source) as old_place:
            renameat2(old_place, name, place, name, NO_REPLACE)
            os.fsync(place)
            os.fsync(old_place)
        fd = open_child(place, name, os.O_RDWR)
        try:
            apply_metadata(fd, metadata_in(wanted), raw=True)
            os.fsync(fd)
        finally:
            os.close(fd)
        return _look(details, place, name, act.path)

    return _exchange(details, now, keeper, take, at_rest, source=source)


def _exchange(
    details: Details,
    old: EntrySnapshot,
    keeper: BackupWriter,
    prepare: Callable[[int, bytes], EntrySnapshot],
    at_rest: AtRest,
    *,
    source: Path | None = None,
) -> UndoRecord:
    name = split(old.path)[1]
    aside = replace(set_aside.plan_set_aside(details, old.path, (name,), old.disk), exchanged=True, source=source)
    keeper.add(old)
    act = keeper.commit(aside)
    try:
        with _open_places(details, old.path, aside) as (above, place):
            new = prepare(place, name)
            number = os.stat(name, dir_fd=place, follow_symlinks=False).st_ino
            # names=1, because the inode is not recorded without it
            act.expect(replace(new, inode=(0, number), names=1), durable=True)
            progress.ignore_stop()
            at_rest()
            require_untouched(above, name, old)
            renameat2(above, name, place, name, EXCHANGE)
            try:
                os.fsync(place)
                os.fsync(above)
                at_rest()
            except ContainerGone:
                raise
            except BaseException:
                renameat2(above, name, place, name, EXCHANGE)
                os.fsync(above)
                raise
    except BaseException:
        if not is_exchanged(act):
            _forget(act)
        raise
    act.mark("done")
    return act


@contextmanager
def _open_places(details: Details, path: bytes, aside: SetAside) -> Iterator[tuple[int, int]]:
    """Yield descriptors of the layer's directory and of the new set-aside directory."""
    with change_explained(path), set_aside.layer(details) as root, set_aside.directory(root, aside.parent) as above:
        atomic.refuse_fixed(above, path)
        make_place(aside.directory)
        with opened(aside.directory) as place:
            yield above, place


def is_exchanged(act: UndoRecord) -> bool:
    """Return whether the exchange happened: what is set aside is not the file that the act created."""
    made = (act.after or {}).get(act.path)
    now = _inode_aside(aside_of(act))
    return made is not None and now is not None and now != made.inode[1]


def settle(act: UndoRecord) -> str:
    """Find out whether an interrupted exchange happened; if not, undo its preparation."""
    if is_exchanged(act):
        act.mark("done")
        for other in kept_acts(act.container):
            if other.aside is not None and other.aside.directory == aside_of(act).source:
                other.mark("undone")
        return ""
    _forget(act)
    return f"{printable(act.path)}: a {act.kind} was cut off; all is as it was before"


def aside_of(act: UndoRecord) -> SetAside:
    """Return what an act set aside; raises EditRefused."""
    if act.aside is None:
        raise EditRefused(f"{printable(act.path)} was not set aside", "nothing was changed")
    return act.aside


def _forget(act: UndoRecord) -> None:
    """Delete an act that changed nothing, and put back the set-aside file that it took."""
    aside = aside_of(act)
    if aside.source is not None:
        with suppress(FileNotFoundError), opened(aside.directory) as place:
            for name in aside.names:
                with opened(aside.source) as source:
                    renameat2(place, name, source, name, NO_REPLACE)
                    os.fsync(source)
    set_aside.discard_set_aside(act)
    act.forget()


def _inode_aside(aside: SetAside) -> int | None:
    with suppress(FileNotFoundError), opened(aside.directory) as place:
        return os.stat(aside.names[0], dir_fd=place, follow_symlinks=False).st_ino
    return None


def refuse_other(act: UndoRecord, now: EntrySnapshot) -> None:
    """Raise ChangedMeanwhile unless a file is the one that an act created, whoever owns it now."""
    made = (act.after or {}).get(act.path)
    if made is None or (now.size, now.mtime_ns) != (made.size, made.mtime_ns):
        told = f"{printable(act.path)} was changed since"
        raise ChangedMeanwhile(told, "--force takes it back all the same, and keeps what is there")


def _look(details: Details, directory: int, name: bytes, path: bytes) -> EntrySnapshot:
    fd = open_child(directory, name, os.O_PATH)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ChangedMeanwhile(f"{printable(path)} is no file any more", "rename or delete it first")
        return snapshot_of(fd, path, raw=stack_of(details).whiteout_style is not WhiteoutStyle.TREE)
    finally:
        os.close(fd)
