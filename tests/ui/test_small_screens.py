"""What fits on small screens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.text import Text

from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tui.core.records import State
from tui.services.discover import Discovery
from tui.ui.app import DtuiApp
from tui.ui.screens.containers import ContainersScreen
from tui.ui.widgets.file_pane import HexRows


async def test_list_shows_rows_on_small_screen(demo: Discovery) -> None:
    app = DtuiApp(demo.endpoints)
    async with app.run_test(size=(60, 16)) as pilot:
        await pilot_until(pilot, lambda: isinstance(app.screen, ContainersScreen) and bool(app.screen.rows.containers))
        screen = app.screen
        assert isinstance(screen, ContainersScreen)
        await pilot_until(pilot, lambda: screen.query_one("#detail").border_title is not None)
        assert screen.rows.visible_rows >= 3


async def test_title_keeps_state_with_long_counts(open_layer: Open) -> None:
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: bool(screen.title_line.right.plain))
        screen.title_line.right = Text("12,345 added · 2,345 modified · 345 deleted · 1.2 GB writable")
        shown = screen.title_line.render()
        assert isinstance(shown, Text)
        assert "exited" in shown.plain
        assert shown.cell_len <= 80


@pytest.mark.parametrize("width", [50, 80, 120])
async def test_title_keeps_state_with_long_name(open_layer: Open, width: int) -> None:
    async with open_layer(size=(width, 24)) as (pilot, screen):
        screen.held.record = replace(screen.held.record, name="n" * 104)
        screen.show_title()
        await pilot.pause()
        first = screen_text(pilot).splitlines()[0]
        assert "containers ▸ nnnnnnn" in first
        assert "n…" in first
        assert "✗ exited" in first
    engine = Pretend({"n" * 104: State.RUNNING})
    app = DtuiApp((engine,))
    async with app.run_test(size=(width, 24)) as pilot:
        await pilot_until(pilot, lambda: "running" in screen_text(pilot))
        await pilot.press("l")
        await pilot_until(pilot, lambda: "▸ logs" in screen_text(pilot).splitlines()[0])
        first = screen_text(pilot).splitlines()[0]
        assert "n… ▸ logs" in first
        assert "● running" in first


async def test_hex_view_scrolls_to_its_text(open_layer: Open) -> None:
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot.press("m")
        screen.layer_tree.reveal(b"/bin/sh", screen.tree_rows.shown_view)
        await pilot_until(pilot, lambda: screen.file_pane.face == "hex")
        rows = screen.query_one(HexRows)
        screen.set_focus(rows)
        assert "|" not in rows.render_line(0).text
        rows.scroll_end(animate=False, immediate=True)
        await pilot.press(*["right"] * 60)
        await pilot_until(pilot, lambda: "ELF" in rows.render_line(0).text)
        assert "ELF" in rows.render_line(0).text
