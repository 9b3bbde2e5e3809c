"""What nobody foresaw in the middle of an act: too little memory, a mistake of ours, an interrupt nobody caught."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tui.core.errors import Stopped
from tui.core.state import state_dir
from tui.files.history import backups
from tui.files.history.backups import BackupMode, UndoKind
from tui.files.history.crash_recovery import recover
from tui.files.history.transaction import Step
from tui.files.verbs import acts
from tui.files.verbs.copy import copy_in
from tui.files.verbs.permissions import mode_change
from tui.files.verbs.revert import revert
from tui.files.verbs.save import save
from tui.files.write.options import SaveOptions
from tui.layers.process_root import open_process_root, process_of
from tui.linux.name_ops import name_ops_inside

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
LOOK = (
    "cd /; find tree srv -print0 | sort -z | xargs -0 stat -c '%n %F %a %u %g'; "
    "find tree srv -type f -print0 | sort -z | xargs -0 sha256sum"
)
UNFORESEEN = (MemoryError, RecursionError, ZeroDivisionError)


def failing(number: int, error: type[BaseException]) -> Step:
    """Return a step that raises in what is changed, when so many entries are; not before, while they are kept."""
    begun = 0

    def step(count: int, path: bytes) -> None:
        nonlocal begun
        del path
        begun += count == 0
        if begun == 2 and count == number:
            raise error("stopped")

    return step


def kinds(box: Box, host: Path) -> dict[str, Callable[[Step], object]]:
    """Return acts that change several entries."""
    change = mode_change("700")
    words = {"inspect": box.inspect}
    return {
        "delete": lambda step: acts.remove(box.id, b"/tree", recursive=True, step=step, **words),
        "chmod": lambda step: acts.change_metadata(
            box.id, b"/tree", change, UndoKind.CHMOD, recursive=True, step=step, **words
        ),
        "copy in": lambda step: copy_in(box.id, host, b"/srv/host", step=step, **words),
        "revert": lambda step: revert(box.id, b"/srv", step=step, **words),
    }


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A tree of this host."""
    tree = tmp_path / "host"
    (tree / "sub").mkdir(parents=True)
    for number in range(5):
        (tree / "sub" / str(number)).write_text("x")
    return tree


def seen(box: Box, alive: bool) -> str:
    """Return what the container sees, itself left in the state it is in."""
    if not alive:
        box.start()
    found = box.sh(LOOK)
    if not alive:
        box.stop()
    return found


MORE = "for i in 1 2 3 4; do echo $i > /srv/$i; done"


@pytest.mark.parametrize(
    ("kind", "alive"), [*((kind, alive) for kind in ("delete", "chmod", "copy in") for alive in (0, 1)), ("revert", 1)]
)
def test_unforeseen_error_rolls_act_back(boxes: Boxes, host: Path, alive: int, kind: str) -> None:
    box = boxes(MORE, alive=bool(alive))
    before = seen(box, bool(alive))
    act = kinds(box, host)[kind]
    whole = kind == "delete" and not alive  # in one step
    for error in UNFORESEEN:
        with pytest.raises(error) as caught:
            act(failing(0 if whole else 3, error))
        assert caught.value.__notes__ == ["nothing was changed" if whole else "all is as it was before"]
        assert list(backups.undo_records(box.id)) == []
    assert seen(box, bool(alive)) == before
    assert recover(box.inspect) == ()


@pytest.mark.parametrize(
    ("kind", "alive"), [("delete", True), *((kind, alive) for kind in ("chmod", "copy in") for alive in (False, True))]
)
def test_uncaught_interrupt_can_be_undone(boxes: Boxes, host: Path, alive: bool, kind: str) -> None:
    box = boxes(MORE, alive=alive)
    before = seen(box, alive)
    with pytest.raises(KeyboardInterrupt) as caught:
        kinds(box, host)[kind](failing(3, KeyboardInterrupt))
    assert caught.value.__notes__ == ["undo takes back what was done"]
    assert seen(box, alive) != before
    assert recover(box.inspect) == ()
    box.undo()
    assert seen(box, alive) == before


def test_stop_without_backup_offers_no_undo(boxes: Boxes) -> None:
    def step(count: int, path: bytes) -> None:
        del path
        if count == 3:
            raise Stopped("stopped")

    box = boxes(alive=True)
    with pytest.raises(Stopped, match=r"\(3 entries done\); what was done is for good"):
        acts.remove(box.id, b"/tree", inspect=box.inspect, recursive=True, keep=BackupMode.NOTHING, step=step)


@STATES
def test_half_written_file_is_restored(boxes: Boxes, alive: bool) -> None:
    box = boxes(alive=alive)
    before = box.read(b"/tree/f")
    for error in (*UNFORESEEN, KeyboardInterrupt):

        def checkpoint(step: str, error: type[BaseException] = error) -> None:
            if step == "written":
                raise error

        with pytest.raises(error):
            save(
                box.id,
                b"/tree/f",
                b"new\n",
                None,
                SaveOptions(in_place=True),
                inspect=box.inspect,
                checkpoint=checkpoint,
            )
        assert box.read(b"/tree/f") == before
        assert not list(state_dir("journal").iterdir())


class Interrupted:
    """A way to the helper in which an interrupt comes before the answer."""

    def __init__(self, control: socket.socket) -> None:
        self.sendmsg, self.close = control.sendmsg, control.close

    def recv(self, size: int) -> bytes:
        del size
        raise KeyboardInterrupt


def test_late_helper_answer_is_not_reused(boxes: Boxes) -> None:
    box = boxes(alive=True)
    with (
        open_process_root(box.details.pid, box.id) as root,
        name_ops_inside(box.details.pid, partial(process_of, box.details.pid, box.id)) as hands,
    ):
        assert hands._helper is not None
        control, process = hands._helper
        hands._helper = Interrupted(control), process  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            hands.unlink(root.fd, b"nothing")
        hands.unlink(root.fd, b"loop")
        assert hands._helper[1] is not process
    assert not box.exists(b"/loop")
