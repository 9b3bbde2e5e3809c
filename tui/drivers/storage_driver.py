"""The interface of a storage driver. A driver knows the layout of one backend on disk and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tui.core.ids import LayerId
from tui.core.records import Driver, LayerRole, LayerStack
from tui.core.text import printable
from tui.drivers.data_root import DataRoot


class StorageDriver(Protocol):
    """One storage driver. To add one, write a module and add a line to the registry."""

    driver: Driver
    engine_key: str
    """The key of inspect's GraphDriver.Data that locates the layer; empty if the Engine reports none."""
    home: str
    """Directory below the data-root with one entry per layer; empty if it is elsewhere."""

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Find a container's layers from the records in a data-root; raises LayerError, NotReachable."""
        ...

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Return the layers that the Engine reports (inspect's GraphDriver.Data). For display only: never opened.

        Raises LayerError.
        """
        ...


def check_layer_id(layer_id: str) -> LayerId:
    """Return a layer id that is safe as a directory name; raises LayerError."""
    return LayerId(layer_id)


def init_of(layer_id: LayerId) -> LayerId:
    """Return the id of the ``-init`` layer, which the Engine puts below a container's own layer."""
    return LayerId(f"{layer_id}-init")


def mount_record(root: DataRoot, driver: str, container_id: str, name: str) -> LayerId:
    """Return the layer id in ``layerdb/mounts/<container>/<name>`` (mount-id or init-id); raises LayerError."""
    return check_layer_id(root.text(f"image/{driver}/layerdb/mounts/{container_id}/{name}").strip())


def role_of(layer_id: str) -> LayerRole:
    """Return the role of a layer below the writable one, by its id: the Engine's own ends in ``-init``."""
    return LayerRole.INIT if layer_id.endswith("-init") else LayerRole.IMAGE


def mount_command(root: DataRoot, driver: str, container_id: str) -> str:
    """Return the command with which a person finds a layer in layerdb."""
    return f"cat {printable(str(root.path))}/image/{driver}/layerdb/mounts/{container_id}/mount-id"


def inspect_command(key: str, container_id: str) -> str:
    """Return the command with which a person asks the Engine where a layer is."""
    return f"docker inspect --format '{{{{.GraphDriver.Data.{key}}}}}' {container_id[:12]}"
