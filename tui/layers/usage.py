"""The size of a writable layer or of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from tui.core.errors import NotFound, NotReachable
from tui.core.records import Change, EntryKind, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.data_root import data_root_error, open_host
from tui.layers.view import LayerView
from tui.linux.rooted_paths import open_directory, status_of
from tui.linux.syscalls import O_PATH
from tui.linux.trail import Trail


def usage(view: LayerView, stop: Callable[[], bool] = lambda: False) -> int:
    """Return the bytes of regular files in the writable layer, counting a hard-linked file once.

    In a full tree only changed files count.
    """
    with view.keep_open():
        return _changed_bytes(view, stop) if view.stack.whiteout_style is WhiteoutStyle.TREE else _own_bytes(view, stop)


def usage_of(path: Path, stop: Callable[[], bool] = lambda: False) -> int:
    """Return the bytes that a file or directory occupies on disk, a hard-linked file once; follows no symlink.

    Mounts below it are skipped: overlay2's ``merged`` is the whole union while the container runs. Entries that vanish
    meanwhile are skipped too. Raises NotFound, and NotReachable without permission.
    """
    total = 0
    counted_inodes: set[tuple[int, int]] = set()
    try:
        top = open_host(path, O_PATH)
        itself = os.fstat(top)
        os.close(top)
        if not stat.S_ISDIR(itself.st_mode):
            return itself.st_blocks * 512
        top = open_host(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise data_root_error(printable(str(path)), error) from error
    trail = Trail(top, open_directory, os.close)
    todo = [b""]
    device = os.fstat(top).st_dev
    try:
        while todo and not stop():
            directory = todo.pop()
            try:
                fd = trail.at(directory)
                if os.fstat(fd).st_dev != device:  # a subvolume
                    continue
                statuses = [(name, status_of(fd, name)) for name in (b".", *map(os.fsencode, os.listdir(fd)))]
            except PermissionError as error:
                raise _denied(path) from error
            except OSError:  # it vanished, or something is mounted there
                continue
            for name, status in statuses:
                if status is None:
                    continue
                if stat.S_ISDIR(status.st_mode) and name != b".":  # it counts where it is walked
                    todo.append(directory + b"/" + name)
                    continue
                if status.st_nlink > 1 and name != b".":
                    if (status.st_dev, status.st_ino) in counted_inodes:
                        continue
                    counted_inodes.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    finally:
        trail.close()
        os.close(top)
    return total


def _denied(path: Path) -> NotReachable:
    return NotReachable(f"{printable(str(path))}: permission denied", "run dtui as root, or use sudo")


def _own_bytes(view: LayerView, stop: Callable[[], bool]) -> int:
    total = 0
    counted_inodes: set[int] = set()
    todo = [b"/"]
    while todo and not stop():
        path = todo.pop()
        try:
            with view.own_directory(path) as fd:
                statuses = [(name, status_of(fd, name)) for name in map(os.fsencode, os.listdir(fd))]
        except NotFound:
            continue  # removed while we walk
        for name, status in statuses:
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                todo.append(path.rstrip(b"/") + b"/" + name)
            elif stat.S_ISREG(status.st_mode) and status.st_ino not in counted_inodes:
                total += status.st_size
                if status.st_nlink > 1:
                    counted_inodes.add(status.st_ino)
    return total


def _changed_bytes(view: LayerView, stop: Callable[[], bool]) -> int:
    total = 0
    todo = [b"/"]
    while todo and not stop():
        for entry, _ in view.changed_children(todo.pop()):
            if entry.change is Change.DELETED:
                continue
            if entry.kind is EntryKind.DIRECTORY:
                todo.append(entry.path)
            elif entry.kind is EntryKind.FILE:
                total += entry.size
    return total
