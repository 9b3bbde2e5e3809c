"""The directories that take what is moved out of a layer: made, opened and removed, no link followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tui.drivers.data_root import open_host
from tui.linux.remove_tree import remove_tree
from tui.linux.rooted_paths import open_child


@contextmanager
def opened(place: Path) -> Iterator[int]:
    """Yield a directory beside a layer, open, no link followed; raises OSError."""
    fd = open_host(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def make_place(place: Path) -> None:
    """Make the directory that takes what an act sets aside, and the one for all of them; raises OSError."""
    home = place.parent
    with opened(home.parent) as beside:
        with suppress(FileExistsError):
            os.mkdir(home.name, 0o700, dir_fd=beside)
        fd = open_child(beside, os.fsencode(home.name), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.mkdir(place.name, 0o700, dir_fd=fd)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.fsync(beside)


def remove_set_aside(directory: Path) -> None:
    """Remove what an act set aside, or what is left of its place; raises OSError."""
    with suppress(FileNotFoundError):
        beside = open_host(directory.parent.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            home = open_child(beside, os.fsencode(directory.parent.name), os.O_RDONLY | os.O_DIRECTORY)
            try:
                remove_tree(home, os.fsencode(directory.name))
            finally:
                os.close(home)
                with suppress(OSError):  # others were set aside, too
                    os.rmdir(directory.parent.name, dir_fd=beside)
        finally:
            os.close(beside)
