"""Everything in a data-root: what it is, who owns it, and how much of the disk it fills.

No Engine is asked and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tui.core.errors import NotFound
from tui.drivers.data_root import DataRoot
from tui.drivers.snapshotters import containerd_roots
from tui.inventory.container_storage import VOLUMES, list_container_storage, record_homes
from tui.inventory.entries import DiskEntry, EntryType
from tui.inventory.layer_directories import list_layers
from tui.inventory.references import Owner, entries
from tui.layers.usage import usage_of

_CONTENT = "io.containerd.content.v1.content"
"""Where containerd keeps the layers of images as they were pulled, compressed."""

_BUILD_CACHE = "buildkit"


def inventory(root: Path) -> tuple[DiskEntry, ...]:
    """List everything in a data-root or graphroot with its owner; raises NotFound, NotReachable."""
    data_root = DataRoot(root)
    listed = [*list_layers(data_root), *list_container_storage(data_root)]
    listed_paths = {entry.path for entry in listed} | {
        data_root.path / name for name in (*record_homes(data_root), VOLUMES)
    }
    listed_paths |= {entry.path.parent for entry in listed if entry.type is EntryType.LAYER}
    containerds = [
        containerd for containerd in containerd_roots(data_root) if containerd.path.is_relative_to(data_root.path)
    ]
    unlisted = [*_unlisted(data_root, listed_paths, "", 3)]
    return (*listed, *unlisted, *(_content(containerd) for containerd in containerds if containerd.exists(_CONTENT)))


def _unlisted(root: DataRoot, listed_paths: set[Path], directory: str, levels: int) -> Iterator[DiskEntry]:
    """Yield each directory that holds nothing which is listed already."""
    for name in entries(root, directory or "."):
        path = f"{directory}/{name}" if directory else name
        full_path = root.path / path
        if full_path in listed_paths or name == _CONTENT:
            continue
        if levels and any(listed_path.is_relative_to(full_path) for listed_path in listed_paths):
            yield from _unlisted(root, listed_paths, path, levels - 1)
        elif root.is_directory(path):
            owner = Owner.CACHE if path == _BUILD_CACHE else Owner.ENGINE
            yield DiskEntry(full_path, name, EntryType.OTHER, owner)


def _content(containerd: DataRoot) -> DiskEntry:
    return DiskEntry(containerd.path / _CONTENT, "content", EntryType.CONTENT, Owner.IMAGE, ("as pulled, compressed",))


def space_of(entry: DiskEntry, stop: Callable[[], bool] = lambda: False) -> int:
    """Return the bytes that an entry occupies on disk; raises NotReachable without permission."""
    if entry.files:
        return sum(_space_if_present(path, stop) for path in entry.files)
    return max(0, usage_of(entry.path, stop) - sum(_space_if_present(path, stop) for path in entry.without))


def _space_if_present(path: Path, stop: Callable[[], bool]) -> int:
    """Return the space of a log, which may have been rotated away."""
    try:
        return usage_of(path, stop)
    except NotFound:
        return 0
