"""Who refers to each layer of a data-root: containers, images, the build cache.

Everything is read from records. A record that cannot be read is noted, because then nothing proves that a layer is
unused. Layouts: moby layer/filestore.go (``layerdb``), image/fs.go (``imagedb``),
builder/builder-next/adapters/snapshot (``buildkit/snapshots.db``), containerd core/metadata/buckets.go,
containers/storage; measured on Docker 20.10 and 28.5, podman 4.3.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tui.core.errors import DtuiError, LayerError
from tui.drivers.bolt import Bucket, read_bolt
from tui.drivers.containers_storage import container_records, layer_records, read_records
from tui.drivers.data_root import DataRoot, data_root_error
from tui.drivers.snapshotters import Snapshot, all_snapshots
from tui.inventory.images import docker_images, stored_images

_CHAIN = re.compile("[0-9a-f]{64}")
"""A chain id, which is the name of a directory in ``layerdb``."""


_MAX_CHAIN = 1_000
"""Longest chain of layers that is followed; overlay itself takes half as many."""


class Owner(StrEnum):
    """Who needs something that lies in a data-root.

    Of a volume that no container mounts it is UNUSED: unlike an orphan, the Engine knows it, and it may be wanted.
    """

    CONTAINER = "container"
    INIT = "init layer"
    IMAGE = "image layer"
    CACHE = "build cache"
    ENGINE = "engine"
    UNUSED = "unused"
    ORPHAN = "orphan"
    UNKNOWN = "unknown"


Claim = tuple[Owner, tuple[str, ...], str]
"""A layer's owner, the names of those that refer to it, and the container's id."""


@dataclass
class Claims:
    """What is known about the layers of one driver."""

    by_layer: dict[str, Claim] = field(default_factory=dict)
    errors: list[DtuiError] = field(default_factory=list)
    """Errors of records that could not be read."""

    def of(self, layer_id: str) -> Claim:
        """Return a layer's owner. It is an orphan only if every record could be read."""
        nobody = Owner.UNKNOWN if self.errors else Owner.ORPHAN
        return self.by_layer.get(layer_id, (nobody, (), ""))

    def add(self, layer_id: str, owner: Owner, names: Iterable[str] = (), container_id: str = "") -> None:
        """Record an owner unless the layer already has one."""
        self.by_layer.setdefault(layer_id, (owner, tuple(sorted(names)), container_id))

    def ancestry(self, layer: str, parent_of: Callable[[str], str]) -> Iterator[str]:
        """Yield a layer and those below it, up to an empty name or a cycle. A chain that is too long is noted as
        missed."""
        visited: set[str] = set()
        while layer and layer not in visited:
            if len(visited) == _MAX_CHAIN:
                self.errors.append(LayerError(f"a chain has more than {_MAX_CHAIN:,} layers", "it is damaged"))
                return
            visited.add(layer)
            yield layer
            layer = parent_of(layer)

    @contextmanager
    def collecting_errors(self) -> Iterator[None]:
        """Note errors inside the context and go on."""
        try:
            yield
        except DtuiError as error:
            self.errors.append(error)


def entries(root: DataRoot, name: str) -> list[str]:
    """List a directory; empty for a driver that was never used here. Raises NotReachable without permission."""
    try:
        return sorted(root.names(name))
    except PermissionError as error:
        raise data_root_error(root.display_path(name), error) from error
    except OSError:
        return []


# Docker's graph drivers --------------------------------------------------------------------------------------


def graph_claims(root: DataRoot, driver: str, names: Mapping[str, str]) -> Claims:
    """Find the owners of a graph driver's layers; ``names`` are the containers' names by id."""
    claims = Claims()
    layerdb = f"image/{driver}/layerdb"
    for container_id in entries(root, f"{layerdb}/mounts"):
        if container_id in names:  # a record without its container claims nothing
            for record, owner in (("mount-id", Owner.CONTAINER), ("init-id", Owner.INIT)):
                if layer_id := _record_line(claims, root, f"{layerdb}/mounts/{container_id}/{record}"):
                    claims.add(layer_id, owner, [names[container_id]], container_id)
    sha256 = f"{layerdb}/sha256"
    chains = {chain: _record_line(claims, root, f"{sha256}/{chain}/cache-id") for chain in entries(root, sha256)}
    for chain, users in docker_images(root, f"image/{driver}", claims.errors).items():
        claims.add(chains.get(chain, ""), Owner.IMAGE, users)
    for chain, used_by in _chains_of_containers(claims, root, layerdb, names).items():
        claims.add(chains.get(chain, ""), Owner.IMAGE, used_by)
    _claim_build_cache(claims, root, layerdb, chains)
    return claims


def _record_line(claims: Claims, root: DataRoot, name: str) -> str:
    """Return a record of one line, empty if it does not exist."""
    if root.exists(name):
        with claims.collecting_errors():
            return root.text(name).strip()
    return ""


def _chains_of_containers(
    claims: Claims, root: DataRoot, layerdb: str, names: Mapping[str, str]
) -> dict[str, set[str]]:
    """Return the chain ids that containers are based on: their images may have been removed by force."""
    users: dict[str, set[str]] = defaultdict(set)
    for container_id in entries(root, f"{layerdb}/mounts"):
        if container_id in names:
            parent = _record_line(claims, root, f"{layerdb}/mounts/{container_id}/parent")
            for chain in _chain_ancestry(claims, root, layerdb, parent):
                users[chain].add(names[container_id])
    return users


