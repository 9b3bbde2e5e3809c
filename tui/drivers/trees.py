"""vfs and btrfs: each layer is a complete tree, and changes are found by comparison.

vfs copies every file (``vfs/dir/<id>``), btrfs takes a snapshot (``btrfs/subvolumes/<id>``). Both can be opened on the
host whether the container runs or not. Layouts read in moby daemon/graphdriver/{vfs,btrfs} (20.10 to 29), measured on
20.10.24 and 29.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tui.core.errors import LayerError
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, WhiteoutStyle
from tui.drivers.data_root import DataRoot
from tui.drivers.storage_driver import check_layer_id, init_of, inspect_command, mount_command, mount_record


class FullTrees:
    """Layers of a graph driver that keeps each layer as a complete tree in ``<folder>/<layer id>``."""

    engine_key = "SourceDir"

    def __init__(self, name: str, home: str) -> None:
        self.driver = Driver(DriverKind.GRAPH, name)
        self.home = home

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the tree, and its init-id to the tree that the container started from."""
        mount_id = mount_record(root, self.driver.name, container_id, "mount-id")
        init_id = mount_record(root, self.driver.name, container_id, "init-id")
        base = root.path / self.home
        layers = (
            Layer(mount_id, LayerRole.WRITABLE, base / mount_id),
            Layer(init_id, LayerRole.INIT, base / init_id),
        )
        return LayerStack(
            self.driver,
            layers,
            "layerdb mount-id",
            mount_command(root, self.driver.name, container_id),
            whiteout_style=WhiteoutStyle.TREE,
            root=root.directory,
        )

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take the directory from GraphDriver.Data.SourceDir, which vfs reports since Engine 29."""
        source = data.get("SourceDir")
        if not source:
            raise LayerError(
                f"the Engine reports no directory for a {self.driver.name} container", "read its data-root: --root"
            )
        path = Path(source)
        layer_id = check_layer_id(path.name)
        layers = (
            Layer(layer_id, LayerRole.WRITABLE, path),
            Layer(init_of(layer_id), LayerRole.INIT, path.with_name(init_of(layer_id))),
        )
        command = inspect_command("SourceDir", container_id)
        return LayerStack(self.driver, layers, "GraphDriver.Data.SourceDir", command, whiteout_style=WhiteoutStyle.TREE)
