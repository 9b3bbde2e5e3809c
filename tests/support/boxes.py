"""A container of a real engine, with dtui's functions and the engine's own commands."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tui.core.records import Details, View
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files.history.backups import UndoKind, last_to_undo
from tui.files.verbs import acts
from tui.files.verbs.acts import ChangeResult, Inspect
from tui.files.verbs.copy import copy_in, copy_out, readable_tree
from tui.files.verbs.permissions import mode_change
from tui.files.verbs.revert import revert
from tui.files.verbs.undo import undo
from tui.files.ways import LayerFiles
from tui.files.write.below_root import SaveResult
from tui.files.write.options import SaveOptions
from tui.layers.view import LayerView


@dataclass
class Box:
    """A container and dtui's functions for it."""

    engine: Dockerd
    endpoint: LiveEndpoint
    name: str = "web"
    hooked: Inspect | None = None

    def __post_init__(self) -> None:
        self.id = self.engine.docker("inspect", "--format", "{{.Id}}", self.name).strip()

    @property
    def details(self) -> Details:
        return self.endpoint.inspect(self.id)

    @property
    def files(self) -> LayerFiles:
        return LayerFiles(self.details, self.inspect)

    def read(self, path: bytes) -> bytes:
        return self.files.open(path).document.data

    def names(self, path: bytes) -> list[bytes]:
        stack = self.details.stack
        assert stack is not None
        with LayerView.open(stack, self.details.mounts) as view:
            return [entry.name for entry in view.children(path, View.MERGED)]

    def write(self, path: bytes, data: bytes, *, create: bool = False) -> SaveResult:
        return self.files.save(path, data, None, SaveOptions(create=create))

    @property
    def inspect(self) -> Inspect:
        """The function that inspects the container; a test may replace it with ``hooked``."""
        return self.hooked or self.endpoint.inspect

    def remove(self, path: bytes, *, recursive: bool = False) -> ChangeResult:
        return acts.remove(self.id, path, inspect=self.inspect, recursive=recursive)

    def rename(self, path: bytes, new: bytes) -> ChangeResult:
        return acts.rename(self.id, path, new, inspect=self.inspect)

    def chmod(self, path: bytes, mode: str, *, recursive: bool = False) -> ChangeResult:
        change = mode_change(mode)
        return acts.change_metadata(self.id, path, change, UndoKind.CHMOD, inspect=self.inspect, recursive=recursive)

    def revert(self, path: bytes) -> ChangeResult:
        return revert(self.id, path, inspect=self.inspect)

    def copy_in(self, source: Path, path: bytes) -> ChangeResult:
        return copy_in(self.id, source, path, inspect=self.inspect)

    def copy_out(self, path: bytes, target: Path) -> tuple[Path, int, tuple[str, ...]]:
        return copy_out(self.details, path, target)

    def undo(self) -> ChangeResult:
        return undo(last_to_undo(self.id), inspect=self.inspect, save=self.files.save)

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


_MOUNT = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
space = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
assert libc.setns(space, 0) == 0
assert libc.mount(b"own", sys.argv[2].encode(), b"tmpfs", 0, None) == 0
"""


def mount_inside(box: Box, path: str) -> None:
    """Mount a tmpfs in a running container, as a privileged container could itself."""
    subprocess.run([sys.executable, "-c", _MOUNT, str(box.details.pid), path], check=True)


class Boxes:
    """Creates containers of one engine."""

    def __init__(self, engine: Dockerd) -> None:
        self.engine = engine
        self.endpoint = LiveEndpoint("local", engine.host)

    def __call__(
        self, script: str = "true", *options: str, alive: bool = False, name: str = "web", image: str = IMAGE
    ) -> Box:
        """Run a script in a new container and return it, still running if ``alive``, else stopped."""
        body = f"test -e /ready || {{ {script}; touch /ready; }}; exec sleep 1000"
        command = ("sleep", "1000") if "--read-only" in options else ("sh", "-ec", body)
        self.engine.docker("run", "-d", "--network=none", f"--name={name}", *options, image, *command)
        box = Box(self.engine, self.endpoint, name)
        if "--read-only" not in options:
            box.sh("while ! test -e /ready; do sleep 0.05; done")
        if not alive:
            box.stop()
        return box
