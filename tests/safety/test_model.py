"""Random acts on a container, running and stopped, against a model of what it must see afterwards.

``DTUI_MODEL_RUNS`` sets how many containers are tried on each driver.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.boxes import Box, Boxes
from tui.core.errors import DtuiError
from tui.editing import acts

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Seen:
    """One entry as the container sees it: a directory without contents."""

    mode: int
    data: bytes | None = None


Tree = dict[str, Seen]

IMAGE_TREE: Tree = {
    "/tree": Seen(0o755),
    "/tree/a": Seen(0o755),
    "/tree/a/f": Seen(0o644, b"af\n"),
    "/tree/a/g": Seen(0o600, b"ag\n"),
    "/tree/b": Seen(0o750),
    "/tree/b/c": Seen(0o755),
    "/tree/b/c/h": Seen(0o755, b"h\n"),
    "/tree/f": Seen(0o644, b"f\n"),
}
"""What tests/safety/conftest.py puts into the image."""

PATHS = st.sampled_from([*(path for path in IMAGE_TREE if path != "/tree"), "/tree/n", "/tree/n/x", "/tree/a/c"])
LOOK = (
    "find /tree -print0 | xargs -0 stat -c '%n|%F|%a' | sort; echo --; "
    "find /tree -type f -print0 | xargs -0 sha256sum | sort"
)


def above(path: str) -> str:
    return path.rpartition("/")[0]


def subtree(tree: Tree, path: str) -> Tree:
    return {one: seen for one, seen in tree.items() if one == path or one.startswith(path + "/")}


class Acts(RuleBasedStateMachine):
    """dtui's acts on one container; each is done to the model too, or refused by both."""

    boxes: Boxes
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Acts.number += 1
        self.box: Box = self.boxes(name=f"model{Acts.number}")
        self.tree: Tree = dict(IMAGE_TREE)
        self.history: list[Tree] = []
        self.alive = False
        self.turn = 0

    def teardown(self) -> None:
        if not self.alive:
            self.box.start()
        self.compare()
        self.box.engine.docker("rm", "-f", self.box.name)

    def compare(self) -> None:
        seen, _, sums = self.box.sh(LOOK).partition("--\n")
        kinds = {
            path: ("directory" if one.data is None else "regular file" if one.data else "regular empty file", one.mode)
            for path, one in self.tree.items()
        }
        assert {
            line.split("|")[0]: (line.split("|")[1], int(line.split("|")[2], 8)) for line in seen.splitlines()
        } == kinds
        assert {line[66:]: line[:64] for line in sums.splitlines() if "/tree" in line} == {
            path: hashlib.sha256(one.data).hexdigest() for path, one in self.tree.items() if one.data is not None
        }

    def do(self, allowed: bool, act: Callable[[], object], after: Tree) -> None:
        """Do an act that must succeed if the model allows it, and be refused otherwise."""
        if not allowed:
            with pytest.raises(DtuiError):
                act()
            return
        act()
        self.history.append(self.tree)
        self.tree = after

    def is_directory(self, path: str) -> bool:
        return path in self.tree and self.tree[path].data is None

    @initialize(alive=st.booleans())
    def begin(self, alive: bool) -> None:
        if alive:
            self.switch()

    @rule(path=PATHS, size=st.sampled_from([0, 5, 5000]))
    def write(self, path: str, size: int) -> None:
        self.turn += 1
        data = (b"%d " % self.turn).ljust(size, b"x")[:size] if size else b""
        allowed = self.is_directory(above(path)) and not self.is_directory(path)
        mode = self.tree[path].mode if path in self.tree else 0o644
        place = path.encode()
        self.do(allowed, lambda: self.box.write(place, data, create=True), {**self.tree, path: Seen(mode, data)})

    @rule(path=PATHS)
    def make_directory(self, path: str) -> None:
        allowed = self.is_directory(above(path)) and path not in self.tree
        after = {**self.tree, path: Seen(0o755)}
        self.do(allowed, lambda: acts.make_directory(self.box.id, path.encode(), inspect=self.box.inspect), after)

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        gone = subtree(self.tree, path)
        after = {one: seen for one, seen in self.tree.items() if one not in gone}
        self.do(path in self.tree, lambda: self.box.remove(path.encode(), recursive=True), after)

    @rule(path=PATHS, new=PATHS)
    def rename(self, path: str, new: str) -> None:
        goal = f"{new}/{path.rpartition('/')[2]}" if self.is_directory(new) else new
        inside = (goal + "/").startswith(path + "/")
        allowed = path in self.tree and goal not in self.tree and self.is_directory(above(goal)) and not inside
        moved = subtree(self.tree, path)
        after = {one: seen for one, seen in self.tree.items() if one not in moved}
        after |= {goal + one[len(path) :]: seen for one, seen in moved.items()}
        self.do(allowed, lambda: self.box.rename(path.encode(), new.encode()), after)

    @rule(path=PATHS, mode=st.sampled_from(["700", "4755", "640"]))
    def chmod(self, path: str, mode: str) -> None:
        allowed = path in self.tree
        after = {**self.tree, path: replace(self.tree[path], mode=int(mode, 8))} if allowed else {}
        self.do(allowed, lambda: self.box.chmod(path.encode(), mode), after)

    @rule(path=PATHS)
    def revert(self, path: str) -> None:
        now, image = subtree(self.tree, path), subtree(IMAGE_TREE, path)
        after = {one: seen for one, seen in self.tree.items() if one not in now} | image
        if now == image:  # its times may differ: both answers are right
            try:
                self.box.revert(path.encode())
            except DtuiError:
                return
            self.history.append(self.tree)
            return
        self.do(self.is_directory(above(path)), lambda: self.box.revert(path.encode()), after)

    @precondition(lambda self: self.history)
    @rule()
    def undo(self) -> None:
        self.box.undo()
        self.tree = self.history.pop()

    @rule()
    def switch(self) -> None:
        """Start the container, or stop it after a look at what it sees."""
        if self.alive:
            self.compare()
            self.box.stop()
        else:
            self.box.start()
        self.alive = not self.alive


def test_after_any_acts_the_container_sees_what_the_model_says_and_the_image_is_untouched(boxes: Boxes) -> None:
    Acts.boxes = boxes
    run_state_machine_as_test(
        Acts,
        settings=settings(
            max_examples=int(os.environ.get("DTUI_MODEL_RUNS", "8")),
            stateful_step_count=16,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
