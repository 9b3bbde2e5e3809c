"""The main job, on a real engine, in a real terminal."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Open
from tests.support.checksums import tree_checksum
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.terminal import Terminal
from tui.bench.runner import OWNER

pytestmark = pytest.mark.engine

TYPO = "exit_with 0"


@pytest.fixture
def broken(engine: Dockerd) -> str:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "/app/start.sh")
    engine.docker("start", "-a", "web", check=False)
    return "web"


def open_start_sh(term: Terminal) -> None:
    """From the container list to the editor on /app/start.sh."""
    term.wait("exited (127)")
    term.press("enter")
    term.wait("app ")
    term.press("right")
    term.wait("start.sh")
    term.press("/")
    term.press("start.sh", "enter")
    term.wait("/app/start.sh ──")
    term.wait("exit_with 0")
    term.press("e")
    term.wait("editing:")


def fix_the_typo(term: Terminal) -> None:
    """Replace the misspelt command and save over the difference dialog."""
    term.press("ctrl+f")
    term.press(TYPO, "enter")
    term.wait("Col 12")
    term.press("backspace")
    term.press("sleep 1000", "ctrl+s")
    term.wait_all("+sleep 1000", "-exit_with 0")
    term.press("y")
    term.wait("saved")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_dead_container_is_fixed_and_started(
    engine: Dockerd, broken: str, terminal: Open, size: tuple[int, int]
) -> None:
    lowers = engine.image_layers(broken)
    before = tree_checksum(lowers)
    term = terminal("-H", engine.host, size=size)
    open_start_sh(term)
    fix_the_typo(term)
    term.press("ctrl+r")
    term.wait(lambda shown: "● running" in shown and shown.count("starting") >= 2)
    assert engine.docker("inspect", "--format", "{{.State.Running}}", broken).strip() == "true"
    assert engine.docker("diff", broken).splitlines() == ["C /app", "C /app/start.sh"]
    assert tree_checksum(lowers) == before
    term.press("esc", "esc", "esc")
    term.wait("container · 1 running")
    term.press("q")
    assert term.close() == 0


def test_fix_works_with_daemon_stopped(engine: Dockerd, broken: str, terminal: Open) -> None:
    engine.stop()
    try:
        term = terminal("--root", str(engine.root))
        open_start_sh(term)
        fix_the_typo(term)
        term.press("ctrl+r")
        term.wait("without its daemon")
        term.press("esc")
        term.press("esc", "q")
        assert term.close() == 0
    finally:
        engine.start()
    engine.docker("start", broken)
    assert engine.docker("inspect", "--format", "{{.State.Running}}", broken).strip() == "true"


def test_running_container_sees_edit(engine: Dockerd, terminal: Open) -> None:
    engine.docker("run", "-d", "--network=none", "--name=live", IMAGE, "sleep", "1000")
    term = terminal("-H", engine.host, "edit", "live:/etc/app.conf")
    term.wait("editing:")
    term.press("end", "backspace", "81")
    term.press("ctrl+s")
    term.wait_all("running container", "+port=881")
    term.press("y")
    term.wait("saved")
    assert engine.docker("exec", "live", "cat", "/etc/app.conf") == "port=881\n"
    since = engine.docker("inspect", "--format", "{{.State.StartedAt}}", "live")
    term.press("ctrl+r")
    term.wait("Restart live?")
    term.press("esc")
    term.wait(lambda shown: "Restart live?" not in shown)
    assert engine.docker("inspect", "--format", "{{.State.StartedAt}}", "live") == since


def test_start_elsewhere_shows_promptly(engine: Dockerd, terminal: Open) -> None:
    engine.docker("create", "--network=none", "--name=fresh", IMAGE, "sleep", "1000")
    term = terminal("-H", engine.host)
    term.wait("○ created")
    engine.docker("start", "fresh")
    term.wait("● running")
    engine.docker("kill", "fresh")
    term.wait("exited (137)", 5)
    term.wait("fresh exited with code 137", 5)


def test_lost_daemon_banner_clears_itself(engine: Dockerd, broken: str, terminal: Open) -> None:
    term = terminal("-H", engine.host)
    term.wait("exited (127)")
    engine.stop()
    term.wait("retrying by itself")
    term.wait("web")
    engine.start()
    term.wait(lambda shown: "trying again" not in shown and "exited (127)" in shown, 30)


def test_conflict_offers_choice(engine: Dockerd, terminal: Open) -> None:
    engine.docker("run", "-d", "--network=none", "--name=live", IMAGE, "sleep", "1000")
    term = terminal("-H", engine.host, "edit", "live:/etc/app.conf")
    term.wait("editing:")
    term.press("end", "1")
    engine.docker("exec", "live", "sh", "-c", "echo port=theirs > /etc/app.conf")
    term.press("ctrl+s")
    term.wait("+port=801")
    term.press("y")
    term.wait("was changed by somebody else")
    term.press("d")
    term.wait("-port=theirs")
    term.press("m")
    term.wait("saved")
    assert engine.docker("exec", "live", "cat", "/etc/app.conf") == "port=801\n"


def test_leaving_unsaved_text_asks(engine: Dockerd, broken: str, terminal: Open) -> None:
    term = terminal("-H", engine.host, "edit", "web:/etc/app.conf")
    term.wait("editing:")
    term.press("end", "9")
    term.wait("edited *")
    term.press("esc")
    term.wait("unsaved text")
    term.press("x")
    term.wait("e edits")
    assert engine.docker("diff", broken) == ""


def test_external_editor_result_is_saved(engine: Dockerd, broken: str, terminal: Open, tmp_path: object) -> None:
    term = terminal("-H", engine.host, "edit", "web:/etc/app.conf", env={"EDITOR": "sed -i s/80/8443/", "VISUAL": ""})
    term.wait("editing:")
    term.press("ctrl+o")
    term.wait("+port=8443")
    term.press("y")
    term.wait("saved")
    assert "C /etc/app.conf" in engine.docker("diff", broken).splitlines()


def test_killed_editor_leaves_old_file(engine: Dockerd, broken: str, terminal: Open) -> None:
    term = terminal("-H", engine.host, "edit", "web:/etc/app.conf")
    term.wait("editing:")
    term.press("end", "9", "ctrl+s")
    term.wait("+port=809")
    term.kill(signal.SIGKILL)
    assert engine.docker("diff", broken) == ""


@pytest.mark.iozone
def test_killed_benchmark_is_swept(engine: Dockerd, broken: str, terminal: Open) -> None:
    term = terminal("-H", engine.host)
    term.wait("exited (127)")
    term.press("b")
    term.wait("enter starts")
    term.press("enter")
    tests = ("write", "rewrite", "read", "reread", "random read", "random write")
    term.wait_all("done: 72 numbers", *(f"{test} · GB/s" for test in tests), seconds=90)
    term.press("p", "p")
    term.wait("iozone -a -n 4k -g 1g")
    term.press("enter")
    term.wait("64K", 20)
    while not engine.docker("ps", "-q", "--filter", f"label={OWNER}"):
        term.pump(0.1)
    term.kill(signal.SIGKILL)
    assert engine.docker("ps", "-aq", "--filter", f"label={OWNER}")
    again = terminal("-H", engine.host)
    again.wait("left by a killed benchmark")
    assert not engine.docker("ps", "-aq", "--filter", f"label={OWNER}")


@pytest.mark.iozone
def test_escape_aborts_benchmark(engine: Dockerd, broken: str, terminal: Open) -> None:
    term = terminal("-H", engine.host)
    term.wait("exited (127)")
    term.press("b")
    term.wait("enter starts")
    term.press("p", "p", "enter")
    term.wait(lambda shown: bool(re.search(r"[1-9]\d*/870 · \w", shown)), 60)
    term.press("esc")
    term.wait("aborted:", 20)
    assert not engine.docker("ps", "-aq", "--filter", f"label={OWNER}")


@pytest.mark.iozone
def test_drivers_are_compared_and_run_stored(engine: Dockerd, broken: str, terminal: Open, private_state: Path) -> None:
    term = terminal("-H", engine.host, size=(160, 45))
    term.wait("exited (127)")
    term.press("b")
    term.wait("d chooses")
    term.press("d")
    term.wait_all("[x] local", "[ ] overlay2", "[ ] vfs")
    term.press(" ", "down", " ", "down", "down", " ")
    term.wait_all("[ ] local", "[x] overlay2", "[x] vfs")
    term.press("enter")
    term.wait("4 ▲ host")
    term.press("c", "c")
    term.wait("both")
    term.press("enter")
    shown = term.wait("done:", seconds=120)
    assert f"done: {4 * 72 + 3 * 57} numbers" in shown
    assert "ratio to the host" in shown
    term.press("m")
    term.wait("× host")
    term.press("v")
    term.wait_all("first append, ms", "overlay2 again", "second reader, MiB")
    term.press("2")
    term.wait(lambda shown: "2 – vfs" in shown and "■ vfs" not in shown)
    term.press("0")
    term.wait("2 ■ vfs")
    term.press("x")
    term.wait("to which file?")
    term.press("ctrl+u", f"{private_state}/run.csv", "enter")
    term.wait("run.csv: ")
    assert (private_state / "run.csv").read_text().count("\n") == 1 + 4 * 72 + 3 * 57
    term.press("h")
    term.wait_all("Runs on this host", "459 numbers")
    term.press("r")
    term.wait("Name for run 1")
    term.press("before", "enter")
    term.wait_all("Runs on this host", "before")
    term.press("c")
    term.wait("run 1 compared with run 1")
    term.press("esc", "h")
    term.wait("Runs on this host")
    term.press("X")
    term.wait("Delete run 1")
    term.press("y")
    term.wait("run 1 deleted")
    term.press("esc", "esc")
    assert not list((private_state / "lab").iterdir())
    term.wait("exited (127)")
    term.press("q")
    assert term.close() == 0


@pytest.mark.iozone
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_custom_plan_asks_to_drop_caches(engine: Dockerd, broken: str, terminal: Open, size: tuple[int, int]) -> None:
    term = terminal("-H", engine.host, size=size)
    term.wait("exited (127)")
    term.press("b")
    term.wait("enter starts")
    term.press("P")
    term.wait("72 numbers per target")
    term.press("ctrl+u", "1m 4q")
    term.wait("4q is not a size")
    term.press("enter")  # not while it cannot be measured
    term.press("backspace", "backspace", "4m")
    term.wait("36 numbers per target")
    term.press("tab", "tab", "tab", "tab", "end", " ")
    term.wait_all("48 numbers per target", "caches of the whole host")
    term.press("enter")
    term.wait(lambda shown: "Your own plan" not in shown)
    term.press("enter")
    term.wait_all("Run the custom plan on 1 target", "slows down")
    term.press("y")
    term.wait("done: 48 numbers", 60)
    term.press("o")
    term.wait_all("COLD does not measure this", " COLD ─")
    term.press("tab", "tab")
    term.wait(lambda shown: " read · GB/s" in shown and " COLD ─" in shown and bool(re.search("[⠁-⣿]", shown)))


@pytest.mark.iozone
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signal_ends_benchmark_cleanly(
    engine: Dockerd, broken: str, terminal: Open, private_state: Path, number: signal.Signals
) -> None:
    term = terminal("-H", engine.host, size=(160, 45))
    term.wait("exited (127)")
    term.press("b")
    term.wait("d chooses")
    term.press("d")
    term.wait("[ ] overlay2")
    term.press("down", " ", "enter")
    term.wait("host")
    term.press("p", "enter")
    term.wait(lambda shown: bool(re.search(r"[1-9]\d*/\d+ · repeat", shown)), 60)
    os.kill(term.pid, number)
    assert term.close(60) == 128 + number
    assert not list((private_state / "lab").iterdir())
    assert not [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(private_state) in line]
    assert not engine.docker("ps", "-aq", "--filter", f"label={OWNER}")


def test_lost_terminal_ends_app(engine: Dockerd, terminal: Open) -> None:
    script = "while :; do echo $RANDOM of many; done"
    engine.docker("run", "-d", "--network=none", "--name=loud", IMAGE, "sh", "-c", script)
    for _ in range(4):
        term = terminal("-H", engine.host)
        term.wait("● running")
        term.press("l")
        term.wait("of many")
        assert term.drop() == 128 + signal.SIGHUP


def test_unsaved_text_survives_hangup(engine: Dockerd, broken: str, terminal: Open, private_state: Path) -> None:
    term = terminal("-H", engine.host, "edit", "web:/etc/app.conf")
    term.wait("editing:")
    term.press("end", "9")
    term.wait("edited *")
    assert term.drop() == 128 + signal.SIGHUP
    (kept,) = (path for path in (private_state / "unsaved").iterdir() if not path.suffix)
    assert kept.read_bytes() == b"port=809\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    again = terminal("-H", engine.host, size=(160, 40))
    again.wait_all("unsaved text of", "web:/etc/app.conf", kept.name)
    again.press("q")
    assert again.close() == 0
    third = terminal("-H", engine.host)
    third.wait("exited (127)")
    assert "unsaved text of" not in third.settle()
    assert kept.exists()
