"""Changing a layer from its tree, in a real terminal on a real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Open
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.terminal import Terminal

pytestmark = pytest.mark.engine


@pytest.fixture
def term(engine: Dockerd, terminal: Open) -> Terminal:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "sleep", "1000")
    engine.docker("start", "web")
    engine.docker("exec", "web", "sh", "-c", "rm /etc/motd; echo mine > /etc/app.conf")
    engine.docker("stop", "-t0", "web")
    found = terminal("-H", engine.host, size=(110, 34))
    found.wait("exited")
    found.press("enter")
    found.wait_all("motd", "app.conf")
    return found


def find(term: Terminal, name: str) -> None:
    term.press("/")
    term.press(name, "enter")
    term.wait(f"{name} ──")


def retype(term: Terminal, old: str, new: str) -> None:
    """Answer a question that has an answer in it already with another."""
    term.wait(f"│  {old}   ")
    term.press("ctrl+u")
    term.wait(lambda shown: f"│  {old}   " not in shown)
    term.press(new, "enter")


def diff(engine: Dockerd) -> list[str]:
    return sorted(engine.docker("diff", "web").splitlines())


def test_deleted_file_is_reverted_and_undone(engine: Dockerd, term: Terminal) -> None:
    before = diff(engine)
    find(term, "motd")
    term.press("u")
    term.wait("Revert /etc/motd to the image?")
    term.press("y")
    term.wait("is as the image has it")
    assert "D /etc/motd" not in diff(engine)
    term.press("z")
    term.wait("Undo the revert of /etc/motd")
    term.press("y")
    term.wait("is as it was")
    assert diff(engine) == before


def test_revert_clears_open_tree_below(engine: Dockerd, term: Terminal) -> None:
    engine.docker("start", "web")
    engine.docker("exec", "web", "sh", "-c", "mkdir -p /new/d/e /new/g; touch /new/d/e/file")
    engine.docker("stop", "-t0", "web")
    term.press("f5")
    term.wait("new")
    find(term, "file")
    find(term, "new")
    term.press("u")
    term.wait("Revert /new to the image?")
    term.press("y")
    term.wait("/new is as the image has it")
    term.wait(lambda shown: "file" not in shown)
    assert "/new is as the image has it" in term.settle(1.0)


def test_undo_over_later_change_asks_again(engine: Dockerd, term: Terminal) -> None:
    find(term, "app.conf")
    term.press("d")
    term.wait("Delete /etc/app.conf?")
    term.press("y")
    term.wait("✓ /etc/app.conf deleted")
    engine.docker("start", "web")
    engine.docker("exec", "web", "sh", "-c", "echo theirs > /etc/app.conf")
    engine.docker("stop", "-t0", "web")
    term.press("z")
    term.wait("Undo the deletion of /etc/app.conf")
    term.press("y")
    term.wait("/etc/app.conf was changed since. Undo anyway?")
    term.press("f")
    term.wait("is as it was")
    engine.docker("start", "web")
    assert engine.docker("exec", "web", "cat", "/etc/app.conf") == "mine\n"


def test_files_are_made_changed_and_deleted(engine: Dockerd, term: Terminal, tmp_path: Path) -> None:
    find(term, "app.conf")
    term.press("+")
    term.wait("New in /etc")
    term.press("extra/", "enter")
    term.wait_all("✓ /etc/extra made", "/etc/extra ──")
    term.press("+")
    term.wait("New in /etc/extra")
    term.press("one", "enter")
    term.wait("✓ /etc/extra/one made")
    term.wait("/etc/extra/one ──")
    term.press("r")
    term.wait("Rename /etc/extra/one to")
    retype(term, "one", "two")
    term.wait("/etc/extra/two is its new name")
    term.wait("/etc/extra/two ──")
    term.press("c")
    term.wait("Mode of /etc/extra/two")
    retype(term, "0644", "u=rwx,go=")
    term.wait("has its new mode")
    term.wait("rwx------")
    term.press("x")
    term.wait("Copy /etc/extra/two to this host")
    retype(term, "./two", f"{tmp_path}/out")
    term.wait("copied out")
    assert (tmp_path / "out").read_bytes() == b""
    engine.docker("start", "web")
    assert engine.docker("exec", "web", "stat", "-c", "%a %s", "/etc/extra/two") == "700 0\n"
    term.wait("● running")
    find(term, "two")
    term.press("d")
    term.wait("Delete /etc/extra/two?")
    term.press("y")
    term.wait("/etc/extra/two deleted")
    assert "two" not in engine.docker("exec", "web", "ls", "/etc/extra")
    term.press("esc")
    term.wait("1 running")
    term.press("q")
    assert term.close() == 0
