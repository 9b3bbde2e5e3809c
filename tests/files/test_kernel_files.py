"""What a container's path leads to is read only where files are kept: dtui's rights are not the container's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tests.support.cli import dtui
from tui.core.errors import EditRefused
from tui.linux.rooted_paths import Root, refuse_kernel_files

pytestmark = [pytest.mark.engine, pytest.mark.promise("kernel-files-refused")]

LINKS = {
    "kmsg": "/proc/kmsg",
    "kallsyms": "/proc/kallsyms",
    "environ": "/proc/1/environ",
    "seqnum": "/sys/kernel/uevent_seqnum",
    "cgroup": "/sys/fs/cgroup",
    "ptmx": "/dev/pts/ptmx",
    "null": "/dev/null",
}
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")


@UNION
@pytest.mark.promise("read-as-container")
def test_kernel_file_behind_link_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    make = "; ".join(f"ln -s {target} /srv/{name}" for name, target in LINKS.items())
    box = boxes(f"{make}; ln -s /srv/kallsyms /srv/twice; echo own > /srv/own", alive=True)
    host = ("-H", box.engine.host)
    for name in (*LINKS, "twice"):
        assert dtui(*host, "cat", f"web:/srv/{name}", code=1).startswith(b"dtui: /srv/")
        with pytest.raises(EditRefused):
            box.files.open(f"/srv/{name}".encode())
        with pytest.raises(EditRefused):
            box.files.peek(f"/srv/{name}".encode())
        dtui(*host, "write", f"web:/srv/{name}", stdin=b"x", code=1)
    for path in ("/proc", "/proc/1/environ", "/proc/self/status", "/sys/kernel", "/dev/pts"):
        told = dtui(*host, "cp", f"web:{path}", str(tmp_path / "out"), code=1)
        assert told.startswith(b"dtui: /proc") or b"a file of the kernel's, on" in told, told
        assert not (tmp_path / "out").exists()
    assert dtui(*host, "cat", "web:/srv/own") == b"own\n"


@UNION
@pytest.mark.promise("read-as-container")
def test_volume_and_tmpfs_files_are_read(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("volume\n")
    box = boxes("true", "-v", f"{tmp_path}:/srv/www", "-v", "/proc:/hostproc", "--tmpfs", "/srv/own", alive=True)
    box.sh("echo tmpfs > /srv/own/file")
    host = ("-H", box.engine.host)
    assert dtui(*host, "cat", "web:/srv/www/file") == b"volume\n"
    assert dtui(*host, "cat", "web:/srv/own/file") == b"tmpfs\n"
    assert b"is a file of the kernel's, on proc" in dtui(*host, "cat", "web:/hostproc/kallsyms", code=1)


def test_kernel_file_systems_are_refused() -> None:
    """Whatever is mounted without a device and not known to keep files is refused, also if it has no name here."""
    judged = 0
    for line in Path("/proc/self/mounts").read_text().splitlines():
        kind, point = line.split()[2], line.split()[1]
        if kind not in ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "debugfs", "tracefs", "securityfs", "mqueue"):
            continue
        fd = os.open(point, os.O_PATH)
        try:
            with pytest.raises(EditRefused, match=f"a file of the kernel's, on {kind}"):
                refuse_kernel_files(fd, point.encode())
        finally:
            os.close(fd)
        judged += 1
    assert judged >= 2


def test_unknown_file_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.linux.rooted_paths.file_system_of", lambda _: 0x12345678)
    with (
        Root(os.open("/proc", os.O_RDONLY)) as root,
        pytest.raises(EditRefused, match=r"type 0x12345678"),
    ):
        root.open_regular(b"/version")
    fd = os.open(__file__, os.O_PATH)
    try:
        refuse_kernel_files(fd, b"/on/a/disk")
    finally:
        os.close(fd)
