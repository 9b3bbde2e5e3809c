"""devicemapper: each layer is a thin device of one pool, active only while the Engine uses it.

``devicemapper/metadata/<id>`` is JSON with ``device_id``, ``size`` in bytes and ``deleted``; the files lie in
``rootfs`` on the device. The Engine calls a device ``docker-<major>:<minor>-<inode>-<id>``, after the directory
``devicemapper`` of its data-root. Layout read in moby daemon/graphdriver/devmapper (removed with Engine 25), measured
on 20.10.24.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tui.core.errors import LayerError
from tui.core.model import Driver, DriverKind, Layer, LayerRole, LayerStack, Marks, ThinDevice
from tui.core.record_ids import LayerId
from tui.core.text import printable
from tui.drivers.base import DataRoot, check_layer_id, init_of, inspect_command, mount_command, read_json


class Devicemapper:
    """Layers of the devicemapper graph driver."""

    driver = Driver(DriverKind.GRAPH, "devicemapper")
    tells = ""
    home = "devicemapper/metadata"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the metadata of the device, and name it as the Engine would."""
        mount_id = check_layer_id(root.mount_record("devicemapper", container_id, "mount-id"))
        home = root.path / "devicemapper"
        command = mount_command(root, "devicemapper", container_id)
        return self._stack(home, _prefix(home), mount_id, "layerdb mount-id", command)

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Refuse: the Engine names the device, but not the directory of the metadata that has to be checked."""
        del data
        raise LayerError(
            f"the Engine names only the device of {container_id[:12]}: {inspect_command('DeviceName', container_id)}",
            "read its data-root",
        )

    def _stack(self, home: Path, prefix: str, mount_id: LayerId, how: str, command: str) -> LayerStack:
        init = init_of(mount_id)
        layers = (
            Layer(mount_id, LayerRole.WRITABLE, _place(home, mount_id), _device(home, prefix, mount_id)),
            Layer(init, LayerRole.INIT, _place(home, init), _device(home, prefix, init)),
        )
        return LayerStack(self.driver, layers, how, command, marks=Marks.TREE)


def _place(home: Path, layer_id: str) -> Path:
    return home / "mnt" / layer_id / "rootfs"


def _prefix(home: Path) -> str:
    """Return what the Engine begins all device names with: it calls them by its own directory's device and inode."""
    try:
        status = home.stat()
    except OSError as error:
        raise LayerError(f"{printable(str(home))}: {error.strerror}", "the data-root is not whole") from error
    return f"docker-{os.major(status.st_dev)}:{os.minor(status.st_dev)}-{status.st_ino}"


def _device(home: Path, prefix: str, layer_id: str) -> ThinDevice:
    """Read the metadata of a device; one that is marked deleted is refused: its blocks may be another's tomorrow."""
    record = read_json(home / "metadata" / layer_id)
    device_id, size = record.get("device_id"), record.get("size")
    if not isinstance(device_id, int) or not isinstance(size, int) or device_id < 0 or size < 512:
        raise LayerError(f"the metadata of device {layer_id[:12]} is damaged", "the data-root is not whole")
    if record.get("deleted"):
        raise LayerError(f"device {layer_id[:12]} is marked as deleted", "the Engine removes it when it starts")
    return ThinDevice(f"{prefix}-{layer_id}", f"{prefix}-pool", device_id, size)
