"""What happens behind the editor of a real container: the screen says it, asks, and keeps what was typed."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support.boxes import Box, Boxes
from tests.support.terminal import Terminal
from tests.support.waiting import pilot_until, screen_text
from tui.files.history.backups import undo_records
from tui.ui.app import DtuiApp
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.screens.layer import LayerScreen

pytestmark = pytest.mark.engine

UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")


class Editor:
    """The editor on a file of a container, with letters typed at its beginning."""

    def __init__(self, pilot: Pilot[int], screen: LayerScreen) -> None:
        self.pilot = pilot
        self.screen = screen

    async def until(self, true: Callable[[], bool]) -> None:
        await pilot_until(self.pilot, true)

    @property
    def shown(self) -> str:
        """All text that is on the screen now."""
        return screen_text(self.pilot)

    @property
    def text(self) -> str:
        return self.screen.file_pane.area.text

    async def ask_to_save(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        await self.pilot.press("ctrl+s")
        await self.until(lambda: isinstance(self.pilot.app.screen, ChooseDialog))
        assert "Save /srv/file?" in self.shown
        meanwhile()
        await self.pilot.press("y")


@asynccontextmanager
async def editing(box: Box, path: bytes) -> AsyncIterator[Editor]:
    container = next(one for one in box.endpoint.snapshot() if one.id == box.id)
    app = DtuiApp((box.endpoint,), open_path=(container, path))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot_until(pilot, lambda: isinstance(app.screen, LayerScreen) and app.screen.file_pane.editing)
        assert isinstance(app.screen, LayerScreen)
        yield Editor(pilot, app.screen)


def secretly(place: Path, data: bytes) -> None:
    """Put other bytes of the same number into a file and its time back."""
    status = place.stat()
    assert status.st_size == len(data)
    place.write_bytes(data)
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.case(37)
@UNION
async def test_secret_change_asks_before_save(
    boxes: Boxes,
) -> None:
    box = boxes("echo AAAA > /srv/file")
    place = box.upper / "srv" / "file"
    async with editing(box, b"/srv/file") as editor:
        pilot, pane = editor.pilot, editor.screen.file_pane
        await pilot.press("1")
        secretly(place, b"BBBB\n")
        await editor.ask_to_save()
        await editor.until(lambda: "was changed by somebody else" in editor.shown)
        for key, words in (("m", "keep mine"), ("t", "keep theirs"), ("d", "see the difference")):
            assert re.search(rf" {key}  {words}", editor.shown), words
        await pilot.press("d")
        await editor.until(lambda: "-BBBB" in editor.shown and "+1AAAA" in editor.shown)
        await pilot.press("escape")
        await editor.until(lambda: pilot.app.screen is editor.screen)
        assert (place.read_bytes(), editor.text, pane.modified) == (b"BBBB\n", "1AAAA\n", True)

        await editor.ask_to_save()
        await editor.until(lambda: "was changed by somebody else" in editor.shown)
        await pilot.press("m")
        await editor.until(lambda: "saved" in editor.screen.status.message.plain)
        assert (box.read(b"/srv/file"), editor.text, pane.modified) == (b"1AAAA\n", "1AAAA\n", False)
        (kept,) = list(undo_records(box.id))
        assert kept.data.read_bytes() == b"BBBB\n"  # theirs can be had back

        await pilot.press("2")
        secretly(place, b"CCCCC\n")
        await editor.ask_to_save()
        await editor.until(lambda: "was changed by somebody else" in editor.shown)
        await pilot.press("t")
        await editor.until(lambda: editor.text == "CCCCC\n")
        assert (box.read(b"/srv/file"), pane.modified, pane.editing) == (b"CCCCC\n", False, True)
        assert len(list(undo_records(box.id))) == 1


@pytest.mark.case(24)
@UNION
@pytest.mark.parametrize("asked", [False, True], ids=["before the question", "behind the question"])
async def test_removed_container_keeps_text(boxes: Boxes, asked: bool) -> None:
    box = boxes("echo AAAA > /srv/file", alive=asked)
    layer = box.upper
    async with editing(box, b"/srv/file") as editor:
        await editor.pilot.press(*"mine")
        if asked:
            await editor.ask_to_save(lambda: box.engine.docker("rm", "-f", "web"))
        else:
            box.engine.docker("rm", "-f", "web")
            await editor.pilot.press("ctrl+s")
        await editor.until(lambda: bool(re.search("web was removed|there is no container", editor.shown)))
        assert editor.pilot.app.screen is editor.screen
        assert (editor.text, editor.screen.file_pane.modified) == ("mineAAAA\n", True)
        await editor.until(lambda: "∅ removed" in editor.shown)
        editor.screen.tell("")
        await editor.pilot.press("ctrl+s")  # once more, by somebody who does not believe it
        await editor.until(lambda: "! " in editor.shown)
        assert "web was removed: nothing can be saved into it" in editor.screen.status.message.plain
        await editor.pilot.press("escape")
        await editor.until(lambda: "this text cannot be saved into it" in editor.shown)
    assert not layer.parent.exists()
    assert not list(undo_records(box.id))


def highest(pid: int) -> int:
    """Return the most memory that a process ever had, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


@pytest.mark.case(9)
@UNION
def test_huge_hole_opens_in_little_memory(boxes: Boxes) -> None:
    box = boxes("dd if=/dev/zero of=/srv/huge bs=1 count=1 seek=8796093022207 2>/dev/null", alive=True)
    box.engine.docker("rm", "probe")
    term = Terminal("-H", box.engine.host)
    try:
        term.wait("web")
        term.press("enter")
        term.wait_all("huge", "8.8 TB writable")
        term.settle()
        before = highest(term.pid)
        resource.prlimit(term.pid, resource.RLIMIT_AS, (1 << 30, 1 << 30))
        term.press("down")
        term.wait_all("8.8 TB", "00000000  00 00 00 00")
        term.press("e")
        term.wait("it is larger than 1.0 MB")
        term.press("o")
        term.wait("/srv/huge is larger than 8.4 MB")
        assert highest(term.pid) - before < 64 << 20
    finally:
        term.abandon()
