"""Remove directory trees made by strangers: at any depth, never through a symlink, never onto another file system."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress

from tui.linux.rooted_paths import open_child


def remove_tree(dir_fd: int, name: bytes) -> None:
    """Remove an entry and everything below it, including whiteouts; raises OSError.

    Nobody else may be using the tree. Subdirectories are moved up to its top one by one, so that no depth is too deep.
    """
    if not _is_directory(dir_fd, name):
        os.unlink(name, dir_fd=dir_fd)
        return
    top = open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        token = secrets.token_hex(8)
        number = 0
        while names := os.listdir(top):
            for text in names:
                number = _empty(top, os.fsencode(text), token, number)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def recreate_directory(dir_fd: int, name: bytes) -> int:
    """Make an empty private directory, whatever stood there before, and return it open; raises OSError."""
    with suppress(FileNotFoundError):
        remove_tree(dir_fd, name)
    os.mkdir(name, 0o700, dir_fd=dir_fd)
    return open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY)


def _empty(top: int, name: bytes, token: str, number: int) -> int:
    """Remove an entry of the top. Its subdirectories are moved to the top under names of token and number."""
    if not _is_directory(top, name):
        os.unlink(name, dir_fd=top)
        return number
    fd = open_child(top, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for text in os.listdir(fd):
            child = os.fsencode(text)
            if _is_directory(fd, child):
                os.rename(child, f"{token}{number}".encode(), src_dir_fd=fd, dst_dir_fd=top)
                number += 1
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)
    return number


def _is_directory(dir_fd: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
