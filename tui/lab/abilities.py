"""Which storage drivers this host can run, and what the others need."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tui.lab.disks import DISKS, program
from tui.lab.engines import LAB_DRIVERS, LabDriver

_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether a driver can run here; if not, what is missing and how to get it."""

    driver: LabDriver
    missing: str = ""
    fix: str = ""

    @property
    def can_run(self) -> bool:
        return not self.missing


def engine_version() -> tuple[int, ...]:
    """Return the version of this host's dockerd, empty if there is none."""
    dockerd_path = program("dockerd")
    if dockerd_path is None:
        return ()
    result = subprocess.run(  # noqa: S603 - an absolute path, no shell, a clean environment
        [dockerd_path, "--version"], capture_output=True, text=True, check=False, timeout=_TIMEOUT, env={"LC_ALL": "C"}
    )
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", result.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()


def has_file_system(name: str) -> bool:
    """Return whether the kernel has a file system, built in or as a loadable module."""
    with open("/proc/filesystems", encoding="ascii") as file:
        if name in {line.split()[-1] for line in file}:
            return True
    return has_module(name)


def has_module(name: str) -> bool:
    """Return whether a kernel module is loaded or can be loaded."""
    if Path("/sys/module", name.replace("-", "_")).exists():
        return True
    modprobe = program("modprobe")
    if modprobe is None:
        return False
    result = subprocess.run(  # noqa: S603 - an absolute path, no shell, a clean environment
        [modprobe, "-n", "-q", name], capture_output=True, check=False, timeout=_TIMEOUT, env={"LC_ALL": "C"}
    )
    return result.returncode == 0


def abilities() -> tuple[Ability, ...]:
    """Check every kind of lab."""
    version = engine_version()
    return tuple(Ability(driver, *_missing_for(driver, version)) for driver in LAB_DRIVERS)


def _missing_for(driver: LabDriver, version: tuple[int, ...]) -> tuple[str, str]:
    """Return what a driver is missing here and how to get it, both empty if it can run."""
    if not version:
        return "dockerd is not installed", "apt-get install docker.io"
    if os.geteuid() != 0:
        return "starting an engine needs root", "sudo dtui"
    return _missing_in_engine(driver, version) or _missing_for_disk(driver) or _missing_on_host(driver) or ("", "")


def _missing_in_engine(driver: LabDriver, version: tuple[int, ...]) -> tuple[str, str] | None:
    number = ".".join(map(str, version))
    if driver.containerd and version < (24, 0, 0):
        return f"Engine {number} has no containerd image store", "Engine 24 or newer"
    if driver.storage == "overlay" and version >= (24, 0, 0):
        return f"Engine {number} has no overlay driver any more", "Engine 23 or older; overlay2 is its successor"
    if driver.storage == "devicemapper" and version >= (25, 0, 0):
        return f"Engine {number} has no devicemapper driver any more", "Engine 24 or older"
    return None


def _missing_for_disk(driver: LabDriver) -> tuple[str, str] | None:
    """A disk of its own needs the tool that makes it and kernel support."""
    if not driver.disk or driver.disk == "zfs":
        return None
    kind = DISKS[driver.disk]
    if program(kind.maker[0]) is None:
        return f"{kind.maker[0]} is not installed", f"apt-get install {kind.package}"
    if not has_file_system(driver.disk):
        return f"the kernel has no {driver.disk}", f"modprobe {driver.disk}, or a kernel that has it"
    return None


def _missing_on_host(driver: LabDriver) -> tuple[str, str] | None:
    if driver.storage in ("overlay", "overlay2", "overlayfs") and not has_file_system("overlay"):
        return "the kernel has no overlay", "modprobe overlay"
    if driver.storage == "fuse-overlayfs":
        if program("fuse-overlayfs") is None:
            return "fuse-overlayfs is not installed", "apt-get install fuse-overlayfs"
        if not os.path.exists("/dev/fuse"):
            return "the kernel has no FUSE", "modprobe fuse"
    if driver.storage == "zfs":
        if program("zpool") is None or program("zfs") is None:
            return "the ZFS tools are not installed", "apt-get install zfsutils-linux (Debian contrib)"
        if not has_module("zfs"):
            return "the kernel has no zfs module", "apt-get install zfs-dkms (Debian contrib)"
    if driver.storage == "devicemapper" and not has_module("dm_thin_pool"):
        return "the kernel has no thin provisioning (dm_thin_pool)", "modprobe dm_thin_pool"
    return None
