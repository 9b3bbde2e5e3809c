"""Without any Docker: the demo and the welcome page, as root and as a normal user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Open


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_demo_opens_at_every_size(terminal: Open, size: tuple[int, int]) -> None:
    term = terminal("demo", size=size)
    term.wait_all("exited (137)", "web")
    term.press("q")
    assert term.close() == 0


def test_demo_is_browsed_edited_and_saved(terminal: Open) -> None:
    term = terminal("demo")
    term.wait("exited (137)")
    term.press("/")
    term.press("exited (1)", "enter")
    term.wait("filter: exited (1)")
    term.press("enter")
    term.wait("a.conf")
    term.press("m")
    term.wait("server.json")
    term.press("/")
    term.press("server.json", "enter")
    term.wait('"prot": 8080')
    term.press("e")
    term.wait("editing:")
    term.press("ctrl+f")
    term.press("prot", "enter")
    term.wait("Col 8")
    term.press("backspace")
    term.press("port", "ctrl+s")
    term.wait('+  "port": 8080')
    term.press("y")
    term.wait("saved")
    term.wait("M     ")


def test_no_color_keeps_states_readable(terminal: Open) -> None:
    term = terminal("demo", env={"NO_COLOR": "1"})
    term.wait("exited (137)")
    term.press("down")
    term.settle()
    shown = term.text().split("\n")
    y = next(i for i, line in enumerate(shown) if "exited (1)" in line)
    cells = [term.screen.buffer[y][x] for x in range(shown[y].index("exited"), shown[y].index("exited") + 6)]
    assert all(int(cell.fg[:2], 16) > 0x80 for cell in cells), cells[0]
    cursor = [i for i in range(len(shown)) if term.screen.buffer[i][40].reverse]
    assert len(cursor) == 1


def test_burst_of_keys_keeps_order(terminal: Open) -> None:
    term = terminal("demo", "edit", "web:/app/start.sh")
    term.wait("editing:")
    term.burst("end", "X", "backspace", "Y", "home", "Z", "down", "end", "backspace", "!", "ctrl+s")
    term.wait_all("Save /app/start.sh?", "+echo startin!", "+Z#!/bin/shY")


def test_welcome_page_opens_demo(terminal: Open, tmp_path: Path) -> None:
    term = terminal(env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    term.wait_all("No Docker Engine answers", "none.sock", "there is no such socket")
    term.press("d")
    term.wait("exited (137)")
    term.press("q")
    assert term.close() == 0


def test_next_demo_sweeps_killed_demo(terminal: Open, tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    term = terminal("demo", env=env)
    term.wait("exited (137)")
    term.kill()
    assert list(tmp_path.glob("dtui-demo-*"))
    again = terminal("demo", env=env)
    again.wait("exited (137)")
    again.press("q")
    assert again.close() == 0
    assert not list(tmp_path.glob("dtui-demo-*"))


AS_NOBODY = """
import contextlib, io, os, sys
from tui.cli import main
words, data = sys.argv[1:], sys.stdin.buffer.read()
def run():
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))
    return main(["demo", *words])
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
    run()  # loads every module: the interpreter itself may lie where nobody may read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(run())
"""


@pytest.mark.root  # to become a normal user
def test_the_demo_works_as_a_normal_user() -> None:
    def demo(*words: str, stdin: str = "") -> str:
        command = [sys.executable, "-c", AS_NOBODY, *words]
        env = {"PATH": os.environ["PATH"], "TMPDIR": "/tmp"}
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=env)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert "D /app/conf.d/a.conf" in demo("changes", "web").splitlines()
    assert '"created": false' in demo("write", "web:/app/server.json", "--json", stdin="{}")
    assert '"prot"' in demo("cat", "web:/app/server.json")
