"""Removing trees that strangers made: however deep, never through a link, never out of their file system."""

from __future__ import annotations

import os
import secrets
import stat

from tui.linux.rooted_paths import open_child


def remove_tree(dir_fd: int, name: bytes) -> None:
    """Remove an entry and all below it as it lies, marks of layers among it; raises OSError.

    Nobody else may use the tree: its directories are brought up to its top one by one, so that no depth is too deep.
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


def _empty(top: int, name: bytes, token: str, number: int) -> int:
    """Remove an entry of the top, directories below it brought up under names made of a token and a number."""
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
