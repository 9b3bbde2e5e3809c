"""Containers that a daemon does not list because they were made under another storage driver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import FILES

pytestmark = pytest.mark.engine


@pytest.fixture
def switched() -> Iterator[Dockerd]:
    """A daemon that was first run on vfs, where the container ``former`` was made, and now runs on overlay2."""
    daemon = Dockerd("vfs")
    try:
        daemon.start()
        daemon.import_image("shop/base:1", FILES)
        daemon.docker("create", "--network=none", "--name=former", "shop/base:1", "cat", "/etc/app.conf")
        daemon.docker("start", "-a", "former")
        daemon.stop()
        daemon.driver = "overlay2"
        daemon.start()
        daemon.import_image("shop/base:1", FILES)
        yield daemon
    finally:
        daemon.close()


def test_hidden_container_is_edited(switched: Dockerd) -> None:
    switched.docker("create", "--network=none", "--name=present", "shop/base:1", "true")
    assert switched.docker("ps", "-a", "--format", "{{.Names}}").split() == ["present"]
    containers = {container["name"]: container for container in dtui_json("-H", switched.host, "ls")}
    assert {name: (container["driver"]["name"], container["hidden"]) for name, container in containers.items()} == {
        "former": ("vfs", True),
        "present": ("overlay2", False),
    }
    assert b"vfs (hidden)" in dtui("-H", switched.host, "ls")
    dtui("-H", switched.host, "write", "former:/etc/app.conf", stdin=b"port=99\n")
    assert "M /etc/app.conf" in dtui("-H", switched.host, "changes", "former").decode().splitlines()
    switched.stop()
    switched.driver = "vfs"
    switched.start()
    assert switched.docker("start", "-a", "former") == "port=99\n"
