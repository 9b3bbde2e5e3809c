"""aufs, Docker's first driver: ``aufs/diff/<id>`` holds the files, ``aufs/layers/<id>`` the ids below, nearest first.

Removed in Engine 24. Its data-roots can be read on any kernel, because dtui computes the union itself. Layout read in
moby daemon/graphdriver/aufs and measured on a data-root of Docker 20.10.24.
"""

from __future__ import annotations

from collections.abc import Mapping

from tui.core.errors import LayerError
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, WhiteoutStyle
from tui.drivers.data_root import DataRoot
from tui.drivers.overlay2 import MAX_LAYERS
from tui.drivers.storage_driver import check_layer_id, mount_command, mount_record, role_of


class Aufs:
    """Layers of the aufs graph driver."""

    driver = Driver(DriverKind.GRAPH, "aufs")
    engine_key = ""
    home = "aufs/diff"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the branch, and ``layers/<mount-id>`` to the branches below."""
        mount_id = mount_record(root, "aufs", container_id, "mount-id")
        lower_ids = root.text(f"aufs/layers/{mount_id}").split(None, MAX_LAYERS)
        if len(lower_ids) > MAX_LAYERS:
            raise LayerError(
                f"layer {mount_id[:12]} names more than {MAX_LAYERS} below it",
                "its record is damaged; restore it, or remove the container",
            )
        layers = [Layer(mount_id, LayerRole.WRITABLE, root.path / "aufs" / "diff" / mount_id)]
        for layer_id in map(check_layer_id, lower_ids):
            layers.append(Layer(layer_id, role_of(layer_id), root.path / "aufs" / "diff" / layer_id))
        return LayerStack(
            self.driver,
            tuple(layers),
            "layerdb mount-id",
            mount_command(root, "aufs", container_id),
            whiteout_style=WhiteoutStyle.AUFS,
            merged=root.path / "aufs" / "mnt" / mount_id,
            root=root.directory,
        )

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Raise LayerError: the Engine reports nothing about aufs layers (GraphDriver.Data is null)."""
        del data
        raise LayerError(f"the Engine does not report the layers of {container_id[:12]}", "read its data-root: --root")
