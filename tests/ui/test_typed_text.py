"""What is typed or pasted is what is saved, for all of Unicode."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.support.waiting import pilot_until
from tests.ui.conftest import Open
from tests.ui.test_undo_layout import PaneApp
from tui.files.document import Document
from tui.ui.screens.layer import LayerScreen
from tui.ui.widgets.code_area import CodeArea
from tui.ui.widgets.file_pane import FilePane
from tui.ui.widgets.lines import Line

SEPARATORS = "a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg\x1dh\x1ei\n"
ODD = (
    "\U000f0a1e \U000f000a \U000fffff \U00100041 \U0010ffff \ue0b0 \ufeff \ufffe \ufdd0 \U0001ffff \x1b[31m \x7f \xa0 "
    "e\u0301 👩\u200d💻 \u2764\ufe0f \U000e0041 \u202e \u3000 \u00ad \u0600"
)
EXAMPLES = int(os.environ.get("DTUI_EXAMPLES", "10"))

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")
texts = st.text(characters | st.sampled_from(SEPARATORS + ODD) | st.characters(min_codepoint=0xF0000), max_size=40)


class LineApp(App[None]):
    """A line to type in."""

    def compose(self) -> ComposeResult:
        yield Line(lambda _: None)


async def save(pilot: Pilot[int], screen: LayerScreen) -> None:
    screen.tell("next")
    await pilot.press("ctrl+s")
    await pilot_until(pilot, lambda: pilot.app.screen is not screen)
    await pilot.press("y")
    await pilot_until(pilot, lambda: screen.status.message.plain.startswith("✓ saved"))


@pytest.mark.promise("typed-is-saved", "paste-keeps-separators")
async def test_pasted_unicode_is_saved_unchanged(open_layer: Open, app_dir: Path) -> None:
    file = app_dir / "pasted"
    file.write_bytes(b"plain text that is long enough to be text\n" * 40)
    before = file.read_bytes()
    async with open_layer(b"/app/pasted") as (pilot, screen):
        expected = b""
        for text in (SEPARATORS, ODD, "all of " + "".join(map(chr, range(0xE000, 0xF900, 97))) + "\n"):
            screen.file_pane.area.post_message(events.Paste(text))
            await pilot.pause()
            expected += text.encode()
        await save(pilot, screen)
        assert file.read_bytes() == expected + before
        await pilot.press("Z")
        await pilot.press("backspace", "ctrl+s")
        assert file.read_bytes() == expected + before


@pytest.mark.promise("typed-is-saved")
async def test_typed_unicode_is_saved_unchanged(open_layer: Open, app_dir: Path) -> None:
    file = app_dir / "typed"
    file.write_bytes(b"plain text that is long enough to be text\n" * 20)
    before = file.read_bytes()
    typed = "\U000f0a1e\u200d\ufe0f\u2028\xa0\u3000\ue0b0\x85é漢\U0010fffd\u0301"
    async with open_layer(b"/app/typed") as (pilot, screen):
        for char in typed:
            pilot.app.post_message(events.Key(char, char))
        await pilot_until(pilot, lambda: screen.file_pane.modified)
        await pilot.pause()
        await save(pilot, screen)
    assert file.read_bytes() == typed.encode() + before


@pytest.mark.promise("typed-is-saved")
@pytest.mark.parametrize(("text", "why"), [("a\0b", "NUL"), ("a\udce9b", "not UTF-8"), ("\ud800", "not UTF-8")])
async def test_unsavable_input_is_refused(open_layer: Open, text: str, why: str) -> None:
    async with open_layer(b"/app/server.json") as (pilot, screen):
        area = screen.file_pane.area
        before = area.text
        area.post_message(events.Paste(text))
        await pilot_until(pilot, lambda: why in screen.status.message.plain)
        assert why in screen.status.message.plain
        assert area.text == before
        screen.tell("next")
        odd = next(char for char in text if not char.isascii() or char == "\0")
        if odd != "\0":
            pilot.app.post_message(events.Key(odd, odd))
            await pilot_until(pilot, lambda: why in screen.status.message.plain)
            assert area.text == before


@pytest.mark.promise("typed-is-saved", "paste-keeps-separators")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=60).filter(lambda data: b"\0" not in data), pasted=st.lists(texts, max_size=4))
async def test_undo_removes_exactly_pasted_bytes(data: bytes, pasted: list[str]) -> None:
    data = b"plain text to begin with \xf3\xb0\xa8\x9e\n" * 4 + data + b"\n"
    document = Document.parse(data)
    app = PaneApp("")
    async with app.run_test(size=(40, 10)) as pilot:
        pane, area = app.query_one(FilePane), app.query_one(CodeArea)
        if document.read_only_reason:
            return
        pane.show_document(document, None)
        pane.begin_edit()
        for text in pasted:
            await area._on_paste(events.Paste(text))
        ends = "\r\n" if document.eol == "CRLF" else "\n"
        added = "".join(pasted).replace("\n", ends).encode()
        assert document.with_text(area.text) == added + data
        area.select_all()
        area.action_cut()
        area.action_paste()
        assert document.with_text(area.text) == added + data
        while area.history.undo_stack:
            area.undo()
        await pilot.pause()
        assert document.with_text(area.text) == data


async def test_pasted_carriage_returns_end_lines() -> None:
    document = Document.parse(b"")
    assert document.shield_pasted("a\rb\r") == "a\nb\n"
    assert document.shield_pasted("a\r\nb") == "a\nb"
    assert document.with_text(document.shield_pasted("a\rb\n")) == b"a\rb\n"


async def test_copy_paste_preserves_invalid_utf8() -> None:
    app = PaneApp("")
    async with app.run_test(size=(40, 10)):
        pane, area = app.query_one(FilePane), app.query_one(CodeArea)
        document = Document.parse(b"caf\xe9 and more plain text \xe2\x80\xa8 here\n")
        pane.show_document(document, None)
        pane.begin_edit()
        area.select_all()
        area.action_copy()
        area.move_cursor((0, 0))
        area.action_paste()
        assert document.with_text(area.text) == document.data * 2


@pytest.mark.promise("typed-is-saved", "paste-keeps-separators")
async def test_input_line_accepts_any_single_line() -> None:
    app = LineApp()
    async with app.run_test(size=(40, 10)) as pilot:
        line = app.query_one(Line)
        line.post_message(events.Paste("a\u2028b\x0cc\x85d\u200d\r\n"))
        await pilot.pause()
        for char in "\u200d\U000f0a1eé":
            app.post_message(events.Key(char, char))
        await pilot.pause()
        assert line.value == "a\u2028b\x0cc\x85d\u200d\u200d\U000f0a1eé"
        for refused in ("two\nlines", "two\rlines", "a\0b"):
            line.post_message(events.Paste(refused))
        await pilot.pause()
        assert line.value == "a\u2028b\x0cc\x85d\u200d\u200d\U000f0a1eé"


async def test_find_matches_text_with_stand_ins() -> None:
    app = PaneApp("")
    async with app.run_test(size=(40, 10)):
        pane, area = app.query_one(FilePane), app.query_one(CodeArea)
        pane.show_document(Document.parse("İzmir ok\nplain text with 👩\u200d💻 here and more\n".encode()), None)
        pane.begin_edit()
        pane._find_text("OK")
        assert area.selected_text == "ok"
        pane._find_text("👩\u200d💻 here")
        assert area.file.shield.reveal(area.selected_text) == "👩\u200d💻 here"
