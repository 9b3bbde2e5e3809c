"""Containers on a union and on full trees, with what is needed to break into them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import FILES, IMAGE
from tests.support.checksums import tree_checksum
from tests.support.dockerd import Dockerd
from tui.core.model import Details, View
from tui.editing import acts
from tui.editing.acts import Outcome
from tui.editing.backups import ActKind, last_to_undo
from tui.editing.copying import readable_tree
from tui.editing.files import LayerFiles
from tui.editing.permissions import mode_change
from tui.editing.revert import revert
from tui.editing.undo import undo
from tui.editing.writing import Receipt
from tui.engine.live import LiveEndpoint
from tui.layers.view import LayerView

PREPARE = "ln /app/keep.txt /app/also.txt; ln -s /etc/passwd /abs; ln -s ../../../../../../etc/shadow /app/up; "
PREPARE += "ln -s loop /loop; ln -s /nowhere /dangling; mkfifo /pipe; mknod /null c 1 3; mknod /disk b 7 0; "
PREPARE += "mkdir -p /srv/www /usr/lib; echo inside > /etc/passwd; echo inside-shadow > /etc/shadow"
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


@dataclass
class Box:
    """A container, and dtui's own functions on it."""

    engine: Dockerd
    endpoint: LiveEndpoint
    name: str = "web"

    @property
    def details(self) -> Details:
        return self.endpoint.inspect(self.id)

    @property
    def id(self) -> str:
        return self.engine.docker("inspect", "--format", "{{.Id}}", self.name).strip()

    @property
    def files(self) -> LayerFiles:
        return LayerFiles(self.details, self.endpoint.inspect)

    def read(self, path: bytes) -> bytes:
        return self.files.open(path).document.data

    def names(self, path: bytes) -> list[bytes]:
        stack = self.details.stack
        assert stack is not None
        with LayerView.open(stack, self.details.mounts) as view:
            return [entry.name for entry in view.children(path, View.MERGED)]

    def write(self, path: bytes, data: bytes, *, create: bool = False) -> Receipt:
        return self.files.save(path, data, None, create=create)

    def remove(self, path: bytes, *, recursive: bool = False) -> Outcome:
        return acts.remove(self.id, path, inspect=self.endpoint.inspect, recursive=recursive)

    def rename(self, path: bytes, new: bytes) -> Outcome:
        return acts.rename(self.id, path, new, inspect=self.endpoint.inspect)

    def chmod(self, path: bytes, mode: str) -> Outcome:
        change = mode_change(mode)
        return acts.change_metadata(self.id, path, change, ActKind.CHMOD, inspect=self.endpoint.inspect)

    def revert(self, path: bytes) -> Outcome:
        return revert(self.id, path, inspect=self.endpoint.inspect)

    def undo(self) -> Outcome:
        return undo(last_to_undo(self.id), inspect=self.endpoint.inspect, save=self.files.save)

    def exists(self, path: bytes) -> bool:
        with readable_tree(self.details) as tree:
            return tree.look(path) is not None

    def sh(self, script: str) -> str:
        """Run a script in the running container."""
        return self.engine.docker("exec", self.name, "sh", "-c", script)

    def start(self) -> None:
        self.engine.docker("start", self.name)

    def stop(self) -> None:
        self.engine.docker("stop", "-t0", self.name)

    def diff(self) -> list[str]:
        return sorted(self.engine.docker("diff", self.name).splitlines())

    @property
    def upper(self) -> Path:
        stack = self.details.stack
        assert stack is not None
        return stack.writable.path


class Boxes:
    """Makes containers; afterwards the image is as it was and nothing of ours is left."""

    def __init__(self, engine: Dockerd) -> None:
        self.engine = engine
        self.endpoint = LiveEndpoint("local", engine.host)

    def __call__(self, script: str = "true", *options: str, alive: bool = False, name: str = "web") -> Box:
        """Run a script in a new container; leave it running, or exited."""
        body = f"test -e /ready || {{ {script}; touch /ready; }}; exec sleep 1000"
        self.engine.docker("run", "-d", "--network=none", f"--name={name}", *options, IMAGE, "sh", "-ec", body)
        box = Box(self.engine, self.endpoint, name)
        ready = "while ! test -e /ready; do sleep 0.05; done" if "--read-only" not in options else "true"
        self.engine.docker("exec", name, "sh", "-c", ready)
        if not alive:
            box.stop()
        return box


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
    assert not [line for line in Path("/proc/self/mounts").read_text().splitlines() if "dtui-work" in line]


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))
