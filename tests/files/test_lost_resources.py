"""dtui stays out of docker's way, and says whose failure it was."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import gate
from tests.support.boxes import Boxes
from tests.support.cli import dtui
from tests.support.waiting import until
from tui.core.errors import EditRefused, StateFileError

pytestmark = pytest.mark.engine
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")


def many(top: Path) -> Path:
    """Make a tree of 2,000 small files."""
    for directory in range(20):
        (top / str(directory)).mkdir(parents=True)
        for file in range(100):
            (top / str(directory) / str(file)).write_text("x")
    return top


@pytest.mark.promise("docker-verbs-succeed")
@pytest.mark.promise("message-names-what-happened")
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_docker_rm_during_copy_succeeds(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    source = many(tmp_path / "many")
    box = boxes(alive=alive)
    words = ["-H", box.engine.host, "cp", str(source), "web:/srv/in"]
    arrived = box.upper / "srv" / "in" / "1" / "1"
    with subprocess.Popen([sys.executable, "-m", "tui", *words], stderr=subprocess.PIPE) as process:
        until(lambda: arrived.exists() or process.poll() is not None, pause=0.001)
        box.engine.docker("rm", "-f", "web")
        assert process.stderr is not None
        told = process.stderr.read().decode()
        assert process.wait() == 4, told
    assert "the container is being removed" in told or "has stopped or was removed" in told
    assert box.engine.docker("ps", "-aq", "--filter", "name=^web$") == ""


@UNION
@pytest.mark.promise("own-places-named")
def test_read_only_lock_directory_is_named(boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = tmp_path / "locks-of-ours"
    locks.mkdir(mode=0o700)
    monkeypatch.setattr("tui.core.state.LOCKS", locks)
    box = boxes()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "ro,mode=700", "none", str(locks)], check=True)
    try:
        with pytest.raises(EditRefused, match=rf"^{locks}/.*: read-only file system") as refused:
            box.remove(b"/etc/motd")
        assert isinstance(refused.value, StateFileError)
    finally:
        subprocess.run(["/bin/umount", str(locks)], check=True)


@UNION
@pytest.mark.promise("own-places-named")
def test_state_without_inodes_is_named(boxes: Boxes, private_state: Path) -> None:
    box = boxes()
    private_state.mkdir(mode=0o700)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "nr_inodes=2,mode=700", "none", str(private_state)], check=True)
    try:
        told = dtui("-H", box.engine.host, "rm", "web:/etc/motd", code=1).decode()
        assert told.startswith(f"dtui: {private_state}"), told
        assert "no space left on device" in told
    finally:
        subprocess.run(["/bin/umount", str(private_state)], check=True)
    assert box.exists(b"/etc/motd")


@UNION
@pytest.mark.promise("own-places-named")
def test_used_up_descriptors_blame_no_file(boxes: Boxes) -> None:
    box = boxes()
    for limit in (12, 16, 20):
        result = subprocess.run(
            [sys.executable, "-m", "tui", "-H", box.engine.host, "rm", "web:/etc/motd"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )
        if result.returncode == 0:
            break
        assert "too many open files" in result.stderr.lower(), result.stderr
        assert "/etc/motd" not in result.stderr.split(";")[0]
        assert box.exists(b"/etc/motd")


@UNION
@pytest.mark.promise("own-places-named")
def test_state_lost_in_the_middle_is_named(boxes: Boxes, private_state: Path, tmp_path: Path) -> None:
    box = boxes()
    words = ["-H", box.engine.host, "mkdir", "-p", "web:/srv/x"]
    refused = 0
    for step in ("os.rename", "os.scandir", "os.remove"):
        run = gate.start(words, tmp_path / "told", at=f"{step} {private_state}/backups/{box.id}")
        if run.wait_for_gate():
            shutil.rmtree(private_state)
            run.go_on()
        code, told = run.end()
        if code:
            refused += 1
            assert told.startswith(f"dtui: {private_state}"), told
            assert "free some space" not in told
            assert "undo takes back" not in told
    assert refused
