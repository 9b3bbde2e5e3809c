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
    opened = DataRoot(root)
    listed = [*list_layers(opened), *list_container_storage(opened)]
    taken = {entry.path for entry in listed} | {opened.path / name for name in (*record_homes(opened), VOLUMES)}
    taken |= {entry.path.parent for entry in listed if entry.type is EntryType.LAYER}
    containerds = [containerd for containerd in containerd_roots(opened) if containerd.path.is_relative_to(opened.path)]
    rest = [*_rest(opened, taken, "", 3)]
    return (*listed, *rest, *(_content(containerd) for containerd in containerds if containerd.exists(_CONTENT)))


def _rest(root: DataRoot, taken: set[Path], directory: str, levels: int) -> Iterator[DiskEntry]:
    """Yield each directory that holds nothing which is listed already."""
    for name in entries(root, directory or "."):
        path = f"{directory}/{name}" if directory else name
        full = root.path / path
        if full in taken or name == _CONTENT:
            continue
        if levels and any(other.is_relative_to(full) for other in taken):
            yield from _rest(root, taken, path, levels - 1)
        elif root.is_directory(path):
            owner = Owner.CACHE if path == _BUILD_CACHE else Owner.ENGINE
            yield DiskEntry(full, name, EntryType.OTHER, owner)


def _content(containerd: DataRoot) -> DiskEntry:
    return DiskEntry(containerd.path / _CONTENT, "content", EntryType.CONTENT, Owner.IMAGE, ("as pulled, compressed",))


def space_of(entry: DiskEntry, stop: Callable[[], bool] = lambda: False) -> int:
    """Return the bytes that an entry occupies on disk; raises NotReachable without permission."""
    if entry.files:
        return sum(_existing(path, stop) for path in entry.files)
    return max(0, usage_of(entry.path, stop) - sum(_existing(path, stop) for path in entry.without))


def _existing(path: Path, stop: Callable[[], bool]) -> int:
    """Return the space of a log, which may have been rotated away."""
    try:
        return usage_of(path, stop)
    except NotFound:
        return 0
