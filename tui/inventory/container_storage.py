"""What containers have in a data-root apart from their layers: their record, their logs, and volumes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tui.core.errors import DtuiError
from tui.core.ids import ContainerId
from tui.core.records import Container, Mount
from tui.drivers.data_root import DataRoot
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.podman import PodmanRoot, is_podman_root
from tui.inventory.entries import DiskEntry, EntryType
from tui.inventory.references import Owner, entries

VOLUMES = "volumes"

_LOG = re.compile(r"[0-9a-f]{64}-json\.log.*|local-logs|container-cached\.log.*|ctr\.log.*")
"""Logs of Docker's json-file, local and cached drivers, and of podman's k8s-file, with those that were rotated."""

_ID = re.compile("[0-9a-f]{64}")


def list_container_storage(root: DataRoot) -> Iterator[DiskEntry]:
    """Yield the record and the logs of each container, and every volume; raises NotReachable."""
    if is_podman_root(root):
        podman = PodmanRoot(str(root.path), root)
        containers, mounts_of = podman.snapshot(), podman.mounts
        homes = {f"{name}-containers": "/userdata" for name in podman.drivers()}
    else:
        docker = OfflineEndpoint(str(root.path), root)
        containers, mounts_of = docker.snapshot(), docker.mounts
        homes = {"containers": ""}
    for home, logs in homes.items():
        yield from _records(root, home, logs, {container.id: container.name for container in containers})
    yield from _volumes(root, containers, mounts_of)


def record_homes(root: DataRoot) -> list[str]:
    """Return the directories that hold the containers' records."""
    if is_podman_root(root):
        return [f"{name}-containers" for name in PodmanRoot(str(root.path), root).drivers()]
    return ["containers"]


def _records(root: DataRoot, home: str, logs_in: str, names: dict[ContainerId, str]) -> Iterator[DiskEntry]:
    for container_id in filter(_ID.fullmatch, entries(root, home)):
        name = names.get(ContainerId(container_id))
        claim = (Owner.CONTAINER if name else Owner.ORPHAN, (name,) if name else (), container_id if name else "")
        path = root.path / home / container_id
        directory = f"{home}/{container_id}{logs_in}"
        logs = tuple(root.path / directory / log for log in filter(_LOG.fullmatch, entries(root, directory)))
        yield DiskEntry(path, container_id, EntryType.RECORD, *claim, without=logs)
        if logs:
            yield DiskEntry(logs[0], container_id, EntryType.LOG, *claim, files=logs)


def _volumes(
    root: DataRoot, containers: Iterable[Container], mounts_of: Callable[[Container], tuple[Mount, ...]]
) -> Iterator[DiskEntry]:
    names = [name for name in entries(root, VOLUMES) if root.exists(f"{VOLUMES}/{name}/_data")]
    if not names:
        return
    home = root.path / VOLUMES
    users: dict[str, set[Container]] = defaultdict(set)
    has_unreadable = False
    for container in containers:
        try:
            mounts = mounts_of(container)
        except DtuiError:
            has_unreadable = True
            continue
        for mount in mounts:
            if mount.source.startswith("/") and Path(mount.source).is_relative_to(home):
                users[Path(mount.source).relative_to(home).parts[0]].add(container)
    nobody = Owner.UNKNOWN if has_unreadable else Owner.UNUSED
    for name in names:
        used_by = sorted(users[name], key=lambda row: row.name)
        owner = Owner.CONTAINER if used_by else nobody
        container_id = used_by[0].id if len(used_by) == 1 else ""
        yield DiskEntry(
            home / name, name, EntryType.VOLUME, owner, tuple(container.name for container in used_by), container_id
        )
