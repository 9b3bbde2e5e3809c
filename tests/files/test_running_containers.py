"""Running containers: their mounts stay, their readers are told, and nothing of theirs is run by us."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes, mount_inside
from tui.core.errors import DtuiError, EditRefused, NotReachable
from tui.core.records import Details
from tui.files.history.crash_recovery import recover
from tui.files.verbs.save import save
from tui.files.ways import LayerFiles
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine


def mounts(box: Box) -> str:
    return box.sh("sed 's/^[^ ]* [^ ]* //' /proc/self/mountinfo | grep -v ' /proc\\| /sys\\| /dev' || true")


@pytest.mark.case(27)
def test_bind_mounted_file_is_saved_in_place(boxes: Boxes, tmp_path: Path) -> None:
    source = tmp_path / "conf"
    source.write_bytes(b"port=1\n")
    os.utime(source, ns=(10**18, 10**18 + 1))
    inode = source.stat().st_ino
    box = boxes("true", "-v", f"{source}:/etc/app.conf", alive=True)
    before = mounts(box)
    receipt = box.write(b"/etc/app.conf", b"port=22\n")
    assert receipt.in_place
    assert (source.read_bytes(), source.stat().st_ino) == (b"port=22\n", inode)
    assert mounts(box) == before
    box.undo()
    assert (source.read_bytes(), source.stat().st_ino) == (b"port=1\n", inode)
    assert source.stat().st_mtime_ns == 10**18 + 1


@pytest.mark.case(28)
def test_mount_point_is_not_deleted_or_moved(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "row").write_text("kept")
    (tmp_path / "file").write_text("kept")
    box = boxes("true", "-v", f"{tmp_path}/volume:/srv/www", "-v", f"{tmp_path}/file:/etc/app.conf", alive=True)
    before = mounts(box)
    for path in (b"/srv/www", b"/etc/app.conf", b"/etc/hosts"):
        with pytest.raises(EditRefused):
            box.remove(path, recursive=True)
        with pytest.raises(EditRefused):
            box.rename(path, b"/app/moved")
    assert mounts(box) == before
    assert (tmp_path / "volume" / "row").read_text() == "kept"


@pytest.mark.case(28)
def test_mount_unknown_to_engine_is_spared(boxes: Boxes) -> None:
    """One that the container made itself is in no answer of the engine: only the kernel can stop us."""
    box = boxes("mkdir /srv/own; echo below > /srv/own/file", alive=True)
    mount_inside(box, "/srv/own")
    box.sh("echo above > /srv/own/file")
    for act in (
        lambda: box.remove(b"/srv/own", recursive=True),
        lambda: box.remove(b"/srv", recursive=True),
        lambda: box.rename(b"/srv/own", b"/srv/other"),
    ):
        with pytest.raises(DtuiError):
            act()
    assert box.sh("cat /srv/own/file; grep -c ' /srv/own ' /proc/self/mountinfo") == "above\n1\n"


@pytest.mark.case(29)
def test_directory_above_volume_stays(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "row").write_text("kept")
    box = boxes("mkdir -p /srv/a/b; echo x > /srv/a/first", "-v", f"{tmp_path}:/srv/a/b", alive=True)
    with pytest.raises(EditRefused, match="holds the bind mount at /srv/a/b"):
        box.remove(b"/srv", recursive=True)
    assert box.sh("ls /srv/a") == "b\nfirst\n"
    assert (tmp_path / "row").read_text() == "kept"


@pytest.mark.case(29)
def test_directory_above_linked_volume_stays(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "row").write_text("kept")
    box = boxes("echo x > /run/first", "-v", f"{tmp_path}:/var/run/data", alive=True)
    with pytest.raises(EditRefused, match="holds the bind mount at /run/data"):
        box.remove(b"/run", recursive=True)
    assert box.sh("ls /run") == "data\nfirst\n"
    assert (tmp_path / "row").read_text() == "kept"


@pytest.mark.case(30)
def test_read_only_file_change_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old\n")
    box = boxes("true", "-v", f"{tmp_path}:/srv/www:ro", alive=True)
    locked = boxes("true", "--read-only", alive=True, name="locked")
    for one, path in ((box, b"/srv/www/file"), (locked, b"/etc/motd")):
        before = one.read(path)
        acts = (
            lambda one=one, path=path: one.write(path, b"x"),
            lambda one=one, path=path: one.remove(path),
            lambda one=one, path=path: one.rename(path, path + b"2"),
            lambda one=one, path=path: one.chmod(path, "600"),
        )
        for act in acts:
            with pytest.raises(EditRefused, match="read-only"):
                act()
        assert one.read(path) == before
    assert (tmp_path / "file").read_bytes() == b"old\n"


@pytest.mark.case(31)
def test_open_reader_sees_only_in_place_edit(boxes: Boxes) -> None:
    script = "echo one > /srv/log; (exec 3< /srv/log; while :; do read line <&3 && echo $line >> /srv/seen; sleep .05; "
    box = boxes(script + "done) & sleep .3", alive=True)
    told = box.files.plan(b"/srv/log")
    assert "open" in " ".join(told.warnings)
    assert told.choice
    box.files.save(b"/srv/log", b"one\ntwo\n", None, SaveOptions(in_place=True))
    box.sh("for i in 1 2 3 4 5 6 7 8 9 10; do grep -q two /srv/seen && exit 0; sleep .1; done; exit 1")
    box.write(b"/srv/log", b"one\ntwo\nthree\n")
    assert "three" not in box.sh("sleep .3; cat /srv/seen")


@pytest.mark.case(32)
def test_save_after_restart_uses_new_process(boxes: Boxes) -> None:
    box = boxes(alive=True)
    old: Details = box.details
    opened = LayerFiles(old, box.endpoint.inspect).open(b"/etc/motd")
    box.engine.docker("restart", "-t0", "web")
    receipt = LayerFiles(old, box.endpoint.inspect).save(b"/etc/motd", b"new\n", opened.stamp)
    assert receipt.bytes_written == 4
    assert box.sh("cat /etc/motd") == "new\n"
    stale = replace(old, container=replace(old.container, state=old.container.state))
    with pytest.raises(NotReachable, match=r"gone|does not belong"):
        save(box.id, b"/etc/motd", b"lost\n", None, inspect=lambda _: stale)
    assert box.sh("cat /etc/motd") == "new\n"


@pytest.mark.case(32)
@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_restart_in_save_leaves_whole_file(boxes: Boxes) -> None:
    """What is held open then is the former instance's, though it lies in the same layer."""
    box = boxes("mkdir /srv/d; echo old > /srv/d/own", alive=True)
    for turn, moment in enumerate(("created", "synced", "renamed")):
        for path in (b"/etc/motd", b"/srv/d/own"):
            old, new = box.read(path), f"{moment} {path.decode()}\n".encode()
            session = box.details.session_key
            told = saved_while_restarting(box, path, new, moment)
            assert box.details.session_key != session
            assert re.search(
                "the container is running now: make sure|check|changed|gone|ended|restarted|nothing was", told
            ), told
            now = box.sh(f"cat {path.decode()}").encode()
            assert now in (old, new)
            assert box.read(path) == now
            assert box.sh("ls -A /srv/d /etc | grep dtui || true") == ""
        box.sh(f"echo w >> /app/keep.txt; mv /tree/a/f /tree/f{turn}; mv /tree/f{turn} /tree/a/f; chmod 6{turn}0 /old")
    assert recover(box.inspect) == ()


