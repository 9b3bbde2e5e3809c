"""podman's containers/storage: ``overlay`` in the layout of Docker's overlay2, and ``vfs``, with records in JSON.

``<driver>-containers/containers.json`` maps container ids to layer ids, ``<driver>-layers/layers.json`` names their
parents; ``volatile-*.json`` in the same directories holds records that do not survive a reboot. There is no init layer.
Read in containers/storage, measured on podman 4.3.1 and 5.8.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tui.core.errors import LayerError, NotFound
from tui.core.ids import LayerId
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.data_root import DataRoot, parse_json
from tui.drivers.overlay2 import overlay2_layers, uses_user_xattrs
from tui.drivers.storage_driver import check_layer_id, inspect_command
from tui.drivers.users import ids_of_record

_LOCATED_BY = "containers.json"


def read_records(root: DataRoot, name: str) -> list[dict[str, Any]]:
    """Read a list of records, shared between callers: do not modify it. Raises LayerError for anything else."""
    try:
        status = root.status(name)
    except OSError:
        return _parsed_records(root, name, None)
    return _parsed_records(root, name, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=8)
def _parsed_records(root: DataRoot, name: str, version: tuple[int, int, int] | None) -> list[dict[str, Any]]:
    """Read a list of records, once per version of the file: one file holds the records of all containers."""
    del version
    records = parse_json(root.text(name), root.display_path(name))
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise LayerError(f"{root.display_path(name)} does not hold a list of records", "podman's record is damaged")
    return records


def has_records(root: DataRoot, driver: str) -> bool:
    """Return whether podman keeps containers with this driver here."""
    return any(map(root.exists, _record_paths(driver, "containers")))


def container_records(root: DataRoot, driver: str) -> list[dict[str, Any]]:
    """Return the records of a driver's containers; raises LayerError, NotReachable."""
    return _all_records(root, driver, "containers")


def layer_records(root: DataRoot, driver: str) -> list[dict[str, Any]]:
    """Return the records of a driver's layers; raises LayerError, NotReachable."""
    return _all_records(root, driver, "layers")


def _record_paths(driver: str, kind: str) -> tuple[str, str]:
    directory = f"{driver}-{kind}"
    return f"{directory}/{kind}.json", f"{directory}/volatile-{kind}.json"


def _all_records(root: DataRoot, driver: str, kind: str) -> list[dict[str, Any]]:
    persistent, volatile = _record_paths(driver, kind)
    if not root.exists(volatile):
        return read_records(root, persistent)
    return (read_records(root, persistent) if root.exists(persistent) else []) + read_records(root, volatile)


def _record_of(root: DataRoot, driver: str, container_id: str) -> dict[str, Any]:
    for record in container_records(root, driver):
        if record.get("id") == container_id:
            return record
    raise NotFound(f"podman's storage has no container {container_id[:12]}", "it was removed meanwhile")


def _layer_of(record: dict[str, Any]) -> LayerId:
    return check_layer_id(str(record.get("layer")))


def _is_idmapped(root: DataRoot, container: dict[str, Any]) -> bool:
    """Return whether only the mounts map a container's users: its own record has the map, its layer's has not.

    Where the kernel cannot map mounts, podman gives the container a copy of the image with other owners instead, and
    records the map with the layer too.
    """
    if not (container.get("uidmap") or container.get("gidmap")):
        return False
    layer = next(
        (record for record in layer_records(root, "overlay") if record.get("id") == container.get("layer")), {}
    )
    return not (layer.get("uidmap") or layer.get("gidmap"))


def _command(root: DataRoot, driver: str) -> str:
    return f"cat {printable(str(root.path))}/{driver}-containers/containers.json"


class PodmanOverlay:
    """Layers of podman's overlay driver."""

    driver = Driver(DriverKind.STORAGE, "overlay")
    engine_key = "UpperDir"
    home = "overlay"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow containers.json to the layer, and its ``lower`` file to the layers below."""
        record = _record_of(root, "overlay", container_id)
        layers = overlay2_layers(root, "overlay", _layer_of(record))
        return replace(
            self._stack(layers, _LOCATED_BY, _command(root, "overlay")),
            root=root.directory,
            userxattr=uses_user_xattrs(root, f"overlay/{layers[0].id}"),
            idmapped=_is_idmapped(root, record),
            ids=ids_of_record(record),
        )

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take the directories from GraphDriver.Data: UpperDir, LowerDir."""
        upper = data.get("UpperDir")
        if not upper:
            raise LayerError("podman reports no UpperDir for this container", "check that its driver is overlay")
        layers = [Layer(check_layer_id(Path(upper).parent.name), LayerRole.WRITABLE, Path(upper))]
        for path in map(Path, filter(None, data.get("LowerDir", "").split(":"))):
            layers.append(Layer(check_layer_id(path.parent.name), LayerRole.IMAGE, path))
        command = inspect_command("UpperDir", container_id).replace("docker", "podman", 1)
        return self._stack(layers, "GraphDriver.Data.UpperDir", command)

    def _stack(self, layers: list[Layer], how: str, command: str) -> LayerStack:
        upper = layers[0].path
        return LayerStack(
            self.driver,
            tuple(layers),
            how,
            command,
            work_dir=upper.with_name("work"),
            merged=upper.with_name("merged"),
        )


class PodmanVfs:
    """Layers of podman's vfs driver: complete trees. The container's is compared with the image's topmost."""

    driver = Driver(DriverKind.STORAGE, "vfs")
    engine_key = ""
    home = "vfs/dir"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow containers.json to the tree, and layers.json to the tree it was copied from."""
        record = _record_of(root, "vfs", container_id)
        layer_id = _layer_of(record)
        parents = {layer.get("id"): layer.get("parent") for layer in layer_records(root, "vfs")}
        parent = parents.get(layer_id)
        if not parent:
            raise LayerError(f"layer {layer_id[:12]} has no parent in layers.json", "podman's record is damaged")
        base = root.path / "vfs" / "dir"
        layers = (
            Layer(layer_id, LayerRole.WRITABLE, base / layer_id),
            Layer(check_layer_id(str(parent)), LayerRole.IMAGE, base / str(parent)),
        )
        return LayerStack(
            self.driver,
            layers,
            _LOCATED_BY,
            _command(root, "vfs"),
            ids=ids_of_record(record),
            whiteout_style=WhiteoutStyle.TREE,
            root=root.directory,
        )

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Raise LayerError: podman reports nothing about vfs layers (GraphDriver.Data is null)."""
        del data
        raise LayerError(f"podman does not report the layers of {container_id[:12]}", "read its graphroot: --root")
