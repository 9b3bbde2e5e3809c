"""User ids of the container's own, by ``--userns-remap`` or ``--uidmap``: right paths, right owners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FILES, IMAGE
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.podman import Podman

pytestmark = pytest.mark.engine

MAPPED = ("--uidmap=0:100000:65536", "--gidmap=0:100000:65536")


@pytest.fixture(scope="module")
def remapped() -> Iterator[Dockerd]:
    daemon = Dockerd(remapped=True)
    try:
        daemon.start()
        daemon.import_image(IMAGE, FILES)
        yield daemon
    finally:
        daemon.close()


def test_a_remapped_containers_layer_is_found_and_edited_in_every_state(remapped: Dockerd) -> None:
    show = "cat /etc/app.conf; stat -c '%u:%g' /etc/app.conf /etc/new; sleep 1000"
    remapped.docker("create", "--network=none", "--name=web", IMAGE, "sh", "-ec", show)
    where = str(remapped.root / "100000.100000")
    assert dtui_json("-H", remapped.host, "ls")[0]["layer"]["path"].startswith(where)
    dtui("-H", remapped.host, "write", "web:/etc/app.conf", stdin=b"port=1\n")
    dtui("-H", remapped.host, "write", "--create", "web:/etc/new", stdin=b"new\n")
    remapped.docker("start", "web")
    remapped.docker("exec", "web", "sh", "-c", "while ! test -e /etc/new; do sleep 0.1; done")
    dtui("-H", remapped.host, "write", "--create", "web:/etc/live", stdin=b"live\n")
    assert remapped.docker("exec", "web", "stat", "-c", "%u:%g", "/etc/live", "/etc/app.conf") == "0:0\n0:0\n"
    assert remapped.docker("logs", "web").splitlines() == ["port=1", "0:0", "0:0"]


def test_its_data_root_is_read_and_the_directory_above_names_it(remapped: Dockerd) -> None:
    where = remapped.root / "100000.100000"
    assert [row["name"] for row in dtui_json("--root", str(where), "ls")] == ["web"]
    assert b"app.conf" in dtui("--root", str(where), "changes", "web")
    assert f"is remapped; name {where}".encode() in dtui("--root", str(remapped.root), "ls", code=1)


@pytest.fixture
def podman() -> Iterator[Podman]:
    found = Podman("overlay")
    try:
        found.start()
        found.import_image(IMAGE, FILES)
        yield found
    finally:
        found.close()


def test_a_container_with_mapped_mounts_is_edited_while_it_runs_and_refused_while_it_does_not(podman: Podman) -> None:
    podman.docker("create", "--network=none", *MAPPED, "--name=web", IMAGE, "sleep", "1000")
    upper = dtui("-H", podman.host, "path", "web").decode().strip()
    for reached in (("-H", podman.host), ("--root", str(podman.root))):
        said = dtui(*reached, "write", "web:/etc/app.conf", stdin=b"port=1\n", code=1)
        assert b"start the container to edit it" in said
    assert not list(Path(upper).iterdir())
    podman.docker("start", "web")
    dtui("-H", podman.host, "write", "web:/etc/app.conf", stdin=b"port=2\n")
    assert podman.docker("exec", "web", "stat", "-c", "%u:%g", "/etc", "/etc/app.conf") == "0:0\n0:0\n"
    assert podman.docker("exec", "web", "cat", "/etc/app.conf") == "port=2\n"


def test_a_plain_container_beside_it_is_edited_at_rest(podman: Podman) -> None:
    podman.docker("create", "--network=none", "--name=plain", IMAGE, "cat", "/etc/app.conf")
    dtui("--root", str(podman.root), "write", "plain:/etc/app.conf", stdin=b"port=3\n")
    assert podman.docker("start", "-a", "plain") == "port=3\n"
