"""How dtui writes files of its own: backups, journal, kept texts. Private to this user, and never a container's.

Everything here raises OSError.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def new_file(path: Path) -> int:
    """Open a new file that only this user can read; FileExistsError where there is one."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_to_append(path: Path) -> int:
    """Open a file, or a new one, to write at its end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_new(path: Path, chunks: Iterable[bytes], *, durable: bool = True) -> None:
    """Write a new file; a durable one is on the disk afterwards."""
    with os.fdopen(new_file(path), "wb") as file:
        file.writelines(chunks)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def write_number(path: Path, text: bytes) -> None:
    """Overwrite a number in place: it is shorter than a sector, so that it is the old one or the new one."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, text, 0)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def set_size(fd: int, size: int) -> None:
    """Give an open file a size; what it gains is a hole."""
    os.ftruncate(fd, size)


def make_folder(path: Path) -> None:
    """Make a directory that only this user can look into."""
    path.mkdir(mode=0o700)


def mark(path: Path) -> None:
    """Make an empty file whose name says something."""
    path.touch(mode=0o600)


def rename(path: Path, new: Path) -> None:
    """Give a file or directory another name, over what has it."""
    path.rename(new)


def drop(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)


def drop_folder(path: Path) -> None:
    """Remove a directory with all that is in it, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


def drop_folder_if_possible(path: Path) -> None:
    """Remove what can be removed of a directory; never raises."""
    shutil.rmtree(path, ignore_errors=True)
