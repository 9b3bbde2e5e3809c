"""Create, open and remove the directories for entries that are moved out of a layer; links are never followed."""

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
    """Yield a descriptor of a directory next to a layer; raises OSError."""
    fd = open_host(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def make_place(place: Path) -> None:
    """Create the directory for what one act sets aside, and its parent if missing; raises OSError."""
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
    """Remove what an act set aside, or its incomplete directory; raises OSError."""
    with suppress(FileNotFoundError):
        beside = open_host(directory.parent.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            home = open_child(beside, os.fsencode(directory.parent.name), os.O_RDONLY | os.O_DIRECTORY)
            try:
                remove_tree(home, os.fsencode(directory.name))
            finally:
                os.close(home)
                with suppress(OSError):  # the parent is not empty if other acts set something aside
                    os.rmdir(directory.parent.name, dir_fd=beside)
        finally:
            os.close(beside)