def _chain_ancestry(claims: Claims, root: DataRoot, layerdb: str, chain: str) -> Iterator[str]:
    """Yield a chain id and those below it, without ``sha256:``."""

    def known(text: str) -> str:
        chain_id = text.removeprefix("sha256:")
        return chain_id if _CHAIN.fullmatch(chain_id) else ""

    return claims.ancestry(
        known(chain), lambda child: known(_record_line(claims, root, f"{layerdb}/sha256/{child}/parent"))
    )


def _claim_build_cache(claims: Claims, root: DataRoot, layerdb: str, chains: Mapping[str, str]) -> None:
    """Claim what BuildKit uses: its own snapshots, and the chains they were committed as."""
    if not root.exists("buildkit/snapshots.db"):
        return
    with claims.collecting_errors():
        for name, record in read_bolt(root, "buildkit/snapshots.db").items():
            if isinstance(record, Bucket):
                claims.add(name.decode("ascii", "replace"), Owner.CACHE)
                for chain in _chain_ancestry(
                    claims, root, layerdb, record.value(b"chainid").decode("ascii", "replace")
                ):
                    claims.add(chains.get(chain, ""), Owner.CACHE)


# containerd's snapshotters -----------------------------------------------------------------------------------


def snapshot_claims(containerd: DataRoot, home: DataRoot, names: Mapping[str, str]) -> Claims:
    """Find the owners of a snapshotter's snapshots, by number."""
    claims = Claims()
    users = stored_images(containerd, claims.errors)
    with claims.collecting_errors():
        snapshots = {snapshot.name: snapshot for snapshot in all_snapshots(home)}
        of_images = _users_above(
            claims, snapshots, {name: users.get(_chain(record), ()) for name, record in snapshots.items()}
        )
        of_containers = _users_above(
            claims, snapshots, {name: [names[record.key]] for name, record in snapshots.items() if record.key in names}
        )
        for name, snapshot in snapshots.items():
            number, container = str(snapshot.number), snapshot.key.removesuffix("-init")
            if container in names:
                owner = Owner.CONTAINER if snapshot.key == container else Owner.INIT
                claims.add(number, owner, [names[container]], container)
            elif referring := users.get(_chain(snapshot)) or of_images.get(name) or of_containers.get(name):
                claims.add(number, Owner.IMAGE, referring)
            else:
                claims.add(number, Owner.UNKNOWN if claims.errors else Owner.CACHE)
    return claims


def _chain(snapshot: Snapshot) -> str:
    return snapshot.key.removeprefix("sha256:")


def _users_above(
    claims: Claims, snapshots: Mapping[bytes, Snapshot], users: Mapping[bytes, Iterable[str]]
) -> dict[bytes, set[str]]:
    """Return the names that use each snapshot or one further up.

    The image alone is not enough: a committed image is also based on its container's init layer.
    """
    names_by_snapshot: dict[bytes, set[str]] = defaultdict(set)
    for top, names in users.items():
        named = set(names)
        for number, ancestor in enumerate(_parents(snapshots, top)):
            if names_by_snapshot[ancestor.name].issuperset(named):
                break
            if number == _MAX_CHAIN:
                claims.errors.append(LayerError(f"a chain has more than {_MAX_CHAIN:,} snapshots", "it is damaged"))
                break
            names_by_snapshot[ancestor.name].update(named)
    return names_by_snapshot


def _parents(snapshots: Mapping[bytes, Snapshot], name: bytes) -> Iterator[Snapshot]:
    """Yield the snapshots below one, endlessly if they form a cycle."""
    while parent := snapshots.get(snapshots[name].parent):
        name = parent.name
        yield parent


# podman ------------------------------------------------------------------------------------------------------


def podman_claims(root: DataRoot, driver: str, names: Mapping[str, str]) -> Claims:
    """Find the owners of the layers of podman's storage; ``names`` are the containers' names by id."""
    claims = Claims()
    parents: dict[str, str] = {}
    users: dict[str, set[str]] = defaultdict(set)
    if root.exists(f"{driver}-layers"):
        with claims.collecting_errors():
            layers = layer_records(root, driver)
            parents = {str(record.get("id")): str(record.get("parent") or "") for record in layers}
    with claims.collecting_errors():
        for record in container_records(root, driver) if names else ():
            container_id = str(record.get("id"))
            name = names.get(container_id, container_id[:12])
            claims.add(str(record.get("layer")), Owner.CONTAINER, [name], container_id)
            _add_users(claims, users, parents, parents.get(str(record.get("layer")), ""), [name])
    images: dict[str, set[str]] = defaultdict(set)
    if root.exists(f"{driver}-images"):
        with claims.collecting_errors():
            for image in read_records(root, f"{driver}-images/images.json"):
                for layer_id in _top_layers(image):
                    _add_users(claims, images, parents, layer_id, image.get("names") or [str(image.get("id"))[:12]])
    for layer_id, referring in (*images.items(), *users.items()):
        claims.add(layer_id, Owner.IMAGE, referring)
    return claims


def _top_layers(image: Mapping[str, Any]) -> list[str]:
    """Return an image's topmost layer and the copies of it with other owners."""
    mapped_layers = image.get("mapped-layers") or []
    names = image.get("names") or []
    if not isinstance(mapped_layers, list) or not isinstance(names, list):
        raise LayerError("a record of images.json is invalid", "the storage's record is damaged")
    return [str(image.get("layer") or ""), *map(str, mapped_layers)]


def _add_users(
    claims: Claims, users: dict[str, set[str]], parents: Mapping[str, str], layer_id: str, names: Iterable[object]
) -> None:
    """Add names to a layer and all layers below it."""
    named = set(map(str, names))

    def known(layer: str) -> str:
        return layer if layer in parents else ""

    for layer in claims.ancestry(known(layer_id), lambda child: known(parents[child])):
        users[layer].update(named)
