"""The container list on a real engine: filter, group, logs, and acts that ask first."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Open
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE

pytestmark = pytest.mark.engine


def test_status_filter_shows_dead_container(engine: Dockerd, terminal: Open) -> None:
    for number in range(5):
        engine.docker("create", "--network=none", f"--name=spare-{number}", IMAGE, "true")
    engine.docker("run", "--network=none", "--name=lost", IMAGE, "sh", "-c", "exit 127", check=False)
    term = terminal("-H", engine.host)
    term.wait("6 containers")
    term.press("/")
    term.press("exited (127)")
    term.wait(lambda shown: "lost" in shown and "spare-" not in shown)
    term.press("esc")
    term.wait("spare-4")
    term.press("g")
    term.wait("group: driver")


def test_remove_asks_first(engine: Dockerd, terminal: Open) -> None:
    engine.docker("create", "--network=none", "--name=spare", IMAGE, "true")
    term = terminal("-H", engine.host)
    term.wait("○ created")
    term.press("X")
    term.wait("Remove spare?")
    term.press("esc")
    assert engine.docker("ps", "-aq")
    term.press("X")
    term.wait("Remove spare?")
    term.press("y")
    term.wait("0 containers")
    assert not engine.docker("ps", "-aq")


def test_logs_follow_restart_and_search(engine: Dockerd, terminal: Open) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i of $$; done; echo needle; sleep 1000"
    engine.docker("run", "-d", "--network=none", "--name=loud", IMAGE, "sh", "-c", script)
    term = terminal("-H", engine.host)
    term.wait("● running")
    term.press("l")
    term.wait("line 9")
    term.press("/")
    term.press("needle", "enter")
    term.wait("1 line matched")
    engine.docker("restart", "-t", "0", "loud")
    term.wait(lambda shown: shown.count("needle") >= 2, 20)
    term.press("esc")
    term.press("esc")
    term.wait("▸ containers")


def test_inspect_and_stderr_logs_are_shown(engine: Dockerd, terminal: Open) -> None:
    options = ("--network=none", "--restart=on-failure:3", "--env=PORT=80", "--label=team=shop", "--tmpfs=/scratch")
    script = "echo plain; echo trouble >&2; sleep 1000"
    engine.docker("run", "-d", "--name=loud", *options, IMAGE, "sh", "-c", script)
    term = terminal("-H", engine.host, size=(120, 70))
    term.wait_all("● running", "!")
    term.wait(lambda shown: bool(re.search(r"!\d\d:\d\d:\d\d trouble", shown)) and " plain" in shown)
    assert not re.search(r"!\d\d:\d\d:\d\d plain", term.text())
    term.press("i")
    term.wait_all("on-failure, at most 3 times", "network none", "team=shop", "PORT=80", "/scratch")


def test_pause_stop_and_kill_change_state(engine: Dockerd, terminal: Open) -> None:
    engine.docker(
        "run", "-d", "--network=none", "--name=up", IMAGE, "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"
    )
    term = terminal("-H", engine.host)
    for key, question, state, told in (
        ("", "", "● running", ""),
        ("p", "", "◐ paused", "up paused"),
        ("p", "", "● running", "up unpaused"),
        ("K", "Kill up?", "✗ exited", "up killed"),
        ("s", "", "● running", "up started"),
        ("S", "Stop up?", "✗ exited", "up stopped"),
    ):
        term.press(key)
        if question:
            term.wait(question)
            term.press("y")
        # the count of the group is the list's own; the detail pane, which asks for itself, may be ahead of it
        term.wait(lambda shown, state=state, told=told: bool(re.search(rf"{state} +1 ", shown)) and told in shown)
    term.press("K")
    term.wait("up is not running")


def test_keys_typed_at_start_reach_filter(engine: Dockerd, terminal: Open) -> None:
    for name in ("broken", "whole"):
        engine.docker("create", "--network=none", f"--name={name}", IMAGE, "true")
    for ready in (b"\x1b[?1049h", b"dtui"):
        term = terminal("-H", engine.host)
        while ready not in term.raw:
            term.pump(0.01)
        term.burst("/", *"broken")
        term.wait_all("filter: broken", "○ created")
        assert "whole" not in term.settle()


def test_start_failure_fits_narrow_screen(engine: Dockerd, terminal: Open) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "/srv/not-there")
    term = terminal("-H", engine.host, size=(80, 24))
    term.wait("○ created")
    term.press("s")
    shown = term.wait("! start web: ")
    shown = term.wait(lambda shown: "no such file or directory" in " ".join(shown.rpartition("! start web")[2].split()))
    assert "OCI runtime" not in shown.rpartition("! start web")[2]
