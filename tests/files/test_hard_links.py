"""Files of several names: what is taken back is the same file again under each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.boxes import Box, Boxes

pytestmark = pytest.mark.engine

SHARED = "mkdir -p /srv/d/e; echo one > /srv/d/e/f; ln /srv/d/e/f /srv/g; ln /srv/g /etc/h; touch -d 2020-01-02 /srv/g"
ONE_FILE = "stat -c %h /srv/g; cd /srv; test d/e/f -ef g && test g -ef /etc/h && echo one file; cat d/e/f"

ACTS: dict[str, Callable[[Box], object]] = {
    "deleted": lambda box: box.remove(b"/srv/d/e/f"),
    "deleted with its directory": lambda box: box.remove(b"/srv/d", recursive=True),
    "reverted": lambda box: box.revert(b"/srv/d"),
}


@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("act", list(ACTS))
def test_undo_restores_hard_link(boxes: Boxes, act: str, alive: bool) -> None:
    box = boxes(SHARED, alive=alive)
    ACTS[act](box)
    assert not box.exists(b"/srv/d/e/f")
    assert box.undo().notes == ()
    if not alive:
        box.start()
    assert box.sh(ONE_FILE) == "3\none file\none\n"


@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_undo_relinks_to_last_name(boxes: Boxes, alive: bool) -> None:
    box = boxes("mkdir /srv/d; echo one > /srv/d/f; ln /srv/d/f /srv/g", alive=alive)
    box.remove(b"/srv/g")
    assert box.undo().notes == ()
    if not alive:
        box.start()
    assert box.sh("test /srv/g -ef /srv/d/f && cat /srv/g") == "one\n"


def test_undo_relinks_names_of_image_file(boxes: Boxes) -> None:
    box = boxes()
    shared = box.files.plan(b"/app/keep.txt").warnings != ()  # docker copies a full tree without its hard links
    box.remove(b"/app/keep.txt")
    box.undo()
    box.start()
    told = box.sh("cat /app/keep.txt /app/also.txt; test /app/keep.txt -ef /app/also.txt && echo one file || true")
    assert told == "kept\nkept\n" + ("one file\n" if shared else "")


def test_undo_reports_link_written_since(boxes: Boxes) -> None:
    box = boxes(SHARED, alive=True)
    box.remove(b"/srv/d/e/f")
    box.sh("echo two > /srv/g")
    (note,) = box.undo().notes
    assert note == "/srv/d/e/f is a file of its own now: it shared its bytes with other names"
    assert box.sh("cat /srv/d/e/f /srv/g /etc/h") == "one\ntwo\ntwo\n"
