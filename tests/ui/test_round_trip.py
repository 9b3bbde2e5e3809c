"""Bytes through the editor's own screen: those that nobody typed are the same afterwards."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import TextArea

from tests.files.test_document import PIECES
from tests.support.waiting import pilot_until
from tests.ui.conftest import Layer, Open
from tui.files.document import Document
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.screens.layer import LayerScreen
from tui.ui.widgets.file_pane import FilePane

KINDS = [
    b"\xef\xbb\xbfwith a mark\nof its order\n",
    b"\xef\xbb\xbfwith a mark\r\nand both\r\n",
    b"both\r\nat every\r\nend\r\n",
    b"both\r\nbut at the\r\nlast",
    b"both\r\nand one\nand both\r\n",
    b"alone\rand more\rof them\r",
    b"alone and\r\r\nthen\n\r\nboth and\n\rso on, with more plain text\r",
    b"a line\xe2\x80\xa8and a paragraph\xe2\x80\xa9of another kind\n",
    b"up\x0band down\x0cand a page and more plain text\n",
    b"next\xc2\x85line, and what is hidden \xe2\x80\x8b\xe2\x80\xae here and much plain text\n",
    b"no end of its line",
    b"\n\n\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"x",
    b"",
    b"what is no text \xff\xfe in a text that is long enough\n",
    b"tab\tand \x1b[31mcolours\x1b[0m in a text that is long enough\n",
    "zażółć 😀 \u0600 gęślą\n".encode(),
]


def made_up(count: int, choice: random.Random) -> list[bytes]:
    """Return contents that a hostile container could hold, the same ones each time."""
    words = [*PIECES, *[b"plain text here "] * 12]
    return [b"".join(choice.choices(words, k=choice.randrange(1, 40))) for _ in range(count)]


async def edit(layer: Layer, path: bytes) -> bool:
    """Open a file in the editor; say whether it may be edited."""
    pilot, screen = layer
    pane = screen.file_pane
    await pilot_until(pilot, lambda: screen.tree_rows.go_to(path))
    await pilot.press("e")
    await pilot_until(pilot, lambda: pane.editing or screen.status.message.plain[2:].startswith("read-only"))
    if pane.editing:
        await pilot_until(pilot, lambda: screen.status.message.plain.startswith("editing"))
        assert screen.open_layer.opened is not None
        assert screen.open_layer.opened.path == path
    screen.tell("next")
    return pane.editing


async def save(pilot: Pilot[int], screen: LayerScreen) -> None:
    await pilot.press("ctrl+s")
    await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
    await pilot.press("y")
    await pilot_until(pilot, lambda: screen.status.message.plain.startswith("✓ saved"))
    screen.tell("next")


WHOLE = (
    b"\xef\xbb\xbfwith a mark of its order,\xe2\x80\xa8lines\x0bof every kind\x0cin\xc2\x85a text \xff without an end",
    b"\xef\xbb\xbfwith a mark\r\nand both\r\nat every end\r\n",
    b"both\r\nand one\nand one alone\rin a text\r\r\nthat is mixed\n",
)


@pytest.mark.case(38)
async def test_save_adds_only_the_typed_letter(open_layer: Open, app_dir: Path) -> None:
    for number, data in enumerate(WHOLE):
        (app_dir / f"t{number}").write_bytes(data)
    place = random.Random(83)
    async with open_layer() as (pilot, screen):
        for number, data in enumerate(WHOLE):
            file = app_dir / f"t{number}"
            await edit((pilot, screen), f"/app/t{number}".encode())
            inode = file.stat().st_ino
            await pilot.press("ctrl+s")
            await pilot_until(pilot, lambda: "nothing to save" in screen.status.message.plain)
            assert (file.read_bytes(), file.stat().st_ino) == (data, inode)
            put_cursor(screen.file_pane.area, place)
            await pilot.press("Z")
            await save(pilot, screen)
            assert one_more(file.read_bytes(), data, b"Z"), data
            await pilot.press("backspace")
            await save(pilot, screen)
            assert file.read_bytes() == data
            await pilot.press("escape")
            await pilot_until(pilot, lambda: not screen.file_pane.editing)


def put_cursor(area: TextArea, place: random.Random) -> None:
    row = place.randrange(area.document.line_count)
    area.move_cursor((row, place.randrange(len(area.document.get_line(row)) + 1)))


def one_more(new: bytes, old: bytes, more: bytes) -> bool:
    """Say whether some bytes came in at one place and nothing else changed."""
    return any(new == old[:at] + more + old[at:] for at in range(len(old) + 1))


class PaneApp(App[None]):
    """The editor alone, which is quicker than its screen."""

    def compose(self) -> ComposeResult:
        yield FilePane(id="file")


@pytest.mark.case(38)
async def test_typing_changes_only_typed_bytes() -> None:
    place = random.Random(38)
    app, tried = PaneApp(), 0
    async with app.run_test(size=(80, 24)) as pilot:
        pane = app.query_one(FilePane)
        for data in [*KINDS, *made_up(10, place)]:
            document = Document.parse(data)
            if document.read_only_reason:
                continue
            tried += 1
            pane.show_document(document, None)
            pane.begin_edit()
            await pilot.pause()
            assert document.with_text(pane.area.text) == data
            put_cursor(pane.area, place)
            key, typed = place.choice((("Z", b"Z"), ("enter", b"\r\n" if document.eol == "CRLF" else b"\n")))
            await pilot.press(key)
            assert one_more(document.with_text(pane.area.text), data, typed), (key, data)
            await pilot.press(place.choice(("backspace", "ctrl+z")))
            assert document.with_text(pane.area.text) == data, (key, data)
    assert tried > 22
