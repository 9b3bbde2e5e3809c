"""``dtui`` without flags: every usual socket that answers, else the data-roots of this host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.terminal import Terminal

pytestmark = pytest.mark.engine

PLACES = """
mount -t tmpfs none /var/lib
mount -t tmpfs none /run
mkdir -p /run/podman /var/lib/docker /var/lib/elsewhere
"""


@pytest.fixture
def web(engine: Dockerd) -> Dockerd:
    """An Engine with a container, elsewhere than where Engines usually are."""
    engine.docker("create", "--network=none", "--name=web", IMAGE, "cat", "/etc/motd")
    return engine


def words(script: str, *verb: str) -> list[str]:
    """Return a command that runs dtui where a script has put things at their usual places."""
    run = " ".join([sys.executable, "-m", "tui", *verb])
    return ["/usr/bin/unshare", "-m", "sh", "-ec", f"{PLACES}{script}\nexec {run}"]


def dtui(script: str, *verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words(script, *verb), capture_output=True, text=True, check=False, timeout=60)


def test_every_socket_that_answers_is_listed(web: Dockerd) -> None:
    sockets = f"ln -s {web.socket} /run/docker.sock; ln -s {web.socket} /run/podman/podman.sock"
    result = dtui(sockets, "ls", "--json")
    assert sorted((row["endpoint"], row["name"]) for row in json.loads(result.stdout)) == [
        ("local", "web"),
        ("podman", "web"),
    ]


def test_dead_socket_hides_no_other(web: Dockerd) -> None:
    dead = f"{sys.executable} -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/docker.sock\")'"
    result = dtui(f"{dead}; ln -s {web.socket} /run/podman/podman.sock", "ls", "--json")
    assert [row["endpoint"] for row in json.loads(result.stdout)] == ["podman"]


def test_data_root_is_read_while_daemon_is_down(web: Dockerd) -> None:
    web.stop()
    try:
        result = dtui(f"mount --bind {web.root} /var/lib/docker", "cat", "web:/etc/motd")
        assert (result.returncode, result.stdout) == (0, "hello\n")
        assert result.stderr == "dtui: no Engine answers; read from /var/lib/docker\n"
        moved = f"mount --bind {web.root} /var/lib/elsewhere; mount -t tmpfs none /etc; mkdir /etc/docker; "
        moved += """echo '{"data-root": "/var/lib/elsewhere"}' > /etc/docker/daemon.json"""
        assert "read from /var/lib/elsewhere" in dtui(moved, "ls").stderr
    finally:
        web.start()


def test_app_opens_data_root_and_says_so(web: Dockerd) -> None:
    web.stop()
    try:
        app = Terminal(size=(100, 24), command=words(f"mount --bind {web.root} /var/lib/docker"))
        try:
            app.wait("no Engine answers; read from /var/lib/docker", 40)
            app.press("q")
            assert app.close() == 0
        finally:
            app.abandon()
    finally:
        web.start()


def test_missing_engine_names_what_was_tried() -> None:
    result = dtui("", "ls")
    assert result.returncode == 3
    assert "no Docker Engine answers: unix:///var/run/docker.sock: there is no such socket, and" in result.stderr


def test_named_host_is_not_replaced_by_data_root(web: Dockerd, tmp_path: Path) -> None:
    result = dtui(f"mount --bind {web.root} /var/lib/docker", "-H", f"unix://{tmp_path}/none.sock", "ls")
    assert result.returncode == 3
