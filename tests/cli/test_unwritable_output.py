"""An act whose story nobody takes: it is done, or it is not, and the exit code says which."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.files.test_recovery import TWO, cut_off, deletion
from tests.support.boxes import Boxes

pytestmark = pytest.mark.engine

UNTAKEN = pytest.mark.parametrize("untaken", ["Broken pipe", "No space left on device"], indirect=True)


@pytest.fixture
def untaken(request: pytest.FixtureRequest) -> Iterator[int]:
    """What takes nothing: a pipe whose reader has left, or a full device."""
    if request.param == "Broken pipe":
        reader, fd = os.pipe()
        os.close(reader)
    else:
        fd = os.open("/dev/full", os.O_WRONLY)
    yield fd
    os.close(fd)


def dtui(
    *arguments: str,
    stdin: bytes = b"",
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    buffered: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    command = [sys.executable, "-m", "tui", *arguments]
    return subprocess.run(command, input=stdin, stdout=stdout, stderr=stderr, check=False, env=env)


@UNTAKEN
def test_unwritable_notes_stop_no_change(boxes: Boxes, untaken: int) -> None:
    box = boxes(TWO)
    cut_off(deletion(box, b"/srv/p/one"), deletion(box, b"/srv/two"), "fsync", -2)
    done = dtui("-H", box.engine.host, "rm", "web:/etc/motd", stderr=untaken)
    assert (done.returncode, done.stdout) == (0, b"")
    assert (box.names(b"/srv/p/one"), box.exists(b"/etc/motd")) == ([b"x", b"y", b"z"], False)


ACTS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "chmod": lambda host: ("chmod", "600", "web:/etc/motd"),
    "write": lambda host: ("write", "web:/etc/motd"),
    "copy in": lambda host: ("cp", str(host), "web:/etc/new"),
    "copy out": lambda host: ("cp", "web:/etc/motd", f"{host}.new"),
}


@UNTAKEN
@pytest.mark.parametrize("name", ACTS)
def test_unwritable_answer_reports_the_change(
    boxes: Boxes, tmp_path: Path, name: str, untaken: int, request: pytest.FixtureRequest
) -> None:
    box = boxes(alive=True)
    host = tmp_path / "host"
    host.write_bytes(b"new\n")
    look = "cat /etc/motd; ls -l /etc"
    before = box.sh(look)
    ended = dtui(
        "-H",
        box.engine.host,
        *ACTS[name](host),
        "--json",
        stdin=b"mine\n",
        stdout=untaken,
        buffered=name in ("write", "copy in"),
    )
    why = request.node.callspec.params["untaken"]
    told = f"dtui: done, but the answer could not be written: {why}\n"
    assert (ended.returncode, ended.stderr.decode()) == (1, told)
    assert box.sh(look) != before or host.with_suffix(".new").read_bytes() == b"hello\n"


@UNTAKEN
def test_unwritable_refusal_keeps_exit_code(boxes: Boxes, untaken: int) -> None:
    box = boxes()
    assert dtui("-H", box.engine.host, "rm", "web:/none", stderr=untaken).returncode == 1
    assert dtui("-H", box.engine.host, "rm", stderr=untaken).returncode == 2
    assert dtui("-H", box.engine.host, "chmod", "644", "web:/etc/motd", stderr=untaken).returncode == 0


@UNTAKEN
def test_list_fails_on_full_device_only(boxes: Boxes, untaken: int, request: pytest.FixtureRequest) -> None:
    box = boxes()
    left = request.node.callspec.params["untaken"] == "Broken pipe"
    for arguments in (("ls",), ("ls", "--json"), ("cat", "web:/bin/busybox"), ("--help",)):
        ended = dtui("-H", box.engine.host, *arguments, stdout=untaken)
        assert (ended.returncode, ended.stderr.count(b"\n")) == ((0, 0) if left else (1, 1)), ended.stderr