def saved_while_restarting(box: Box, path: bytes, data: bytes, moment: str) -> str:
    """Save while the container is restarted at a step of it; return what is told."""

    def restart(step: str) -> None:
        if step == moment:
            box.engine.docker("restart", "-t0", "web")

    try:
        receipt = save(box.id, path, data, None, inspect=box.endpoint.inspect, checkpoint=restart)
    except DtuiError as error:
        return str(error)
    return " ".join(receipt.notes)


@pytest.mark.case(33)
def test_reused_process_id_is_not_entered(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes(alive=True)
    before = Path("/etc/hostname").read_bytes()
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        try:
            fake = replace(box.details, pid=other.pid)
            for act in (
                lambda: LayerFiles(fake, lambda _: fake).open(b"/etc/hostname"),
                lambda: LayerFiles(fake, lambda _: fake).save(b"/etc/hostname", b"x", None),
            ):
                with pytest.raises(NotReachable, match="is not proven to be the container"):
                    act()
        finally:
            other.kill()
    assert Path("/etc/hostname").read_bytes() == before


NAMES = "os encodings/__init__ encodings/utf_8 encodings/idna socket sitecustomize signal ctypes struct errno"
EVIL = (
    "for lib in /usr/lib/python3 /usr/lib/python3.11 {prefix}; do mkdir -p $lib/encodings; "
    f'for name in {NAMES}; do echo \'open("/ran", "w")\' > $lib/$name.py; done; done; '
    "mkdir -p /lib64 /lib/x86_64-linux-gnu; echo evil > /lib/x86_64-linux-gnu/libc.so.6; echo evil > /lib64/libnss.so.2"
)


@pytest.mark.case(34)
def test_container_code_is_never_loaded(boxes: Boxes, tmp_path: Path) -> None:
    prefix = os.path.dirname(os.__file__)
    box = boxes(EVIL.replace("{prefix}", prefix) + "; mkdir /srv/empty", alive=True)
    words = [sys.executable, "-m", "tui", "-H", box.engine.host]
    for call, act in (
        ("renameat2", ["mv", "web:/etc/app.conf", "/etc/b.conf"]),
        ("unlinkat", ["rm", "web:/etc/motd"]),
        ("AT_REMOVEDIR", ["rm", "-r", "web:/srv/empty"]),
    ):
        log = tmp_path / call
        wanted = "trace=setns,open,openat,openat2,execve,execveat,mmap,mprotect,renameat2,unlinkat"
        trace = ["/usr/bin/strace", "-f", "-e", wanted, "-o", str(log)]
        subprocess.run([*trace, *words, *act], check=True, timeout=120, capture_output=True)
        lines = log.read_text(errors="replace").splitlines()
        (entered,) = [number for number, line in enumerate(lines) if "setns(" in line]
        helper = lines[entered].split()[0]
        after = [line.split(maxsplit=1)[1] for line in lines[entered + 1 :] if line.split()[0] == helper]
        assert [line for line in after if call in line and line.endswith("= 0")], call  # the trace holds what was done
        assert [line for line in after if re.match(r"open|exec", line)] == []
        assert [line for line in after if "PROT_EXEC" in line or re.match(r"mmap\((?!.*, -1, 0\) )", line)] == []
    assert box.sh("ls /etc/motd 2>&1; cat /etc/b.conf; test -e /ran || echo calm").endswith("port=80\ncalm\n")
