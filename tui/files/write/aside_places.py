"""Choose, create, open and remove the directories for entries that are moved out of a layer.

They lie next to a union's layer, or for a full tree in the engine's directory for the container: if possible on the
same file system, out of the container's sight, and removed with it. Links are never followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core.records import LayerStack, WhiteoutStyle
from tui.drivers.data_root import open_host, open_layer_parent
from tui.layers.directories import open_upper_in, upper_root
from tui.layers.private_mounts import TRASH_NAME
from tui.linux.remove_tree import remove_tree
from tui.linux.rooted_paths import Root, open_child

_OF_CONTAINERS = ("containers", "vfs-containers")
"""Directories of a data-root in which docker and podman keep one directory per container."""


def parent_of_places(stack: LayerStack, container_id: str) -> Path | None:
    """Return the directory in which places for a container's entries are made; None if the engine has none."""
    layer = stack.writable.path
    if stack.whiteout_style is not WhiteoutStyle.TREE:
        return layer.parent
    if len(layer.parents) > 2:
        for kind in _OF_CONTAINERS:
            directory = layer.parents[2] / kind / container_id
            with suppress(OSError), opened(directory):
                return directory
    return None


@dataclass(frozen=True, slots=True)
class TrashPlace:
    """Where entries that were taken out of a layer stay until it is certain that nobody uses the layer."""

    stack: LayerStack
    parent: Path

    @property
    def path(self) -> Path:
        """The directory itself."""
        return self.parent / TRASH_NAME

    @contextmanager
    def opened(self) -> Iterator[tuple[int, Root]]:
        """Yield its parent directory and the layer's root, next to a union's layer by one mount."""
        if self.stack.whiteout_style is WhiteoutStyle.TREE:
            with opened(self.parent) as parent_fd, upper_root(self.stack) as upper:
                yield parent_fd, upper
        else:
            with Root(open_layer_parent(self.stack)) as parent, Root(open_upper_in(self.stack, parent.fd)) as upper:
                yield parent.fd, upper


def trash_place(stack: LayerStack, container_id: str) -> TrashPlace:
    """Return the place for what is taken out of a container's layer."""
    return TrashPlace(stack, parent_of_places(stack, container_id) or stack.writable.path.parent)


def sweep_trash(stack: LayerStack, container_id: str) -> None:
    """Remove what a killed dtui took out of a full tree; of a union, :func:`.sweep_mounts` does. Raises OSError."""
    parent = parent_of_places(stack, container_id) if stack.whiteout_style is WhiteoutStyle.TREE else None
    if parent is not None:
        with opened(parent) as parent_fd, suppress(FileNotFoundError):
            remove_tree(parent_fd, os.fsencode(TRASH_NAME))


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
