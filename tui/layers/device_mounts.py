"""Layers that are no directories: ZFS datasets and thin devices, mounted where nobody sees it, for one look or act.

A mount made here is attached nowhere and ends with its last descriptor, also after kill -9. Measured with Docker
20.10.24, Linux 6.1, OpenZFS 2.1: the Engine can start a container whose dataset or device is mounted read-write here,
for both share one superblock; held read-only, ``docker start`` fails. A thin device under any other name than the
Engine's own would be a second block device on the same blocks, which destroys the file system.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tui.core.errors import ChangedMeanwhile, EditRefused, LayerError, NotReachable
from tui.core.records import Dataset, Layer, ThinDevice
from tui.core.text import printable
from tui.linux import syscalls
from tui.linux.rooted_paths import IN_ROOT
from tui.linux.syscalls import MountAttr

_ATTRIBUTES = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC | MountAttr.NOATIME
_SECTOR = 512
_UUID = "DTUI-"
"""What the uuid of a device begins with that dtui activated; nobody else's is ever removed."""

_TOOLS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@contextmanager
def source_directory(layer: Layer, *, exclusive: bool = False) -> Iterator[int]:
    """Yield a descriptor of the root of a layer's files, mounted for as long as the context lasts.

    ``exclusive`` demands that nobody else uses the layer now; raises ChangedMeanwhile if somebody does, NotReachable
    for what this host cannot mount.
    """
    match layer.source:
        case Dataset() as dataset:
            if exclusive and _is_mounted(dataset.name):
                raise ChangedMeanwhile(f"dataset {printable(dataset.name)} is mounted", "was the container started?")
            with _mounted("zfs", dataset.name) as fd:
                yield fd
        case ThinDevice() as device:
            with _activated(device, exclusive=exclusive) as path, _mounted(_kind_of(path), path, "rootfs") as fd:
                yield fd
        case None:
            raise LayerError(f"layer {layer.id[:12]} is a directory", "open it as one")


def _is_mounted(source: str) -> bool:
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split(" ", 1)[0] == source for line in mounts)


@contextmanager
def _mounted(kind: str, source: str, inside: str = "") -> Iterator[int]:
    try:
        context = syscalls.fsopen(kind)
    except OSError as error:
        raise NotReachable(
            f"this kernel has no {kind}: {error.strerror}", f"load its module: modprobe {kind}"
        ) from error
    try:
        syscalls.fsconfig_string(context, "source", os.fsencode(source))
        if kind == "xfs":
            syscalls.fsconfig_flag(context, "nouuid")  # all layers of a pool have one uuid
        syscalls.fsconfig_create(context)
        mount = syscalls.fsmount(context, _ATTRIBUTES)
    except OSError as error:
        raise _explain(error, source) from error
    finally:
        os.close(context)
    try:
        directory = syscalls.openat2(mount, os.fsencode(inside or "."), os.O_RDONLY | os.O_DIRECTORY, IN_ROOT)
    except OSError as error:
        raise LayerError(
            f"{printable(source)} has no {inside or 'root'}: {error.strerror}", "is it a layer?"
        ) from error
    finally:
        os.close(mount)
    try:
        yield directory
    finally:
        os.close(directory)


def _explain(error: OSError, source: str) -> NotReachable | EditRefused | ChangedMeanwhile:
    display_name = printable(source)
    if error.errno == errno.EBUSY:
        return ChangedMeanwhile(f"{display_name} is in use", "somebody else has mounted it: try again")
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotReachable(f"{display_name} has to be mounted", "run dtui as root")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return NotReachable(f"{display_name} is not there", "is the pool imported and active?")
    return EditRefused(f"{display_name} cannot be mounted: {error.strerror}", "nothing was changed")


def dmsetup(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dmsetup; raises NotReachable where there is none."""
    program = shutil.which("dmsetup", path=":".join(_TOOLS))
    if program is None:
        raise NotReachable("dmsetup is missing, which activates a layer's device", "apt-get install dmsetup")
    environment = {"PATH": ":".join((*_TOOLS, "/usr/bin", "/bin")), "LC_ALL": "C"}
    # --verifyudev makes the node where no udev does; without it the device would exist under no path
    command = [program, "--verifyudev", *arguments]
    return subprocess.run(  # noqa: S603 - an absolute path, no shell; names come from checked ids
        command, capture_output=True, text=True, check=False, timeout=30, env=environment
    )


@contextmanager
def _activated(device: ThinDevice, *, exclusive: bool) -> Iterator[str]:
    """Yield the path of a device under the Engine's own name for it; deactivate it after if we activated it.

    That name is the lock: while the container runs, the device exists and making it again is refused.
    """
    if dmsetup("info", "-c", "--noheadings", "-o", "name", device.pool).returncode:
        raise NotReachable(
            f"pool {printable(device.pool)} is not active",
            "start the daemon once, which activates it; a pool of your own (dm.thinpooldev) is not read",
        )
    table = f"0 {device.size // _SECTOR} thin /dev/mapper/{device.pool} {device.device_id}"
    creation = dmsetup("create", "-u", _UUID + device.name, device.name, "--table", table)
    if creation.returncode:
        if "busy" not in creation.stderr.lower() and "exists" not in creation.stderr.lower():
            raise NotReachable(
                f"device {device.name[-24:]}: {_last(creation.stderr)}", "dmsetup ls shows what is active"
            )
        if exclusive:
            raise ChangedMeanwhile("the layer's device is active", "was the container started? look at it again")
    path = f"/dev/mapper/{device.name}"
    try:
        yield path
    finally:
        if not creation.returncode:
            _deactivate(device.name)


def _deactivate(name: str) -> None:
    """Remove a device of ours; one that the Engine has opened or removed meanwhile is the Engine's to remove."""
    dmsetup("remove", "--deferred", name)
    with suppress(FileNotFoundError):
        path = f"/dev/mapper/{name}"
        if dmsetup("info", name).returncode and not os.path.exists(os.path.realpath(path)):
            os.unlink(path)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return printable(lines[-1][:200]) if lines else "no reason given"


def _kind_of(path: str) -> str:
    """Tell the file system on a device by its superblock: devicemapper makes xfs or ext4."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotReachable(f"{printable(path)}: {error.strerror}", "is udev running?") from error
    try:
        if not stat.S_ISBLK(os.fstat(fd).st_mode):
            raise LayerError(f"{printable(path)} is no block device", "remove that file")
        if os.pread(fd, 4, 0) == b"XFSB":
            return "xfs"
        if os.pread(fd, 2, 1024 + 56) == b"\x53\xef":
            return "ext4"
    finally:
        os.close(fd)
    raise LayerError(f"{printable(path)} holds neither xfs nor ext4", "the layer's file system is damaged")
