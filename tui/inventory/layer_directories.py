"""The layer directories of a data-root, and who owns each: a container, an image, the build cache, or nobody.

No Engine is asked and nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tui.core.records import Driver, DriverKind
from tui.drivers.data_root import DataRoot
from tui.drivers.registry import DRIVERS
from tui.drivers.snapshotters import containerd_roots
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.podman import PodmanRoot, is_podman_root
from tui.inventory.entries import DiskEntry, EntryType
from tui.inventory.references import Claims, entries, graph_claims, podman_claims, snapshot_claims

_LAYER = re.compile(r"[0-9a-z]{25}|[0-9a-f]{64}(-init)?")
"""Names that Engines give to layers; those of 25 letters and digits come from BuildKit."""

_SNAPSHOTTER = re.compile(r"io\.containerd\.snapshotter\.v1\.[a-z0-9._-]+")
_NUMBER = re.compile("[0-9]{1,19}")


def list_layers(root: DataRoot) -> Iterator[DiskEntry]:
    """Yield every layer directory of a data-root or graphroot; raises NotReachable."""
    if is_podman_root(root):
        yield from _podman(root)
        return
    names: dict[str, str] = {
        container.id: container.name for container in OfflineEndpoint(str(root.path), root).snapshot()
    }
    yield from _graph_layers(root, names)
    yield from _snapshots(root, names)


def _graph_layers(root: DataRoot, names: Mapping[str, str]) -> Iterator[DiskEntry]:
    for driver, storage_driver in DRIVERS.items():
        if driver.kind is DriverKind.GRAPH:
            home, entry_names = _home(root, storage_driver.home)
            if entry_names:
                yield from _layers_in(home, entry_names, driver, graph_claims(root, driver.name, names))


def _podman(root: DataRoot) -> Iterator[DiskEntry]:
    containers = PodmanRoot(str(root.path), root).snapshot()
    for driver, storage_driver in DRIVERS.items():
        if driver.kind is DriverKind.STORAGE:
            home, entry_names = _home(root, storage_driver.home)
            if entry_names:
                names: dict[str, str] = {
                    container.id: container.name for container in containers if container.driver == driver
                }
                yield from _layers_in(home, entry_names, driver, podman_claims(root, driver.name, names))


def _home(root: DataRoot, name: str) -> tuple[Path, list[str]]:
    """Return a driver's directory and what is in it.

    Administrators move it to another disk and leave a link. Nothing below such a link is opened as a layer, but its
    names can be listed.
    """
    if names := entries(root, name):
        return root.path / name, names
    home = (root.path / name).resolve()
    if home == root.path / name or not home.is_dir():
        return home, []
    moved = DataRoot(home)
    return moved.path, entries(moved, ".")


def _layers_in(home: Path, entry_names: list[str], driver: Driver, claims: Claims) -> Iterator[DiskEntry]:
    for layer_id in filter(_LAYER.fullmatch, entry_names):
        yield DiskEntry(home / layer_id, layer_id, EntryType.LAYER, *claims.of(layer_id), driver)


def _snapshots(root: DataRoot, names: Mapping[str, str]) -> Iterator[DiskEntry]:
    for containerd in containerd_roots(root):
        for directory in filter(_SNAPSHOTTER.fullmatch, entries(containerd, ".")):
            if containerd.exists(f"{directory}/metadata.db"):
                yield from _snapshots_of(containerd, directory, names)


def _snapshots_of(containerd: DataRoot, directory: str, names: Mapping[str, str]) -> Iterator[DiskEntry]:
    driver = Driver(DriverKind.SNAPSHOTTER, directory.rpartition(".v1.")[2])
    home = containerd.below(directory)
    claims = snapshot_claims(containerd, home, names)
    for kind in ("snapshots", "active"):
        for number in filter(_NUMBER.fullmatch, entries(home, kind)):
            yield DiskEntry(home.path / kind / number, number, EntryType.LAYER, *claims.of(number), driver)
