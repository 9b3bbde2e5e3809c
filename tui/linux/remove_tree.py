"""Remove directory trees made by strangers: at any depth, never through a symlink, never onto another file system."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress

from tui.linux.rooted_paths import open_child

Removed = Callable[[int, bytes], None]
"""Takes how many entries were removed so far, and the name of the last one."""


def _ignore(count: int, name: bytes) -> None:
    del count, name


def remove_tree(dir_fd: int, name: bytes, removed: Removed = _ignore) -> None:
    """Remove an entry and everything below it, including whiteouts; raises OSError.

    Nobody else may be using the tree. Subdirectories are moved up to its top one by one, so that no depth is too deep.
    ``removed`` is called after each entry.
    """
    if not _is_directory(dir_fd, name):
        os.unlink(name, dir_fd=dir_fd)
        return
    top = open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        emptying = _Emptying(top, removed)
        while names := os.listdir(top):
            for text in names:
                emptying.remove(os.fsencode(text))
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def recreate_directory(dir_fd: int, name: bytes) -> int:
    """Make an empty private directory, whatever stood there before, and return it open; raises OSError."""
    with suppress(FileNotFoundError):
        remove_tree(dir_fd, name)
    os.mkdir(name, 0o700, dir_fd=dir_fd)
    return open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY)


class _Emptying:
    """Empties a directory. Subdirectories of its entries are moved to it under new names, to be removed in turn."""

    def __init__(self, top: int, removed: Removed) -> None:
        self._top = top
        self._removed = removed
        self._token = secrets.token_hex(8)
        self._moved = 0
        self._count = 0

    def remove(self, name: bytes) -> None:
        """Remove an entry of the directory, except subdirectories that it has; raises OSError."""
        if not _is_directory(self._top, name):
            os.unlink(name, dir_fd=self._top)
            self._report(name)
            return
        fd = open_child(self._top, name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for text in os.listdir(fd):
                child = os.fsencode(text)
                if _is_directory(fd, child):
                    os.rename(child, f"{self._token}{self._moved}".encode(), src_dir_fd=fd, dst_dir_fd=self._top)
                    self._moved += 1
                else:
                    os.unlink(child, dir_fd=fd)
                    self._report(child)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=self._top)
        self._report(name)

    def _report(self, name: bytes) -> None:
        self._count += 1
        self._removed(self._count, name)


def _is_directory(dir_fd: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
