"""What lies below a lab is taken away whatever it is called and whoever laid it there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tui.lab.disks import remove_devices, unmount_below

pytestmark = pytest.mark.root


def test_unmount_below_handles_escaped_names(tmp_path: Path) -> None:
    inside, beside = tmp_path / "läb 1\n\\", tmp_path / "läb 1\n\\2"
    for point in (inside, beside):
        point.mkdir()
        subprocess.run(["/bin/mount", "-t", "tmpfs", "dtui-test", str(point)], check=True)
    deeper = inside / "deeper"
    deeper.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "dtui-test", str(deeper)], check=True)
    try:
        unmount_below(inside)
        assert not inside.is_mount()
        assert beside.is_mount()
    finally:
        subprocess.run(["/bin/umount", str(beside)], check=True)


def test_remove_devices_spares_other_loops(tmp_path: Path) -> None:
    inside, beside = tmp_path / "lab", tmp_path / "lab2"
    loops = []
    for folder in (inside, beside):
        folder.mkdir()
        (folder / "disk").write_bytes(bytes(1 << 20))
        attach = ["/sbin/losetup", "--show", "-f", str(folder / "disk")]
        loops.append(subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip())
    try:
        remove_devices(inside)
        assert [backed_by(loop) for loop in loops] == ["", str(beside / "disk")]
    finally:
        subprocess.run(["/sbin/losetup", "-d", loops[1]], check=True)


def backed_by(loop: str) -> str:
    told = Path("/sys/block", Path(loop).name, "loop", "backing_file")
    return told.read_text().strip() if told.exists() else ""
