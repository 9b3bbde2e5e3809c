"""Whose is each layer directory of a data-root: a container's, an image's, the build cache's, or nobody's.

Everything is read from records; nothing is asked of an Engine and nothing is written. Layouts: moby layer/filestore.go
(``layerdb``), image/fs.go (``imagedb``), builder/builder-next/adapters/snapshot (``buildkit/snapshots.db``), containerd
core/metadata/buckets.go, containers/storage; measured on Docker 20.10 and 28.5, podman 4.3.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tui.core.errors import DtuiError, NotFound
from tui.core.model import Driver, DriverKind
from tui.core.text import printable
from tui.drivers.base import DataRoot, read_record
from tui.drivers.bolt import Bucket, read_bolt
from tui.drivers.podman import records
from tui.drivers.snapshotters import all_snapshots, containerd_roots
from tui.engine.images import docker_images, stored_images
from tui.engine.offline import OfflineEndpoint
from tui.engine.podman_root import PodmanRoot, is_podman_root

GRAPH_HOMES = {
    "overlay2": "overlay2",
    "fuse-overlayfs": "fuse-overlayfs",
    "overlay": "overlay",
    "aufs": "aufs/diff",
    "btrfs": "btrfs/subvolumes",
    "vfs": "vfs/dir",
    "devicemapper": "devicemapper/metadata",
    "zfs": "zfs/graph",
}
"""Where each graph driver has one entry for each layer, below the data-root."""

_LAYER = re.compile(r"[0-9a-z]{25}|[0-9a-f]{64}(-init)?")
"""Names that Engines give to layers: 25 letters and digits come from BuildKit."""


class Owner(StrEnum):
    """What a layer directory is there for."""

    CONTAINER = "container"
    INIT = "init layer"
    IMAGE = "image layer"
    CACHE = "build cache"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class LayerDirectory:
    """One layer on disk; ``names`` are the containers or images that refer to it."""

    path: Path
    id: str
    driver: Driver
    owner: Owner
    names: tuple[str, ...] = ()
    container_id: str = ""


Claims = dict[str, tuple[Owner, tuple[str, ...], str]]
"""Layer id to its owner, the names of those that refer to it, and the container's id."""


def inventory(root: Path) -> tuple[LayerDirectory, ...]:
    """List every layer directory of a data-root or graphroot with its owner; raises NotFound, NotReachable."""
    if is_podman_root(root):
        return tuple(_podman(root))
    rows = OfflineEndpoint(str(root), root).snapshot()
    names = {row.id: row.name for row in rows}
    return (*_graph_layers(root, names), *_snapshots(root, names))


def _graph_layers(root: Path, names: dict[str, str]) -> Iterator[LayerDirectory]:
    cache = _build_cache(root)
    for driver, home in GRAPH_HOMES.items():
        claims = _graph_claims(root, driver, names)
        for layer_id in _entries(root / home):
            if _LAYER.fullmatch(layer_id):
                nobody = (Owner.CACHE if layer_id in cache else Owner.ORPHAN, (), "")
                owner, users, container = claims.get(layer_id, nobody)
                place = root / home / layer_id
                yield LayerDirectory(place, layer_id, Driver(DriverKind.GRAPH, driver), owner, users, container)


