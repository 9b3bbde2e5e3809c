"""Layers that are not directories: ZFS datasets and thin devices, mounted privately while they are read or changed.

The mounts are detached and end with their last descriptor, even after kill -9. Measured with Docker 20.10.24, Linux
6.1, OpenZFS 2.1: the Engine can start a container whose dataset or device is mounted read-write here, because both
mounts share one superblock; if it is mounted read-only here, ``docker start`` fails. A thin device activated under
another name than the Engine's would be a second block device on the same blocks, which destroys the file system.
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
"""Prefix of the uuid of devices that dtui activated. No other device is ever removed."""

_TOOL_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@contextmanager
def source_directory(layer: Layer, *, exclusive: bool = False) -> Iterator[int]:
    """Mount a layer's source for the duration of the context and yield a descriptor of the root of its files.

    With ``exclusive``, raises ChangedMeanwhile if somebody else uses the layer. Raises NotReachable for what this host
    cannot mount.
    """
    match layer.source:
        case Dataset() as dataset:
            if exclusive and _is_mounted(dataset.name):
                raise ChangedMeanwhile(
                    f"dataset {printable(dataset.name)} is mounted", "the container seems to have been started"
                )
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
def _mounted(kind: str, source: str, subdirectory: str = "") -> Iterator[int]:
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
        directory = syscalls.openat2(mount, os.fsencode(subdirectory or "."), os.O_RDONLY | os.O_DIRECTORY, IN_ROOT)
    except OSError as error:
        raise LayerError(
            f"{printable(source)} has no {subdirectory or 'root'}: {error.strerror}", "check that it is a layer"
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
        return ChangedMeanwhile(f"{display_name} is in use", "another program has mounted it; try again")
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotReachable(f"{display_name} must be mounted first", "run dtui as root")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return NotReachable(f"{display_name} does not exist", "check that the pool is imported and active")
    return EditRefused(f"{display_name} cannot be mounted: {error.strerror}", "nothing was changed")


def dmsetup(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dmsetup; raises NotReachable if it is not installed."""
    program = shutil.which("dmsetup", path=":".join(_TOOL_DIRECTORIES))
    if program is None:
        raise NotReachable("dmsetup, which activates a layer's device, is not installed", "apt-get install dmsetup")
    environment = {"PATH": ":".join((*_TOOL_DIRECTORIES, "/usr/bin", "/bin")), "LC_ALL": "C"}
    # --verifyudev makes the node where no udev does; without it the device would exist under no path
    command = [program, "--verifyudev", *arguments]
    return subprocess.run(  # noqa: S603 - an absolute path, no shell; names come from checked ids
        command, capture_output=True, text=True, check=False, timeout=30, env=environment
    )


@contextmanager
def _activated(device: ThinDevice, *, exclusive: bool) -> Iterator[str]:
    """Activate a device under the Engine's own name for it, and yield its path.

    The name serves as the lock: while the container runs the device exists, and creating it again fails. It is
    deactivated afterwards only if we activated it.
    """
    if dmsetup("info", "-c", "--noheadings", "-o", "name", device.pool).returncode:
        raise NotReachable(
            f"pool {printable(device.pool)} is not active",
            "start the daemon once to activate it; dtui cannot read a custom pool (dm.thinpooldev)",
        )
    table = f"0 {device.size // _SECTOR} thin /dev/mapper/{device.pool} {device.device_id}"
    creation = dmsetup("create", "-u", _UUID + device.name, device.name, "--table", table)
    if creation.returncode:
        if "busy" not in creation.stderr.lower() and "exists" not in creation.stderr.lower():
            raise NotReachable(
                f"device {device.name[-24:]}: {_last_line(creation.stderr)}", "dmsetup ls shows what is active"
            )
        if exclusive:
            raise ChangedMeanwhile(
                "the layer's device is active", "the container seems to have been started; check its state"
            )
    path = f"/dev/mapper/{device.name}"
    try:
        yield path
    finally:
        if not creation.returncode:
            _deactivate(device.name)


def _deactivate(name: str) -> None:
    """Remove a device that we activated. If the Engine has opened it meanwhile, it is removed when the Engine closes
    it."""
    dmsetup("remove", "--deferred", name)
    with suppress(FileNotFoundError):
        path = f"/dev/mapper/{name}"
        if dmsetup("info", name).returncode and not os.path.exists(os.path.realpath(path)):
            os.unlink(path)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return printable(lines[-1][:200]) if lines else "no reason given"


def _kind_of(path: str) -> str:
    """Return the file system on a device from its superblock: devicemapper makes xfs or ext4."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotReachable(f"{printable(path)}: {error.strerror}", "check that udev is running") from error
    try:
        if not stat.S_ISBLK(os.fstat(fd).st_mode):
            raise LayerError(f"{printable(path)} is not a block device", "remove that file")
        if os.pread(fd, 4, 0) == b"XFSB":
            return "xfs"
        if os.pread(fd, 2, 1024 + 56) == b"\x53\xef":
            return "ext4"
    finally:
        os.close(fd)
    raise LayerError(f"{printable(path)} has neither xfs nor ext4 on it", "the layer's file system is damaged")
