"""devicemapper: each layer is a thin device of one pool, active only while the Engine uses it.

``devicemapper/metadata/<id>`` is JSON with ``device_id``, ``size`` in bytes and ``deleted``; the files are in
``rootfs`` on the device. The Engine names a device ``docker-<major>:<minor>-<inode>-<id>``, after the directory
``devicemapper`` of its data-root. Layout read in moby daemon/graphdriver/devmapper (removed in Engine 25), measured on
20.10.24.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from tui.core.errors import LayerError
from tui.core.ids import LayerId
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, ThinDevice, WhiteoutStyle
from tui.drivers.data_root import DataRoot, data_root_error
from tui.drivers.storage_driver import init_of, inspect_command, mount_command, mount_record

_MAX_DEVICES = 1 << 24
"""Most thin devices in a pool (kernel: dm-thin-metadata.h)."""

_SECTOR, _LARGEST = 512, 1 << 60
"""Smallest and largest size of a device in bytes."""


class Devicemapper:
    """Layers of the devicemapper graph driver."""

    driver = Driver(DriverKind.GRAPH, "devicemapper")
    engine_key = ""
    home = "devicemapper/metadata"

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the device's metadata, and name the device as the Engine would."""
        mount_id = mount_record(root, "devicemapper", container_id, "mount-id")
        command = mount_command(root, "devicemapper", container_id)
        return self._stack(root, mount_id, "layerdb mount-id", command)

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Raise LayerError: the Engine names the device, but not the directory with the metadata to check."""
        del data
        raise LayerError(
            f"the Engine names only the device of {container_id[:12]}: {inspect_command('DeviceName', container_id)}",
            "read its data-root",
        )

    def _stack(self, root: DataRoot, mount_id: LayerId, how: str, command: str) -> LayerStack:
        init, prefix = init_of(mount_id), _prefix(root)
        layers = (
            Layer(mount_id, LayerRole.WRITABLE, _mounted_path(root, mount_id), _device(root, prefix, mount_id)),
            Layer(init, LayerRole.INIT, _mounted_path(root, init), _device(root, prefix, init)),
        )
        return LayerStack(self.driver, layers, how, command, whiteout_style=WhiteoutStyle.TREE, root=root.directory)


def _mounted_path(root: DataRoot, layer_id: str) -> Path:
    return root.path / "devicemapper" / "mnt" / layer_id / "rootfs"


def _prefix(root: DataRoot) -> str:
    """Return the prefix of all device names: device and inode of the Engine's own directory."""
    try:
        status = root.status("devicemapper")
    except OSError as error:
        raise data_root_error(root.display_path("devicemapper"), error) from error
    return f"docker-{os.major(status.st_dev)}:{os.minor(status.st_dev)}-{status.st_ino}"


def _is_number(value: object, lowest: int, limit: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value < limit


def _device(root: DataRoot, prefix: str, layer_id: str) -> ThinDevice:
    """Read a device's metadata. One marked deleted is refused, because its blocks may soon belong to another."""
    record = root.json(f"devicemapper/metadata/{layer_id}")
    device_id, size = record.get("device_id"), record.get("size")
    if not _is_number(device_id, 0, _MAX_DEVICES) or not _is_number(size, _SECTOR, _LARGEST):
        raise LayerError(f"the metadata of device {layer_id[:12]} is damaged", "the data-root is incomplete")
    if record.get("deleted"):
        raise LayerError(f"device {layer_id[:12]} is marked as deleted", "the Engine removes it at its next start")
    return ThinDevice(f"{prefix}-{layer_id}", f"{prefix}-pool", device_id, size)
