"""The contract of a storage driver: it knows one backend's layout on disk and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tui.core.ids import LayerId
from tui.core.records import Driver, LayerRole, LayerStack
from tui.core.text import printable
from tui.drivers.data_root import DataRoot


class StorageDriver(Protocol):
    """One storage driver. A new one is one file and one line in the registry."""

    driver: Driver
    engine_key: str
    """Key of inspect's GraphDriver.Data by which the Engine says where a layer is; empty when it does not."""
    home: str
    """Where the driver has one entry for each layer, below the data-root; empty when that is not in it."""

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Find a container's layers by the records in a data-root; raises LayerError, NotReachable."""
        ...

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Return what the Engine says of a container's layers (inspect's GraphDriver.Data), to be shown only.

        Raises LayerError.
        """
        ...


def check_layer_id(layer_id: str) -> LayerId:
    """Return a layer id fit to be a directory's name; raises LayerError for anything else."""
    return LayerId(layer_id)


def init_of(layer_id: LayerId) -> LayerId:
    """Return the id of the layer that the Engine puts under a container's own."""
    return LayerId(f"{layer_id}-init")


def mount_record(root: DataRoot, driver: str, container_id: str, name: str) -> LayerId:
    """Return a layer id that ``layerdb/mounts/<container>`` names: mount-id or init-id; raises LayerError."""
    return check_layer_id(root.text(f"image/{driver}/layerdb/mounts/{container_id}/{name}").strip())


def role_of(layer_id: str) -> LayerRole:
    """Tell a layer below the writable one by its id: ``-init`` is what the Engine puts under every container."""
    return LayerRole.INIT if layer_id.endswith("-init") else LayerRole.IMAGE


def mount_command(root: DataRoot, driver: str, container_id: str) -> str:
    """Return what a person types to find a layer in layerdb."""
    return f"cat {printable(str(root.path))}/image/{driver}/layerdb/mounts/{container_id}/mount-id"


def inspect_command(key: str, container_id: str) -> str:
    """Return what a person types to have the Engine say where a layer is."""
    return f"docker inspect --format '{{{{.GraphDriver.Data.{key}}}}}' {container_id[:12]}"
