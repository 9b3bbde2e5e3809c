"""Containers that are removed and engines that go away while somebody looks at them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Open
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE

pytestmark = pytest.mark.engine


@pytest.fixture
def web(engine: Dockerd) -> str:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sleep", "1000")
    return "web"


def test_removal_keeps_text_on_host(engine: Dockerd, web: str, terminal: Open) -> None:
    term = terminal("-H", engine.host, "edit", f"{web}:/etc/app.conf", size=(80, 24))
    term.wait("editing:")
    term.press("end", "9")
    engine.docker("rm", "-f", web)
    term.wait_all("∅ removed", "web was removed; esc lets you keep your text")
    term.press("ctrl+s")
    term.wait("nothing can be saved into it")
    term.press("esc")
    term.wait_all("this text cannot be saved into it", "keep a copy on this host")
    term.press("k")
    told = "".join(term.wait("your text is kept in").split())
    kept = re.search(r"keptin(/\S+?/dtui-unsaved-[a-z0-9_]{8})", told)
    assert kept, told
    assert Path(kept.group(1)).read_bytes() == b"port=809\n"


def test_layer_of_removed_container_says_so(engine: Dockerd, web: str, terminal: Open) -> None:
    engine.docker("exec", web, "sh", "-c", "echo new > /app/new.txt")
    term = terminal("-H", engine.host, size=(80, 24))
    term.wait("● running")
    term.press("enter")
    term.wait("new.txt")
    engine.docker("rm", "-f", web)
    term.wait_all("∅ removed", "web was removed: esc goes back")
    footer = term.settle().splitlines()[-1]
    assert not re.search("start|edit|delete", footer), footer
    term.press("d")
    term.wait("web is gone: esc goes back")


def test_log_of_removed_container_ends(engine: Dockerd, web: str, terminal: Open) -> None:
    term = terminal("-H", engine.host, size=(80, 24))
    term.wait("● running")
    term.press("l")
    term.wait("▸ logs")
    engine.docker("kill", web)
    term.wait_all("✗ exited", "s starts it again")
    term.press("s")
    term.wait_all("● running", "web started")
    engine.docker("rm", "-f", web)
    term.wait_all("∅ removed", "web was removed: its log ends here")


def test_returned_engine_is_asked_again(engine: Dockerd, web: str, terminal: Open) -> None:
    engine.docker("exec", web, "sh", "-c", "echo new > /app/new.txt")
    engine.docker("create", "--network=none", "--name=other", IMAGE, "true")
    term = terminal("-H", engine.host)
    term.wait_all("● running", "○ created", "stack")
    engine.stop()
    term.wait("retrying by itself")
    term.press("j", "f5")
    term.wait(lambda shown: "not reloaded" in shown and shown.count("no such socket") > 2)
    term.press("enter")
    term.wait("the layer could not be opened: f5 tries again")
    engine.start()
    term.wait(lambda shown: "could not be opened" not in shown and "▸ containers ▸" in shown, 30)
    term.press("esc")
    term.wait(lambda shown: "no such socket" not in shown and "stack" in shown, 30)


def test_log_resumes_with_engine(engine: Dockerd, terminal: Open) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sh", "-c", "echo hello; exec sleep 1000")
    term = terminal("-H", engine.host, size=(80, 24))
    term.wait("● running")
    term.press("l")
    term.wait_all("▸ logs", "hello")
    engine.die()
    assert "hello" in term.wait("does not answer; the log continues when it does")
    engine.start()
    term.wait_all("✗ exited", "hello", "web has ended: s starts it again")
    term.press("s")
    term.wait_all("● running", "web started")
