"""The helper in a running container's namespace is killed while dtui lives on: old or new, and one line."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tui.core.errors import DtuiError
from tui.editing.hands import NamespaceHands

pytestmark = pytest.mark.engine


def kill_helper(hands: NamespaceHands) -> None:
    assert hands._helper is not None
    process: subprocess.Popen[bytes] = hands._helper[1]
    process.send_signal(signal.SIGKILL)
    process.wait()


def tree(box: Box) -> str:
    return box.sh("find /old /app /etc/moved | sort; cat /app/start.sh /old/one/two.txt 2>&1 || true")


@pytest.mark.parametrize("turn", [1, 3])
@pytest.mark.parametrize("lost", [False, True], ids=["before it", "after it"])
def test_a_helper_that_is_killed_leaves_old_or_new_and_is_one_line(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch, turn: int, lost: bool
) -> None:
    """It is killed before it does what it is asked, or when that is done and not yet told."""
    box = boxes("mkdir /old/a; echo x > /old/a/x; echo y > /old/y", alive=True)
    mounts = Path(f"/proc/{box.details.pid}/mountinfo").read_text()
    ask = NamespaceHands._ask
    count = 0

    def killed(self: NamespaceHands, op: bytes, flags: int, names: tuple[bytes, ...], fds: list[int]) -> None:
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
            patched.setattr(NamespaceHands, "_ask", killed)
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
