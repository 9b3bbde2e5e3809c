"""File systems in image files for storage drivers that need their own, created for a lab and removed with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import BenchError

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_UNMOUNT_TIMEOUT = 10
"""Seconds to retry unmounting a busy mount."""

_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C"}


def program(name: str) -> str | None:
    """Return the path of a program on this host, None if it is not installed."""
    return shutil.which(name, path=_PATH)


def run_tool(*command: str, timeout: float = 120) -> str:
    """Run a program of this host and return its output; raises BenchError with the last line it printed."""
    program_path = program(command[0])
    if program_path is None:
        raise BenchError(f"{command[0]} is not installed", "dtui drivers shows the package")
    result = subprocess.run(  # noqa: S603 - an absolute path, no shell, a clean environment
        [program_path, *command[1:]], capture_output=True, text=True, check=False, timeout=timeout, env=_ENVIRONMENT
    )
    if result.returncode:
        output_lines = (result.stderr or result.stdout).strip().splitlines()
        raise BenchError(
            f"{command[0]}: {output_lines[-1] if output_lines else f'exit code {result.returncode}'}", "dtui drivers"
        )
    return result.stdout


@dataclass(frozen=True, slots=True)
class DiskKind:
    """How to make a file system, and the package with the tool."""

    maker: tuple[str, ...]
    package: str


DISKS = {
    "btrfs": DiskKind(("mkfs.btrfs", "-q"), "btrfs-progs"),
    "ext4": DiskKind(("mkfs.ext4", "-q", "-m0"), "e2fsprogs"),
    "xfs": DiskKind(("mkfs.xfs", "-q", "-m", "reflink=1", "-n", "ftype=1"), "xfsprogs"),
}


def mount_disk(kind: str, image: Path, point: Path, size: int) -> None:
    """Create a sparse file of ``size`` bytes with a file system and mount it; raises BenchError."""
    with image.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    run_tool(*DISKS[kind].maker, str(image))
    point.mkdir(mode=0o711)
    run_tool("mount", "-o", "loop", str(image), str(point))


def make_pool(name: str, image: Path, point: Path, size: int) -> None:
    """Create a ZFS pool in a sparse file with a dataset mounted at ``point``; raises BenchError."""
    with image.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    # keep it out of the host's pool cache: after a crash the host would look for it at every boot
    run_tool("zpool", "create", "-f", "-o", "cachefile=none", "-m", "none", name, str(image))
    run_tool("zfs", "create", "-o", f"mountpoint={point}", f"{name}/docker")


def destroy_pool(name: str) -> None:
    """Destroy a ZFS pool if it exists; raises BenchError."""
    # ask the kernel, because the tools fail if it has no ZFS
    if os.path.exists(f"/proc/spl/kstat/zfs/{name}"):
        run_tool("zpool", "destroy", "-f", name)


def unmount_below(directory: Path) -> None:
    """Unmount everything at or below a directory, the latest first; raises BenchError if one stays busy."""
    _unmount(lambda source, point: point == str(directory) or point.startswith(f"{directory}/"))


def _unmount(is_selected: Callable[[str, str], bool]) -> None:
    """Unmount what ``is_selected`` accepts by source and mount point, the latest first.

    Programs that look at every mount, such as disk monitors, keep one busy for a moment, so it is retried.
    """
    deadline = time.monotonic() + _UNMOUNT_TIMEOUT
    while points := [point for source, point in _mounts() if is_selected(source, point)]:
        try:
            run_tool("umount", points[-1])
        except BenchError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield source and mount point of every mount, decoding octal escapes (proc(5))."""
    with open("/proc/self/mounts", "rb") as file:
        for line in file:
            source, point, *_ = (os.fsdecode(_OCTAL.sub(_character, word)) for word in line.split(b" "))
            yield source, point


_OCTAL = re.compile(rb"\\([0-7]{3})")


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])


def remove_devices(directory: Path) -> None:
    """Remove loop devices on files below a directory and all devices on top of them; raises BenchError.

    A killed dockerd leaves them of its thin pool, and they keep the file system with the files busy.
    """
    for block in Path("/sys/block").glob("loop*"):
        with suppress(OSError):  # no file is attached (any more)
            if (block / "loop" / "backing_file").read_text().startswith(f"{directory}/"):
                _remove_above(block)
                # a mounted one is detached when it is unmounted
                _run_unless_gone(block / "loop", "losetup", "-d", f"/dev/{block.name}")


def _remove_above(block: Path) -> None:
    """Unmount and remove the mapped devices on top of a device, topmost first."""
    for holder in sorted((block / "holders").iterdir()):
        _remove_mapped(Path("/sys/block", holder.name))


def _remove_mapped(block: Path) -> None:
    name = (block / "dm" / "name").read_text().strip()
    _remove_above(block)
    _unmount(lambda source, point: source == f"/dev/mapper/{name}")
    _run_unless_gone(block, "dmsetup", "remove", "--retry", name)


def _run_unless_gone(device: Path, *command: str) -> None:
    """Run a program that removes a device, ignoring a failure if the device is gone by then."""
    try:
        run_tool(*command)
    except BenchError:
        if device.exists():
            raise


def remove_stale_nodes() -> None:
    """Remove device nodes of mapped devices that no longer exist, which nobody does without udevd."""
    if not os.path.exists("/run/udev/control"):
        run_tool("dmsetup", "mknodes")
