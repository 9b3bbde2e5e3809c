"""Write dtui's own files: backups, journal, unsaved texts. They are private to this user and never a container's.

Everything here raises OSError.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def new_file(path: Path) -> int:
    """Create a file that only this user can read; raises FileExistsError if it exists."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_to_append(path: Path) -> int:
    """Open a file for appending, created if it does not exist."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_new(path: Path, chunks: Iterable[bytes], *, durable: bool = True) -> None:
    """Write a new file, and sync it to disk if it is to be ``durable``."""
    with os.fdopen(new_file(path), "wb") as file:
        file.writelines(chunks)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def write_number(path: Path, text: bytes) -> None:
    """Overwrite a number in place. It is shorter than a sector, so a crash leaves the old number or the new one."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, text, 0)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def resize(fd: int, size: int) -> None:
    """Truncate or extend an open file; what is added is a hole."""
    os.ftruncate(fd, size)


def make_directory(path: Path) -> None:
    """Create a directory that only this user can open."""
    path.mkdir(mode=0o700)


def make_marker(path: Path) -> None:
    """Create an empty file whose name is its message."""
    path.touch(mode=0o600)


def rename(path: Path, new: Path) -> None:
    """Rename a file or directory, replacing what has the new name."""
    path.rename(new)


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    path.unlink(missing_ok=True)


def remove_directory(path: Path) -> None:
    """Remove a directory and everything in it, if it exists."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


def remove_directory_if_possible(path: Path) -> None:
    """Remove as much of a directory as possible; never raises."""
    shutil.rmtree(path, ignore_errors=True)
