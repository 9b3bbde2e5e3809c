"""Who owns each layer directory of a data-root: a container, an image, the build cache, or nobody.

No Engine is asked and nothing is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import DtuiError, NotFound, NotReachable
from tui.core.records import Driver, DriverKind
from tui.core.text import printable
from tui.drivers.data_root import DataRoot
from tui.drivers.registry import DRIVERS
from tui.drivers.snapshotters import containerd_roots
from tui.engine.at_rest.docker import OfflineEndpoint, is_data_root
from tui.engine.at_rest.podman import PodmanRoot, is_podman_root
from tui.inventory.references import Claims, Owner, entries, graph_claims, podman_claims, snapshot_claims

_LAYER = re.compile(r"[0-9a-z]{25}|[0-9a-f]{64}(-init)?")
"""Names that Engines give to layers; those of 25 letters and digits come from BuildKit."""

_SNAPSHOTTER = re.compile(r"io\.containerd\.snapshotter\.v1\.[a-z0-9._-]+")
_NUMBER = re.compile("[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class LayerDirectory:
    """One layer on disk. ``names`` are the containers or images that refer to it."""

    path: Path
    id: str
    driver: Driver
    owner: Owner
    names: tuple[str, ...] = ()
    container_id: str = ""


def inventory(root: Path) -> tuple[LayerDirectory, ...]:
    """List every layer directory of a data-root or graphroot with its owner; raises NotFound, NotReachable."""
    opened = DataRoot(root)
    if is_podman_root(opened):
        return tuple(_podman(opened))
    names: dict[str, str] = {row.id: row.name for row in OfflineEndpoint(str(root), opened).snapshot()}
    return (*_graph_layers(opened, names), *_snapshots(opened, names))


def _graph_layers(root: DataRoot, names: Mapping[str, str]) -> Iterator[LayerDirectory]:
    for driver, storage_driver in DRIVERS.items():
        if driver.kind is DriverKind.GRAPH and (entry_names := entries(root, storage_driver.home)):
            yield from _layers_in(
                root.path / storage_driver.home, entry_names, driver, graph_claims(root, driver.name, names)
            )


def _podman(root: DataRoot) -> Iterator[LayerDirectory]:
    rows = PodmanRoot(str(root.path), root).snapshot()
    for driver, storage_driver in DRIVERS.items():
        if driver.kind is DriverKind.STORAGE and (entry_names := entries(root, storage_driver.home)):
            names: dict[str, str] = {row.id: row.name for row in rows if row.driver == driver}
            yield from _layers_in(
                root.path / storage_driver.home, entry_names, driver, podman_claims(root, driver.name, names)
            )


def _layers_in(home: Path, entry_names: list[str], driver: Driver, claims: Claims) -> Iterator[LayerDirectory]:
    for layer_id in filter(_LAYER.fullmatch, entry_names):
        yield LayerDirectory(home / layer_id, layer_id, driver, *claims.of(layer_id))


def _snapshots(root: DataRoot, names: Mapping[str, str]) -> Iterator[LayerDirectory]:
    for containerd in containerd_roots(root):
        for folder in filter(_SNAPSHOTTER.fullmatch, entries(containerd, ".")):
            if containerd.exists(f"{folder}/metadata.db"):
                yield from _snapshots_of(containerd, folder, names)


def _snapshots_of(containerd: DataRoot, folder: str, names: Mapping[str, str]) -> Iterator[LayerDirectory]:
    driver = Driver(DriverKind.SNAPSHOTTER, folder.rpartition(".v1.")[2])
    home = containerd.below(folder)
    claims = snapshot_claims(containerd, home, names)
    for kind in ("snapshots", "active"):
        for number in filter(_NUMBER.fullmatch, entries(home, kind)):
            yield LayerDirectory(home.path / kind / number, number, driver, *claims.of(number))


def layer_at(path: Path, roots: tuple[Path, ...] = ()) -> LayerDirectory:
    """Return the layer that contains a path of this host, searching ``roots`` or else the data-roots above the path.

    Raises NotFound if the path is in no layer of a data-root.
    """
    display_path = printable(str(path))
    canonical_roots = tuple(Path(os.path.realpath(root)) for root in roots)
    looked_in: tuple[Path, ...] = ()
    # try the path itself first: a symlink inside a layer belongs to that layer, wherever it points
    for candidate in dict.fromkeys((_without_short_link(Path(os.path.abspath(path))), Path(os.path.realpath(path)))):
        data_roots = canonical_roots or _roots_above(candidate)
        looked_in = looked_in or data_roots
        best = [entry for root in data_roots for entry in inventory(root) if _holds(entry, candidate, root)]
        if best:
            return max(best, key=lambda entry: len(str(entry.path)))
    if not looked_in:
        _check_permission(path)
        raise NotFound(f"{display_path} is not in a data-root", "name the data-root with --root DIR")
    raise NotFound(
        f"{display_path} is not in a layer of {printable(str(looked_in[0]))}",
        "it may be a volume or a record of the Engine",
    )


def _check_permission(path: Path) -> None:
    try:
        os.lstat(path)
    except PermissionError as error:
        raise NotReachable(f"{printable(str(path))}: permission denied", "run dtui as root, or use sudo") from error
    except OSError:
        return  # it may not exist any more; its path is enough


def _holds(entry: LayerDirectory, path: Path, root: Path) -> bool:
    """Return whether a path belongs to a layer: in its directory, or in another of the same name (``aufs/mnt``)."""
    if path.is_relative_to(entry.path):
        return True
    if entry.driver.kind is not DriverKind.GRAPH or not path.is_relative_to(root / entry.driver.name):
        return False
    return entry.id in path.relative_to(root).parts


def _without_short_link(path: Path) -> Path:
    """Follow ``overlay2/l/SHORT``, the only symlinks that Engines make between layers."""
    for part in (path, *path.parents):
        if part.parent.name == "l" and os.path.islink(part):
            target = Path(os.path.normpath(part.parent / os.readlink(part)))
            return target / path.relative_to(part)
    return path


def _is_root(path: Path) -> bool:
    try:
        root = DataRoot(path)
    except DtuiError:
        return False
    return is_podman_root(root) or is_data_root(root)


def _roots_above(path: Path) -> tuple[Path, ...]:
    for directory in (path, *path.parents):
        if _is_root(directory):
            return (directory,)
        if directory.name.startswith("io.containerd.snapshotter.") and Path("/var/lib/docker/containers").is_dir():
            return (Path("/var/lib/docker"),)
    return ()
