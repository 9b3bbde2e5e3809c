"""Another host's containers, in a real terminal."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Open
from tests.e2e.test_main_job import TYPO, open_start_sh
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE

pytestmark = pytest.mark.engine


def test_remote_container_file_is_fixed(engine: Dockerd, far: str, terminal: Open) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "/app/start.sh")
    engine.docker("start", "-a", "web", check=False)
    term = terminal("-H", far)
    open_start_sh(term)
    term.press("ctrl+f")
    term.press(TYPO, "enter")
    term.wait("Col 12")
    term.press("backspace")
    term.press("sleep 1000", "ctrl+s")
    term.wait_all("+sleep 1000", "-exit_with 0", "ACLs and hard links are not kept")
    term.press("y")
    term.wait("saved")
    term.press("ctrl+r")
    term.wait("● running")
    assert "sleep 1000" in engine.docker("exec", "web", "cat", "/app/start.sh")
