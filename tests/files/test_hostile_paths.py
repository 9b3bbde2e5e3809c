"""Paths of strangers: what is opened, and what never is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tests.support.cli import dtui
from tui.core.errors import DtuiError, EditRefused, LayerError, NotFound
from tui.core.text import printable

pytestmark = pytest.mark.engine

BOTH = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])


@pytest.mark.case(1)
@BOTH
def test_absolute_link_stays_in_container(boxes: Boxes, alive: bool) -> None:
    box = boxes(alive=alive)
    before = Path("/etc/passwd").read_bytes()
    assert box.read(b"/abs") == b"inside\n"
    assert box.write(b"/abs", b"changed\n").path == b"/etc/passwd"
    assert box.read(b"/etc/passwd") == b"changed\n"
    assert Path("/etc/passwd").read_bytes() == before


@pytest.mark.case(2)
@BOTH
def test_climbing_link_stays_in_container(boxes: Boxes, alive: bool) -> None:
    box = boxes(alive=alive)
    before = Path("/etc/shadow").read_bytes()
    assert box.read(b"/app/up") == b"inside-shadow\n"
    assert box.read(b"/../../../../../../etc/shadow") == b"inside-shadow\n"
    assert box.write(b"/app/up", b"mine\n").path == b"/etc/shadow"
    assert Path("/etc/shadow").read_bytes() == before


@BOTH
def test_dots_behind_link_resolve_alike(boxes: Boxes, alive: bool) -> None:
    box = boxes("ln -s /srv/www /up; mkdir /srv/etc; echo theirs > /srv/etc/app.conf", alive=alive)
    path = b"/up/../etc/app.conf"
    assert box.read(path) == b"port=80\n"
    assert dtui("-H", box.engine.host, "cat", "web:/up/../etc/app.conf") == b"port=80\n"
    assert "/srv" not in box.files.plan(path).sentence
    assert box.write(path, b"port=81\n").path == b"/etc/app.conf"
    assert (box.read(path), box.read(b"/srv/etc/app.conf")) == (b"port=81\n", b"theirs\n")


@pytest.mark.case(3)
def test_kernel_magic_link_is_refused(boxes: Boxes) -> None:
    box = boxes("ln -s /proc/1/root /magic", alive=True)
    # dtui has no number in the container's own /proc: its "self" leads nowhere
    refusals = {b"/proc/self/root/../etc/passwd": "a file of the kernel's"}
    for path in (b"/proc/self/root/../etc/passwd", b"/proc/1/root/etc/shadow", b"/magic/etc/passwd"):
        with pytest.raises(DtuiError, match=refusals.get(path, "link out of /proc")):
            box.read(path)
        with pytest.raises(DtuiError):
            box.write(path, b"x")


@pytest.mark.case(5)
@BOTH
def test_loop_and_dangling_link_are_one_line(boxes: Boxes, alive: bool) -> None:
    box = boxes(alive=alive)
    with pytest.raises(LayerError, match="too many symbolic links"):
        box.read(b"/loop")
    with pytest.raises(NotFound):
        box.read(b"/dangling")
    with pytest.raises(NotFound):
        box.write(b"/dangling/x", b"x", create=True)


@BOTH
def test_create_follows_dangling_link(boxes: Boxes, alive: bool) -> None:
    links = "ln -s ../srv/one /app/a; ln -s /app/b /app/c; ln -s ../etc/../srv/two /app/b; ln -s /no/where /app/d; "
    box = boxes(links + "ln -s /var/run/three /app/e; ln -s one/ /srv/f", alive=alive)
    for link, path in ((b"/app/a", b"/srv/one"), (b"/app/c", b"/srv/two"), (b"/app/e", b"/run/three")):
        assert box.write(link, b"new\n", create=True).path == path
        box.undo()
        assert not box.exists(path)
        with pytest.raises(NotFound):
            box.write(link, b"new\n")
    for link in (b"/app/d", b"/srv/f"):
        with pytest.raises(NotFound):
            box.write(link, b"new\n", create=True)
    if not alive:
        box.start()
    assert box.sh("for link in a b c d; do readlink /app/$link; done; ls /srv") == (
        "../srv/one\n../etc/../srv/two\n/app/b\n/no/where\nf\nwww\n"
    )


@pytest.mark.case(6, 7, 8)
@BOTH
def test_special_file_is_never_opened(boxes: Boxes, alive: bool, tmp_path: Path) -> None:
    box = boxes(alive=alive)
    log = tmp_path / "trace"
    for path in ("/pipe", "/null", "/disk"):
        trace = ["/usr/bin/strace", "-f", "-e", "trace=open,openat,openat2", "-o", str(log)]
        words = [sys.executable, "-m", "tui", "-H", box.engine.host, "cat", f"web:{path}"]
        done = subprocess.run([*trace, *words], capture_output=True, timeout=60, check=False)
        assert done.returncode == 1
        assert b"not a file" in done.stderr
        name = path.strip("/")
        opened = [line for line in log.read_text(errors="replace").splitlines() if f'"{name}"' in line]
        assert opened
        assert all("O_PATH" in line for line in opened), opened
        assert b"not a file" in dtui("-H", box.engine.host, "write", f"web:{path}", stdin=b"x", code=1)


@pytest.mark.case(8)
def test_socket_is_deleted_and_restored(boxes: Boxes) -> None:
    import socket

    box = boxes()
    if box.details.container.driver.name == "vfs":
        place = box.upper / "srv" / "sock"
    else:
        (box.upper / "srv").mkdir()
        place = box.upper / "srv" / "sock"
    with socket.socket(socket.AF_UNIX) as one:
        held = os.open(place.parent, os.O_PATH)
        one.bind(f"/proc/self/fd/{held}/sock")
        os.close(held)
    with pytest.raises(EditRefused, match="is a socket, not a file"):
        box.read(b"/srv/sock")
    box.remove(b"/srv/sock")
    assert not box.exists(b"/srv/sock")
    box.undo()
    assert box.exists(b"/srv/sock")


@pytest.mark.case(9)
@BOTH
def test_huge_hole_is_handled_at_once(boxes: Boxes, alive: bool) -> None:
    box = boxes("dd if=/dev/zero of=/huge bs=1 count=1 seek=8796093022207 2>/dev/null", alive=alive)
    begin = time.monotonic()
    with pytest.raises(EditRefused, match="larger than"):
        box.read(b"/huge")
    box.chmod(b"/huge", "600")
    box.remove(b"/huge")
    box.undo()
    assert time.monotonic() - begin < 20
    assert box.exists(b"/huge")


NAMES = [b"line\nbreak", b"\x1b[31mred", b"byte\xff", b"-rf", b"n" * 255, "ü\u202e".encode(), b"sp ace ", b"[red]x"]


@pytest.mark.case(10)
@BOTH
@pytest.mark.parametrize("name", NAMES, ids=lambda name: printable(name)[:20])
def test_any_name_is_taken_literally(boxes: Boxes, alive: bool, name: bytes) -> None:
    box = boxes(alive=alive)
    path = b"/srv/" + name
    assert box.write(path, b"one\n", create=True).created
    assert box.read(path) == b"one\n"
    box.write(path, b"two\n")
    assert box.rename(path, b"/srv/plain").path == b"/srv/plain"
    assert box.read(b"/srv/plain") == b"two\n"
    box.undo()
    assert box.read(path) == b"two\n"
    box.remove(path)
    assert not box.exists(path)
