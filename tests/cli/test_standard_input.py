"""Standard input of any size: what is too large is refused as soon as that is known, the rest needs little memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.attribute_tree import place_of
from tests.support.boxes import Boxes
from tui.cli import stdin_content

pytestmark = pytest.mark.promise("size-refused-early")

OVERLAY2 = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
MEASURED = """
import resource, sys
from tui.cli import stdin_content, main
if sys.argv[1] != "0":
    stdin_content.LIMIT = int(sys.argv[1])
code = main(sys.argv[2:])
data = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
sys.stderr.write(f"\\n{data.split()[1]}")
sys.exit(code)
"""
"""Run dtui and print the most memory that it ever had, in KiB."""


def run(stdin: int, *arguments: str, limit: int = 0) -> tuple[int, str, int]:
    """Return exit code, what was told, and the KiB of memory at most."""
    command = [sys.executable, "-c", MEASURED, str(limit), *arguments]
    result = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False, timeout=300)
    output, _, peak = result.stderr.rpartition("\n")
    return result.returncode, output.strip(), int(peak)


def test_large_stdin_file_is_refused_unread(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("w+b") as file:
        file.truncate(2_200_000_000)
        code, output, peak = run(file.fileno(), "write", "web:/f")
        assert (code, len(output.splitlines())) == (1, 1)
        assert "standard input has 2.2 GB, more than the limit of 1.1 GB; nothing was changed" in output
        assert peak < 100 << 10
        assert file.tell() == 0
        os.lseek(file.fileno(), 2_199_999_000, os.SEEK_SET)
        assert "standard input has" not in run(file.fileno(), "-H", "unix:///nowhere.sock", "write", "web:/f")[1]


def test_endless_stdin_is_refused_at_limit(private_state: Path) -> None:
    limit = 200 << 20
    with subprocess.Popen(["/usr/bin/yes"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout is not None
        code, output, peak = run(endless.stdout.fileno(), "write", "web:/f", limit=limit)
        endless.kill()
    assert (code, len(output.splitlines())) == (1, 1)
    assert "standard input has more than the limit of 209.7 MB; nothing was changed" in output
    assert peak < 100 << 10
    assert list((private_state / "incoming").iterdir()) == []


@OVERLAY2
@pytest.mark.engine
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("size", [0, stdin_content._IN_MEMORY + 1])
def test_stdin_is_written_unchanged(boxes: Boxes, alive: bool, size: int, tmp_path: Path) -> None:
    box = boxes(alive=alive)
    source = tmp_path / "source"
    data = (os.urandom(3 << 20) + bytes(5 << 20)) * (size // (8 << 20) + 1)
    source.write_bytes(data[:size])
    arguments = [sys.executable, "-m", "tui", "-H", box.engine.host, "write", "--create", "web:/srv/f"]
    for way in ("pipe", "file", "in place"):
        with source.open("rb") as file, subprocess.Popen(["/bin/cat"], stdin=file, stdout=subprocess.PIPE) as pipe:
            assert pipe.stdout is not None
            stdin = source.open("rb") if way == "file" else pipe.stdout
            more = ["--in-place"] if way == "in place" else []
            subprocess.run([*arguments, *more], stdin=stdin, check=True)
        got = (place_of(box) / "srv/f").read_bytes()
        assert (len(got), hashlib.sha256(got).digest()) == (size, hashlib.sha256(data[:size]).digest()), way


@pytest.mark.root  # to mount a small disk
def test_full_state_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny"
    path.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=4m", "tiny", path], check=True)
    try:
        monkeypatch.setenv("DTUI_STATE", str(path / "state"))
        with subprocess.Popen(["/usr/bin/yes"], stdout=subprocess.PIPE) as endless:
            assert endless.stdout is not None
            code, output, _ = run(endless.stdout.fileno(), "write", "web:/f")
            endless.kill()
        assert code == 1
        assert f"{path}/state/incoming: no space left on device while storing standard input" in output
        assert list((path / "state/incoming").iterdir()) == []
    finally:
        subprocess.run(["/bin/umount", "-l", path], check=True)