def _entries(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []  # a driver that was never used here


def _graph_claims(root: Path, driver: str, names: dict[str, str]) -> Claims:
    claims: Claims = {}
    layerdb = root / "image" / driver / "layerdb"
    users = docker_images(root / "image" / driver)
    for chain in _entries(layerdb / "sha256"):
        with suppress(DtuiError):
            cache_id = read_record(layerdb / "sha256" / chain / "cache-id").strip()
            if chain in users:
                claims[cache_id] = (Owner.IMAGE, users[chain], "")
    for container_id in _entries(layerdb / "mounts"):
        if container_id not in names:
            continue  # its container is gone: what it names is nobody's
        for record, owner in (("mount-id", Owner.CONTAINER), ("init-id", Owner.INIT)):
            with suppress(DtuiError):
                layer_id = read_record(layerdb / "mounts" / container_id / record).strip()
                claims[layer_id] = (owner, (names[container_id],), container_id)
    return claims


def _build_cache(root: Path) -> set[str]:
    """Return the layer ids that BuildKit knows; with a graph driver its snapshots are layers under their own name."""
    with suppress(DtuiError):
        database = read_bolt(root / "buildkit" / "snapshots.db")
        return {name.decode("ascii", "replace") for name, value in database.items() if isinstance(value, Bucket)}
    return set()


def _snapshots(root: Path, names: dict[str, str]) -> Iterator[LayerDirectory]:
    for place in containerd_roots(DataRoot(root)):
        for home in sorted(place.glob("io.containerd.snapshotter.v1.*")):
            if os.path.exists(home / "metadata.db"):
                yield from _snapshots_of(home, names, stored_images(place))


def _snapshots_of(home: Path, names: dict[str, str], users: dict[str, tuple[str, ...]]) -> Iterator[LayerDirectory]:
    driver = Driver(DriverKind.SNAPSHOTTER, home.name.rpartition(".v1.")[2])
    known = {str(snapshot.number): snapshot.key for snapshot in all_snapshots(home)}
    for folder in ("snapshots", "active"):
        for number in filter(str.isdigit, _entries(home / folder)):
            owner, referring, container = _snapshot_owner(known.get(number), names, users)
            yield LayerDirectory(home / folder / number, number, driver, owner, referring, container)


def _snapshot_owner(
    key: str | None, names: dict[str, str], users: dict[str, tuple[str, ...]]
) -> tuple[Owner, tuple[str, ...], str]:
    if key is None:
        return Owner.ORPHAN, (), ""
    container = key.removesuffix("-init")
    if container in names:
        return (Owner.CONTAINER if key == container else Owner.INIT), (names[container],), container
    chain = key.removeprefix("sha256:")
    return (Owner.IMAGE, users[chain], "") if chain in users else (Owner.CACHE, (), "")


def _podman(root: Path) -> Iterator[LayerDirectory]:
    for row_driver in ("overlay", "vfs"):
        home = root / ("overlay" if row_driver == "overlay" else "vfs/dir")
        claims = _podman_claims(root, row_driver)
        for layer_id in _entries(home):
            if _LAYER.fullmatch(layer_id):
                owner, users, container = claims.get(layer_id, (Owner.ORPHAN, (), ""))
                driver = Driver(DriverKind.STORAGE, row_driver)
                yield LayerDirectory(home / layer_id, layer_id, driver, owner, users, container)


def _podman_claims(root: Path, driver: str) -> Claims:
    parents: dict[str, str] = {}
    users: dict[str, set[str]] = defaultdict(set)
    claims: Claims = {}
    with suppress(DtuiError):
        found = records(root / f"{driver}-layers" / "layers.json")
        parents = {str(record.get("id")): str(record.get("parent") or "") for record in found}
    with suppress(DtuiError):
        for image in records(root / f"{driver}-images" / "images.json"):
            names = image.get("names") or [str(image.get("id"))[:12]]
            layer_id, steps = str(image.get("layer") or ""), 0
            while layer_id in parents and steps <= len(parents):
                users[layer_id].update(map(str, names))
                layer_id, steps = parents[layer_id], steps + 1
    for layer_id, referring in users.items():
        claims[layer_id] = (Owner.IMAGE, tuple(sorted(referring)), "")
    endpoint = PodmanRoot(str(root), root)
    by_id = {row.id: row.name for row in endpoint.snapshot() if row.driver.name == driver}
    for record in records(root / f"{driver}-containers" / "containers.json") if by_id else ():
        container_id = str(record.get("id"))
        names_of = (by_id.get(container_id, container_id[:12]),)
        claims[str(record.get("layer"))] = (Owner.CONTAINER, names_of, container_id)
    return claims


def which(path: Path, roots: tuple[Path, ...] = ()) -> LayerDirectory:
    """Say whose layer a path of this host lies in; ``roots`` are data-roots to look in, else those above the path.

    Raises NotFound for a path that is in no layer of a data-root.
    """
    place = _without_short_link(Path(os.path.abspath(path)))
    shown = printable(str(path))
    found = roots or _roots_above(place)
    if not found:
        raise NotFound(f"{shown} lies in no data-root", "name the data-root with --root DIR")
    for root in found:
        best = [entry for entry in inventory(root) if _holds(entry, place, root)]
        if best:
            return max(best, key=lambda entry: len(str(entry.path)))
    raise NotFound(f"{shown} is in no layer of {printable(str(found[0]))}", "is it a volume or a record?")


def _holds(entry: LayerDirectory, place: Path, root: Path) -> bool:
    """Tell whether a path belongs to a layer: below its directory, or below another of that name (``aufs/mnt``)."""
    if place.is_relative_to(entry.path):
        return True
    if entry.driver.kind is not DriverKind.GRAPH or not place.is_relative_to(root / entry.driver.name):
        return False
    return entry.id in place.relative_to(root).parts


def _without_short_link(place: Path) -> Path:
    """Follow ``overlay2/l/SHORT``, the only links that Engines make between layers."""
    for part in (place, *place.parents):
        if part.parent.name == "l" and part.is_symlink():
            target = Path(os.path.normpath(part.parent / os.readlink(part)))
            return target / place.relative_to(part)
    return place


def _roots_above(place: Path) -> tuple[Path, ...]:
    for above in (place, *place.parents):
        if is_podman_root(above):
            return (above,)
        if (above / "containers").is_dir() and ((above / "image").is_dir() or (above / "containerd").is_dir()):
            return (above,)
        if above.name.startswith("io.containerd.snapshotter.") and Path("/var/lib/docker/containers").is_dir():
            return (Path("/var/lib/docker"),)
    return ()
