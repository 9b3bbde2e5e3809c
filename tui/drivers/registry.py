"""The storage drivers that dtui can open, and how a container's layer can be reached."""

from __future__ import annotations

import os

from tui.core.errors import DtuiError
from tui.core.records import AccessKind, Driver, DriverKind, LayerAccess, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.aufs import Aufs
from tui.drivers.containers_storage import PodmanOverlay, PodmanVfs
from tui.drivers.data_root import open_layer
from tui.drivers.devicemapper import Devicemapper
from tui.drivers.overlay import Overlay
from tui.drivers.overlay2 import Overlay2
from tui.drivers.snapshotters import Snapshotter
from tui.drivers.storage_driver import StorageDriver
from tui.drivers.trees import FullTrees
from tui.drivers.zfs import Zfs

_KNOWN: tuple[StorageDriver, ...] = (
    Overlay2(),
    Overlay(),
    Aufs(),
    FullTrees("btrfs", "btrfs/subvolumes"),
    Zfs(),
    Devicemapper(),
    FullTrees("vfs", "vfs/dir"),
    Overlay2("fuse-overlayfs", WhiteoutStyle.FUSE),
    Snapshotter("overlayfs", WhiteoutStyle.OVERLAY, active="snapshots/{}/fs", committed="snapshots/{}/fs"),
    Snapshotter("native", WhiteoutStyle.TREE),
    Snapshotter("btrfs", WhiteoutStyle.TREE, active="active/{}"),
    PodmanOverlay(),
    PodmanVfs(),
)

DRIVERS: dict[Driver, StorageDriver] = {storage_driver.driver: storage_driver for storage_driver in _KNOWN}
"""Every storage driver that dtui reads, by kind and name."""

GRAPH_DRIVERS = frozenset(driver.name for driver in DRIVERS if driver.kind is DriverKind.GRAPH)
"""Names of the drivers of Docker's older, own image store."""

_UNREADABLE = {
    "zfs": "its snapshots are datasets: mount them with zfs, then use --root",
    "devmapper": "its snapshots are thin devices; only the Engine can open them",
    "blockfile": "its snapshots are disk images; only the Engine can open them",
    "erofs": "its image layers are erofs images; only the Engine can open them",
    "stargz": "its image layers are fetched by a FUSE daemon; only the Engine can open them",
    "windowsfilter": "its layers lie on a Windows host",
}
"""Known snapshotters that cannot be read as directories, with the reason."""


NAMES = tuple(sorted({driver.name for driver in DRIVERS} | _UNREADABLE.keys()))
"""Names of all known storage drivers, including those that dtui cannot read."""


def driver_for(driver: Driver) -> StorageDriver | None:
    """Return the implementation of a driver, None if there is none."""
    return DRIVERS.get(driver)


def access_of(driver: Driver, stack: LayerStack | None, *, local: bool, error: DtuiError | None = None) -> LayerAccess:
    """Return how this process can reach a container's writable layer on this host, and why."""
    if not local:
        elsewhere = f"; the layer there is {printable(str(stack.writable.path))}" if stack else ""
        return LayerAccess(AccessKind.ENGINE, f"the Engine runs on another host{elsewhere}")
    if error is not None:
        return LayerAccess(AccessKind.NONE, str(error))
    if driver_for(driver) is None:
        return LayerAccess(AccessKind.NONE, _unknown_reason(driver))
    if stack is None:
        return LayerAccess(AccessKind.NONE, "the Engine does not report where the layer is")
    if stack.writable.source is not None:
        return _mount_access(stack)
    return _directory_access(stack)


def _unknown_reason(driver: Driver) -> str:
    if driver.kind is DriverKind.SNAPSHOTTER and driver.name in _UNREADABLE:
        return f"snapshotter {driver.name}: {_UNREADABLE[driver.name]}"
    readable = ", ".join(dict.fromkeys(supported.name for supported in DRIVERS))
    return f"dtui reads layers of {readable}; this container uses {printable(driver.name)}"


def _mount_access(stack: LayerStack) -> LayerAccess:
    if os.geteuid() != 0:
        return LayerAccess(
            AccessKind.NONE, f"a {stack.driver.name} layer has to be mounted; run dtui as root, or use sudo"
        )
    return LayerAccess(AccessKind.MOUNT, f"by {stack.located_by}; mounted privately for each read and each change")


def _directory_access(stack: LayerStack) -> LayerAccess:
    try:
        os.close(open_layer(stack, stack.writable))
    except DtuiError as error:
        return LayerAccess(AccessKind.NONE, str(error))
    return LayerAccess(AccessKind.DIRECT, f"by {stack.located_by}", stack.writable.path)
