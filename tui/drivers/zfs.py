"""zfs: each layer is a dataset ``<parent>/<id>``, mounted at ``zfs/graph/<id>`` only while the Engine uses it.

Datasets have the mountpoint ``legacy``; a container's dataset is a clone of its ``-init`` one. Layout read in moby
daemon/graphdriver/zfs (20.10 to 29), measured on 20.10.24 with OpenZFS 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tui.core.errors import LayerError, NotReachable
from tui.core.records import Dataset, Driver, DriverKind, Layer, LayerRole, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.data_root import DataRoot
from tui.drivers.storage_driver import check_layer_id, init_of, inspect_command, mount_command, mount_record
from tui.linux.mount_table import mount_containing


class Zfs:
    """Layers of the zfs graph driver."""

    driver = Driver(DriverKind.GRAPH, "zfs")
    engine_key = "Dataset"
    home = "zfs/graph"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the dataset, a child of the one that holds the data-root."""
        mount_id = mount_record(root, "zfs", container_id, "mount-id")
        parent = _dataset_at(root.below("zfs").path)
        home = root.path / "zfs" / "graph"
        command = mount_command(root, "zfs", container_id)
        return replace(self._stack(f"{parent}/{mount_id}", home, "layerdb mount-id", command), root=root.directory)

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take dataset and mountpoint from GraphDriver.Data."""
        dataset, mountpoint = data.get("Dataset"), data.get("Mountpoint")
        if not dataset or not mountpoint:
            raise LayerError("the Engine reports no Dataset for this container", "check that its driver is zfs")
        command = inspect_command("Dataset", container_id)
        return self._stack(dataset, Path(mountpoint).parent, "GraphDriver.Data.Dataset", command)

    def _stack(self, dataset: str, home: Path, how: str, command: str) -> LayerStack:
        layer_id = check_layer_id(dataset.rpartition("/")[2])
        layers = (
            Layer(layer_id, LayerRole.WRITABLE, home / layer_id, Dataset(dataset)),
            Layer(init_of(layer_id), LayerRole.INIT, home / f"{layer_id}-init", Dataset(f"{dataset}-init")),
        )
        return LayerStack(self.driver, layers, how, command, whiteout_style=WhiteoutStyle.TREE)


def _dataset_at(path: Path) -> str:
    """Return the dataset that holds a directory; raises NotReachable if it is not on ZFS."""
    mount = mount_containing(str(path))
    if mount is None or mount.kind != "zfs":
        raise NotReachable(
            f"{printable(str(path))} is not on a mounted ZFS dataset", "zfs mount it, or name the right data-root"
        )
    return mount.source
