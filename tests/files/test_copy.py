"""Copying between a container and this host: nothing of the one's powers reaches the other, and every copy ends."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tests.support.cli import dtui
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused
from tui.files.verbs.copy import copy_in, copy_out
from tui.linux import rooted_paths, sparse
from tui.linux.sparse import copy_data

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
FEW = ("/usr/bin/prlimit", "--nofile=128")
LEVELS = 300
"""Fewer descriptors than a deep tree has levels."""


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def deep_tree(top: Path, levels: int, name: str = "d") -> None:
    """Make a chain of directories with a file at its end."""
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("end", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)


def listed(top: Path) -> bytes:
    return subprocess.run(["/usr/bin/find"], cwd=top, capture_output=True, check=True).stdout


def remove_tree(top: Path) -> None:
    subprocess.run(["/bin/rm", "-rf", top], check=True)


def test_copy_in_drops_setuid_and_devices(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes("chown 12:34 /srv")
    source = tmp_path / "tree"
    (source / "shared").mkdir(parents=True)
    (source / "shared").chmod(0o3777)
    (source / "su").write_text("x")
    (source / "su").chmod(0o6755)
    os.mknod(source / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    os.mknod(source / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(source / "sock"))
    outcome = copy_in(box.id, source, b"/srv", inspect=box.inspect)
    assert [note.split("/", 1)[1] for note in outcome.notes] == [
        "disk is a block device: left out",
        "fifo is a fifo: left out",
        "null is a character device: left out",
        "sock is a socket: left out",
    ]
    assert sorted(box.names(b"/srv/tree")) == [b"shared", b"su"]
    box.start()
    assert box.sh("cd /srv/tree; stat -c '%a %u:%g' su shared") == "755 12:34\n1777 12:34\n"
    for number in range(20):
        os.mkfifo(source / f"fifo{number}")
    assert copy_in(box.id, source, b"/srv/again", inspect=box.inspect).notes[5:] == ("and 19 more left out",)
    with pytest.raises(EditRefused, match="character device"):
        copy_in(box.id, source / "null", b"/srv/null", inspect=box.inspect)
    assert not box.exists(b"/srv/null")


@STATES
@pytest.mark.parametrize("source", ["/proc/cpuinfo", "/proc/sys/kernel", "/sys/kernel/mm"])
def test_kernel_files_of_host_are_not_copied(boxes: Boxes, source: str, alive: bool) -> None:
    box = boxes(alive=alive)
    told = dtui("-H", box.engine.host, "cp", source, "web:/srv/new", code=1)
    assert b"is a file of the kernel's, on " in told
    assert told.count(b"\n") == 1
    assert not box.exists(b"/srv/new")


@STATES
@pytest.mark.parametrize("size", [3_000_000, 1_000_000], ids=["in its data", "in a hole"])
def test_file_shrinking_in_copy_is_refused(
    boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, alive: bool
) -> None:
    box = boxes(": > /srv/f", alive=alive)
    host = tmp_path / "host"
    inside = Path(f"/proc/{box.details.pid}/root/srv/f") if alive else box.upper / "srv" / "f"
    for file in (host, inside):
        file.write_bytes(b"x" * size)
        os.truncate(file, 4_000_000)

    def shortened(source: Path) -> Callable[[int, memoryview, int], None]:
        plain = sparse._write_at

        def write(sink: int, view: memoryview, place: int) -> None:
            plain(sink, view, place)
            os.truncate(source, 2_000_000)

        return write

    with monkeypatch.context() as patch:
        patch.setattr(sparse, "_write_at", shortened(host))
        with pytest.raises(ChangedMeanwhile, match="became shorter"):
            copy_in(box.id, host, b"/srv/new", inspect=box.inspect)
    assert set(box.names(b"/srv")) == {b"f", b"www"}
    with monkeypatch.context() as patch:
        patch.setattr(sparse, "_write_at", shortened(inside))
        with pytest.raises(ChangedMeanwhile, match="/srv/f became shorter"):
            copy_out(box.details, b"/srv/f", tmp_path / "out")
    assert set(os.listdir(tmp_path)) - {"state", "locks"} == {"host"}


def test_file_of_unreliable_size_is_refused(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes()
    monkeypatch.setattr(
        rooted_paths, "_USER_FILE_SYSTEMS", frozenset(rooted_paths._KERNEL_FILE_SYSTEMS)
    )  # as on one that dtui takes for a disk's
    for source, told in (("/proc/cpuinfo", "holds more than its size"), ("/sys/kernel/fscaps", "became shorter")):
        with pytest.raises(DtuiError, match=told):
            copy_in(box.id, Path(source), b"/srv/new", inspect=box.inspect)
        assert box.names(b"/srv") == [b"www"]


def test_trailing_hole_is_copied_as_hole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 4096)
    os.truncate(source, 1 << 40)
    fd, sink = os.open(source, os.O_RDONLY), os.open(tmp_path / "sink", os.O_RDWR | os.O_CREAT)
    assert sum(copy_data(fd, 0, 1 << 40, sink, 0, b"/f")) == 4096
    with pytest.raises(ChangedMeanwhile, match="/f became shorter"):
        list(copy_data(fd, 0, (1 << 40) + 1, sink, 0, b"/f"))
    os.close(fd)
    os.close(sink)


@STATES
def test_copy_out_respects_umask(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    box = boxes("mkdir -p /srv/t/in; echo x > /srv/t/in/f; chmod 6777 /srv/t/in/f; chmod 555 /srv/t/in", alive=alive)
    with umask(0o027):
        copy_out(box.details, b"/srv/t", tmp_path / "t")
        copy_out(box.details, b"/srv/t/in/f", tmp_path / "f")
    modes = [(tmp_path / name).stat().st_mode & 0o7777 for name in ("t", "t/in", "t/in/f", "f")]
    assert modes == [0o750, 0o550, 0o750, 0o750]


@STATES
def test_tree_deeper_than_descriptors_copies(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    box = boxes(alive=alive)
    deep_tree(tmp_path / "deep", LEVELS)
    command = [*FEW, sys.executable, "-m", "tui", "-H", box.engine.host]
    subprocess.run([*command, "cp", tmp_path / "deep", "web:/srv"], check=True)
    assert box.exists(b"/srv/deep" + b"/d" * LEVELS + b"/end")
    subprocess.run([*command, "cp", "web:/srv/deep", tmp_path / "back"], check=True)
    assert listed(tmp_path / "back") == listed(tmp_path / "deep")
    subprocess.run([*command, "undo", "web"], check=True)
    assert not box.exists(b"/srv/deep")
    remove_tree(tmp_path / "deep")
    remove_tree(tmp_path / "back")


@STATES
def test_copy_of_own_layer_is_refused(boxes: Boxes, alive: bool) -> None:
    box = boxes(alive=alive)
    before = box.names(b"/srv")
    for source in (Path("/"), box.engine.root, box.upper):
        with pytest.raises(EditRefused, match="own layer"):
            copy_in(box.id, source, b"/srv", inspect=box.inspect)
    assert box.names(b"/srv") == before


def test_volume_copy_into_itself_is_finite(boxes: Boxes, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "f").write_text("x")
    (volume / "sub").mkdir()
    box = boxes("true", "-v", f"{volume}:/data", alive=True)
    copy_in(box.id, volume, b"/data/sub/in", inspect=box.inspect)
    assert sorted(os.listdir(volume / "sub" / "in")) == ["f", "sub"]
    assert os.listdir(volume / "sub" / "in" / "sub") == []
    shutil.rmtree(volume / "sub" / "in")
    copy_out(box.details, b"/data/sub", volume / "sub" / "out")
    assert os.listdir(volume / "sub" / "out") == []


def test_volume_is_edited_and_copied_out(boxes: Boxes, tmp_path: Path) -> None:
    volume, new = tmp_path / "volume", tmp_path / "new.txt"
    volume.mkdir()
    (volume / "row").write_text("row\n")
    new.write_text("new\n")
    (tmp_path / "one").write_text("one\n")
    box = boxes("true", "-v", f"{volume}:/srv/www", "-v", f"{tmp_path}/one:/etc/app.conf", alive=True)
    host = ("-H", box.engine.host)
    dtui(*host, "cp", str(new), "web:/srv/www/named.txt")
    dtui(*host, "cp", str(new), "web:/srv/www")
    dtui(*host, "mkdir", "web:/srv/www/made")
    dtui(*host, "mv", "web:/srv/www/named.txt", "/srv/www/made")
    assert sorted(path.name for path in volume.rglob("*")) == ["made", "named.txt", "new.txt", "row"]
    dtui(*host, "undo", "web")
    assert (volume / "named.txt").read_text() == "new\n"
    dtui(*host, "cp", "web:/srv/www", str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["made", "named.txt", "new.txt", "row"]
    dtui(*host, "cp", "web:/etc/app.conf", str(tmp_path / "conf"))
    assert (tmp_path / "conf").read_text() == "one\n"
    assert b"mount" in dtui(*host, "rm", "-r", "web:/srv/www", code=1)
    assert (volume / "row").read_text() == "row\n"


@STATES
def test_only_directory_links_are_followed(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    (tmp_path / "f").write_text("mine\n")
    box = boxes("ln -s www /srv/there; ln -s /etc/motd /srv/f", alive=alive)
    for goal in (b"/srv/there", b"/srv"):
        copy_in(box.id, tmp_path / "f", goal, inspect=box.inspect)
    assert [box.read(path) for path in (b"/srv/www/f", b"/srv/f", b"/etc/motd")] == [b"mine\n", b"mine\n", b"hello\n"]
    box.rename(b"/srv/f", b"/srv/there/g")
    box.rename(b"/etc/motd", b"/srv/there")
    assert box.names(b"/srv/www") == [b"f", b"g", b"motd"]


def test_copy_out_leaves_out_stopped_volume(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "new.txt").write_text("new\n")
    box = boxes("echo row > /srv/www/row; echo beside > /srv/beside", "-v", f"{tmp_path}/volume:/srv/www")
    with pytest.raises(EditRefused, match="hidden by the bind mount at /srv/www"):
        copy_out(box.details, b"/srv/www", tmp_path / "out")
    _, count, notes = copy_out(box.details, b"/srv", tmp_path / "out")
    assert (count, notes) == (3, ("what is in the bind mount at /srv/www was left out",))
    assert (tmp_path / "out" / "beside").read_text() == "beside\n"


def test_volume_change_is_not_undone_at_rest(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    box = boxes("echo row > /srv/www/row", "-v", f"{tmp_path}/volume:/srv/www", alive=True)
    box.remove(b"/srv/www/row")
    box.write(b"/srv/www/made", b"made\n", create=True)
    box.stop()
    for _ in range(2):
        with pytest.raises(EditRefused, match="hidden by the bind mount at /srv/www"):
            box.undo()
    box.start()
    box.undo()
    box.undo()
    assert box.sh("ls /srv/www; cat /srv/www/row") == "row\nrow\n"
