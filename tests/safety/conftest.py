"""Containers on a union and on full trees, with what is needed to break into them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FILES, IMAGE
from tests.support.boxes import Boxes
from tests.support.checksums import tree_checksum
from tests.support.dockerd import Dockerd

PREPARE = "ln /app/keep.txt /app/also.txt; ln -s /etc/passwd /abs; ln -s ../../../../../../etc/shadow /app/up; "
PREPARE += "ln -s loop /loop; ln -s /nowhere /dangling; mkfifo /pipe; mknod /null c 1 3; mknod /disk b 7 0; "
PREPARE += "mkdir -p /srv/www /usr/lib; echo inside > /etc/passwd; echo inside-shadow > /etc/shadow; "
PREPARE += "mkdir -p /tree/a /tree/b/c; cd /tree; echo af > a/f; echo ag > a/g; echo h > b/c/h; echo f > f; "
PREPARE += "chmod 600 a/g; chmod 755 b/c/h; chmod 750 b; mkdir -p /run /var; ln -s ../run /var/run"
"""What is in the image beside its files: links that lead out, what is no file, two names of one file."""


@pytest.fixture(scope="session", params=["overlay2", "vfs"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    found = Dockerd(request.param)
    try:
        found.start()
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", PREPARE, "echo three > /app/layer3.txt")
        yield found
    finally:
        found.close()


@pytest.fixture
def boxes(daemon: Dockerd) -> Iterator[Boxes]:
    daemon.docker("create", "--network=none", "--name=probe", IMAGE, "true")
    found = Boxes(daemon)
    stack = found.endpoint.inspect(daemon.docker("inspect", "--format", "{{.Id}}", "probe").strip()).stack
    assert stack is not None
    images = [layer.path for layer in stack.images]
    before = tree_checksum(images)
    yield found
    found.endpoint.close()
    assert tree_checksum(images) == before
    for container in daemon.docker("ps", "-aq").split():
        daemon.docker("rm", "-f", container)
    assert not [path for path in daemon.root.rglob("*dtui*") if "rootfs" not in path.parts]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    assert not [line for line in mounts if "dtui-work" in line and str(daemon.root) in line]
