"""overlay, the driver before overlay2: an image is one tree of hard links with the container's upper directory on it.

Container ``overlay/<id>/{lower-id,upper,work,merged}``, image ``overlay/<id>/root``. Layout read in moby
daemon/graphdriver/overlay (removed in Engine 24), measured on 20.10.24.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tui.core.errors import LayerError
from tui.core.ids import LayerId
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack
from tui.drivers.data_root import DataRoot
from tui.drivers.storage_driver import check_layer_id, init_of, inspect_command, mount_command, mount_record

_INIT = 1
"""Index of the init layer. The container's upper directory started as a copy of it, so it does not show through."""


class Overlay:
    """Layers of the legacy overlay graph driver."""

    driver = Driver(DriverKind.GRAPH, "overlay")
    engine_key = "UpperDir"
    home = "overlay"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the upper directory, and ``lower-id`` to the image's tree."""
        mount_id = mount_record(root, "overlay", container_id, "mount-id")
        lower_id = check_layer_id(root.text(f"overlay/{mount_id}/lower-id").strip())
        command = mount_command(root, "overlay", container_id)
        stack = self._stack(root.path / "overlay", mount_id, lower_id, "layerdb mount-id", command)
        return replace(stack, root=root.directory)

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take the directories from GraphDriver.Data: UpperDir, and the image's id from LowerDir."""
        upper, lower = data.get("UpperDir"), data.get("LowerDir")
        if not upper or not lower:
            raise LayerError("the Engine reports no UpperDir for this container", "check that its driver is overlay")
        home = Path(upper).parent
        command = inspect_command("UpperDir", container_id)
        mount_id, lower_id = check_layer_id(home.name), check_layer_id(Path(lower).parent.name)
        return self._stack(home.parent, mount_id, lower_id, "GraphDriver.Data.UpperDir", command)

    def _stack(self, base: Path, mount_id: LayerId, lower_id: LayerId, how: str, command: str) -> LayerStack:
        init = init_of(mount_id)
        layers = (
            Layer(mount_id, LayerRole.WRITABLE, base / mount_id / "upper"),
            Layer(init, LayerRole.INIT, base / init / "upper"),
            Layer(lower_id, LayerRole.IMAGE, base / lower_id / "root"),
        )
        work, merged = base / mount_id / "work", base / mount_id / "merged"
        return LayerStack(self.driver, layers, how, command, work_dir=work, merged=merged, compared_only=(_INIT,))
