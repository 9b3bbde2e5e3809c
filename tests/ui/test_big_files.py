"""Files too big to lay out at once: their beginning is shown and can be searched, all of it comes with the editor."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import TextArea

from tests.support.waiting import pilot_until
from tests.ui.conftest import Layer, Open
from tui.ui.widgets.file_pane import CodeArea

LINE = b"one line of a log that is long enough to look like one\n"


async def show(layer: Layer, path: bytes) -> None:
    pilot, screen = layer
    await pilot_until(pilot, lambda: screen.tree_rows.go_to(path))
    await pilot_until(pilot, lambda: screen.file_pane.face != "info")


async def test_beginning_of_big_file_is_searched(open_layer: Open, app_dir: Path) -> None:
    (app_dir / "big.log").write_bytes(LINE * 2000 + b"here is the needle\n" + LINE * 600_000)
    async with open_layer() as (pilot, screen):
        await show((pilot, screen), b"/app/big.log")
        pane = screen.file_pane
        assert pane.face == "text"
        assert len(pane.area.text) <= 256 << 10
        assert "first 256 KiB · read-only: larger than 1 MiB" in str(pane.border_subtitle)
        await pilot.press("e")
        await pilot.pause()
        assert "o opens it in $EDITOR" in screen.status.message.plain
        await pilot.press("ctrl+f")
        await pilot.press(*"needle", "enter")
        await pilot.pause()
        assert pane.area.selected_text == "needle"
        assert not pane.editing


async def test_escape_closes_find_in_preview(open_layer: Open) -> None:
    async with open_layer() as (pilot, screen):
        await show((pilot, screen), b"/app/new.txt")
        await pilot.press("ctrl+f")
        await pilot.press("escape")
        await pilot.pause()
        assert not screen.file_pane.query_one("#find").display
        assert pilot.app.screen is screen


async def test_editor_loads_whole_previewed_file(open_layer: Open, app_dir: Path) -> None:
    whole = LINE * 10_000 + b"the end"
    (app_dir / "half.log").write_bytes(whole)
    async with open_layer() as (pilot, screen):
        await show((pilot, screen), b"/app/half.log")
        pane = screen.file_pane
        assert "first 256 KiB · e opens it" in str(pane.border_subtitle)
        await pilot.press("e")
        await pilot_until(pilot, lambda: pane.editing)
        assert pane.area.text.encode() == whole
        assert "first" not in str(pane.border_subtitle)


async def test_language_change_skips_old_text(open_layer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[int] = []
    set_document, set_theme = TextArea._watch_language, TextArea._watch_theme

    def language(self: TextArea, language: str | None) -> None:
        laid_out.append(len(self.text))
        set_document(self, language)

    def theme(self: TextArea, theme: str) -> None:
        laid_out.append(len(self.text))
        set_theme(self, theme)

    async with open_layer() as (pilot, screen):
        await show((pilot, screen), b"/app/static/s.css")
        monkeypatch.setattr(CodeArea, "_watch_language", language)
        monkeypatch.setattr(CodeArea, "_watch_theme", theme)
        pane = screen.file_pane
        assert pane.document is not None
        pane.load(pane.document.text, "python")
        pilot.app.theme = "textual-light"
        pane.load(pane.document.text, None)
        assert laid_out
        assert not any(laid_out)
