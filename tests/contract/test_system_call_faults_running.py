"""Acts on a running container cut off or failing, by dtui's own calls and by its helper's: old or new, and one line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.call_faults import failed_at, killed_at
from tests.support.outcomes import ERRORS, assert_reported, assert_settled, prepare, sample_points
from tests.support.running_lab import LivingLab, of_running
from tests.support.stopped_lab import CHANGED
from tui.core.errors import DtuiError
from tui.linux.name_ops import NamespaceNameOps

pytestmark = pytest.mark.engine


EVERY = ("save", "save in place", "delete", "rename", "move", "chmod", "copy in", "revert")
EVERY += ("undo save", "undo delete", "undo move", "undo revert")
KILLS, FAILURES = 8, 1
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
"""The way through the process and its helper is the same on every driver."""


@pytest.fixture
def lab(boxes: Boxes, private_state: Path, tmp_path: Path) -> Iterator[LivingLab]:
    (tmp_path / "volume").mkdir()
    box = boxes(CHANGED, "-v", f"{tmp_path}/volume:/srv/far", alive=True)
    mounts = Path(f"/proc/{box.details.pid}/mountinfo").read_text()
    found = of_running(box, private_state)
    yield found
    found.close()
    assert Path(f"/proc/{box.details.pid}/mountinfo").read_text() == mounts


@UNION
@pytest.mark.case(25)
@pytest.mark.parametrize("name", EVERY)
def test_killed_act_leaves_old_or_new(lab: LivingLab, name: str) -> None:
    act, old, new, found = prepare(lab, name, helper=True)
    ends: Counter[str] = Counter()
    outside, inside = ([point for point in found if point.helper == helper] for helper in (False, True))
    for point in (*sample_points(outside, KILLS), *sample_points(inside, 2)):
        lab.reset()
        assert killed_at(act, point).how == "killed", point
        ends[assert_settled(lab, old, new, point)] += 1
    print(f"\nrunning: {name} killed at some of {len(found)} calls, {len(inside)} inside: {dict(ends)}")
    assert ends["old"]
    assert ends["new"]


@UNION
@pytest.mark.parametrize("name", EVERY)
def test_failed_call_reports_without_loss(lab: LivingLab, name: str) -> None:
    act, old, new, found = prepare(lab, name, helper=True)
    ends: Counter[str] = Counter()
    outside, inside = ([point for point in found if point.helper == helper] for helper in (False, True))
    for error in ERRORS:
        for point in (*sample_points(outside[ERRORS.index(error) :], FAILURES), *sample_points(inside, 1)):
            lab.reset()
            ends[assert_reported(lab, old, new, failed_at(act, point, error), (point, error))] += 1
    print(f"\nrunning: {name} failing: {dict(ends)}")
    assert ends


def kill_helper(hands: NamespaceNameOps) -> None:
    assert hands._helper is not None
    process: subprocess.Popen[bytes] = hands._helper[1]
    process.send_signal(signal.SIGKILL)
    process.wait()


def tree(box: Box) -> str:
    return box.sh("find /old /app /etc/moved | sort; cat /app/start.sh /old/one/two.txt 2>&1 || true")


@pytest.mark.parametrize("turn", [1, 3])
@pytest.mark.parametrize("lost", [False, True], ids=["before it", "after it"])
def test_killed_helper_leaves_old_or_new(boxes: Boxes, monkeypatch: pytest.MonkeyPatch, turn: int, lost: bool) -> None:
    """It is killed before it does what it is asked, or when that is done and not yet told."""
    box = boxes("mkdir /old/a; echo x > /old/a/x; echo y > /old/y", alive=True)
    mounts = Path(f"/proc/{box.details.pid}/mountinfo").read_text()
    ask = NamespaceNameOps._ask
    count = 0

    def killed(self: NamespaceNameOps, op: bytes, flags: int, names: tuple[bytes, ...], fds: list[int]) -> None:
        nonlocal count
        count += 1
        if count != turn:
            ask(self, op, flags, names, fds)
            return
        if lost:
            ask(self, op, flags, names, fds)
        kill_helper(self)
        ask(self, b"u", 0, (b".dtui-no-such-name~",), fds[:1]) if lost else ask(self, op, flags, names, fds)

    for act in (lambda: box.remove(b"/old", recursive=True), lambda: box.write(b"/app/start.sh", b"new\n")):
        count, old = 0, tree(box)
        with monkeypatch.context() as patched:
            patched.setattr(NamespaceNameOps, "_ask", killed)
            try:
                act()
                told = ""
            except DtuiError as error:
                told = str(error)
        now = tree(box)
        assert "\n" not in told
        assert bool(told) == (now == old), (told, now)
        assert "dtui" not in now
        if now != old:
            box.undo()
            assert tree(box) == old
    assert Path(f"/proc/{box.details.pid}/mountinfo").read_text() == mounts
    assert os.path.exists(f"/proc/{box.details.pid}")
