"""podman's containers/storage: ``overlay`` with the files of Docker's overlay2, and ``vfs``; records in JSON.

``<driver>-containers/containers.json`` maps container ids to layer ids, ``<driver>-layers/layers.json`` has their
parents. There is no init layer. Read in containers/storage, measured on podman 4.3.1 and 5.8.6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui.core.errors import LayerError, NotFound
from tui.core.model import Driver, DriverKind, Layer, LayerRole, LayerStack, Marks
from tui.core.text import printable
from tui.drivers.base import DataRoot, check_layer_id, inspect_command, read_record
from tui.drivers.overlay2 import overlay2_layers, uses_user_xattrs

_HOW = "containers.json"


def records(path: Path) -> list[dict[str, Any]]:
    """Read a list of records; raises LayerError for anything else."""
    try:
        found = json.loads(read_record(path))
    except ValueError as error:
        raise LayerError(f"{printable(str(path))} is not whole JSON", "the storage's record is damaged") from error
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise LayerError(f"{printable(str(path))} holds no list of records", "the storage's record is damaged")
    return found


def _layer_of(root: DataRoot, driver: str, container_id: str) -> str:
    for record in records(root.path / f"{driver}-containers" / "containers.json"):
        if record.get("id") == container_id:
            return check_layer_id(str(record.get("layer")))
    raise NotFound(f"the storage knows no container {container_id[:12]}", "it was removed meanwhile")


def _command(root: DataRoot, driver: str) -> str:
    return f"cat {printable(str(root.path))}/{driver}-containers/containers.json"


class PodmanOverlay:
    """Layers of podman's overlay driver."""

    driver = Driver(DriverKind.STORAGE, "overlay")
    tells = "UpperDir"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow containers.json to the layer, and its ``lower`` file to those below."""
        layer_id = _layer_of(root, "overlay", container_id)
        layers = overlay2_layers(root.path / "overlay", layer_id)
        return self._stack(layers, _HOW, _command(root, "overlay"))

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take the directories from GraphDriver.Data: UpperDir, LowerDir."""
        upper = data.get("UpperDir")
        if not upper:
            raise LayerError("podman names no UpperDir for this container", "is it an overlay container?")
        layers = [Layer(Path(upper).parent.name, LayerRole.WRITABLE, Path(upper))]
        for path in map(Path, filter(None, data.get("LowerDir", "").split(":"))):
            layers.append(Layer(path.parent.name, LayerRole.IMAGE, path))
        command = inspect_command("UpperDir", container_id).replace("docker", "podman", 1)
        return self._stack(layers, "GraphDriver.Data.UpperDir", command)

    def _stack(self, layers: list[Layer], how: str, command: str) -> LayerStack:
        upper = layers[0].path
        work = upper.with_name("work")
        return LayerStack(self.driver, tuple(layers), how, command, work=work, userxattr=uses_user_xattrs(upper))


class PodmanVfs:
    """Layers of podman's vfs driver: whole trees, the container's compared with the image's topmost."""

    driver = Driver(DriverKind.STORAGE, "vfs")
    tells = ""

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow containers.json to the tree, and layers.json to the one it was copied from."""
        layer_id = _layer_of(root, "vfs", container_id)
        parents = {record.get("id"): record.get("parent") for record in records(root.path / "vfs-layers/layers.json")}
        parent = parents.get(layer_id)
        if not parent:
            raise LayerError(f"layer {layer_id[:12]} has no parent in layers.json", "the storage's record is damaged")
        base = root.path / "vfs" / "dir"
        layers = (
            Layer(layer_id, LayerRole.WRITABLE, base / layer_id),
            Layer(check_layer_id(str(parent)), LayerRole.IMAGE, base / str(parent)),
        )
        return LayerStack(self.driver, layers, _HOW, _command(root, "vfs"), marks=Marks.TREE)

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Refuse: podman tells nothing about vfs layers (GraphDriver.Data is null)."""
        del data
        raise LayerError(f"podman tells nothing about the layers of {container_id[:12]}", "read its graphroot")
