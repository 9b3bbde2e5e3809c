"""File systems in files, made for a lab and removed with it: what a storage driver needs below it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import BenchError

_SEARCH = "/usr/sbin:/sbin:/usr/bin:/bin"
_BUSY = 10
"""Seconds that a mount may stay busy."""

_ENVIRONMENT = {"PATH": _SEARCH, "LC_ALL": "C"}


def program(name: str) -> str | None:
    """Return where a program of this host is."""
    return shutil.which(name, path=_SEARCH)


def run_tool(*words: str, timeout: float = 120) -> str:
    """Run a program of this host; raises BenchError with its last line of words."""
    place = program(words[0])
    if place is None:
        raise BenchError(f"{words[0]} is not installed", "dtui drivers names the package")
    done = subprocess.run(  # noqa: S603 - an absolute path, no shell, a clean environment
        [place, *words[1:]], capture_output=True, text=True, check=False, timeout=timeout, env=_ENVIRONMENT
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BenchError(f"{words[0]}: {said[-1] if said else f'exit code {done.returncode}'}", "dtui drivers")
    return done.stdout


@dataclass(frozen=True, slots=True)
class DiskKind:
    """How a file system is made and mounted."""

    maker: tuple[str, ...]
    package: str


DISKS = {
    "btrfs": DiskKind(("mkfs.btrfs", "-q"), "btrfs-progs"),
    "ext4": DiskKind(("mkfs.ext4", "-q", "-m0"), "e2fsprogs"),
    "xfs": DiskKind(("mkfs.xfs", "-q", "-m", "reflink=1", "-n", "ftype=1"), "xfsprogs"),
}


def mount_disk(kind: str, image: Path, point: Path, size: int) -> None:
    """Make a sparse file of so many bytes with a file system in it and mount it; raises BenchError."""
    with image.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    run_tool(*DISKS[kind].maker, str(image))
    point.mkdir(mode=0o711)
    run_tool("mount", "-o", "loop", str(image), str(point))


def make_pool(name: str, image: Path, point: Path, size: int) -> None:
    """Make a ZFS pool in a sparse file with a dataset mounted at a directory; raises BenchError."""
    with image.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    run_tool("zpool", "create", "-f", "-m", "none", name, str(image))
    run_tool("zfs", "create", "-o", f"mountpoint={point}", f"{name}/docker")


def unmount_below(folder: Path) -> None:
    """Unmount all that is mounted at or below a directory, the latest first; raises BenchError for one that is busy.

    Whoever looks at every mount of a host, as disk monitors do, holds one for a moment: it is tried again.
    """
    end = time.monotonic() + _BUSY
    while points := _mounted_below(folder):
        try:
            run_tool("umount", points[-1])
        except BenchError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _mounted_below(folder: Path) -> list[str]:
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split()[1].encode().decode("unicode_escape") for line in file]
    return [point for point in points if point == str(folder) or point.startswith(f"{folder}/")]
