"""The editor: its text is never lost and its keys work wherever the focus is."""

from __future__ import annotations

import pytest
from textual.command import CommandPalette

from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.screens.layer import LayerScreen

PATH = b"/app/server.json"


async def test_palette_back_asks_before_text_loss(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x")
        await pilot.press("ctrl+p")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press(*"back")
        await pilot_until(pilot, lambda: "Back" in screen_text(pilot))
        await pilot.press("enter", "enter")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        assert isinstance(pilot.app.screen, ChooseDialog)
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.screen is screen
        assert screen.file_pane.area.text.startswith("x{")


async def test_back_asks_before_text_loss(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, _):
        await pilot.press("x")
        await pilot.app.run_action("screen.do('back')")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        assert isinstance(pilot.app.screen, ChooseDialog)
        assert any(isinstance(below, LayerScreen) for below in pilot.app.screen_stack)


@pytest.mark.parametrize("key", ["escape", "tab"])
async def test_key_in_tree_focuses_editor(open_layer: Open, key: str) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x")
        await pilot.click("#tree", offset=(4, 4))
        assert screen.focused is screen.tree_rows
        await pilot.press(key)
        await pilot.pause()
        assert screen.focused is screen.file_pane.area
        assert screen.file_pane.area.text.startswith("x{")


async def test_save_works_with_focus_on_tree(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x")
        screen.set_focus(screen.tree_rows)
        await pilot.press("ctrl+s")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        assert isinstance(pilot.app.screen, ChooseDialog)


async def test_tree_key_while_editing_gives_hint(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        screen.set_focus(screen.tree_rows)
        await pilot.press("d")
        await pilot.pause()
        assert "esc goes back to its text" in screen.status.message.plain


async def test_editor_palette_hides_tree_actions(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        titles = {command.title for command in pilot.app.get_system_commands(screen)}
        assert {"Save", "Back"} <= titles
        assert not {"Delete", "Rename", "Merged"} & titles


async def test_tab_key_types_the_file_indentation(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("tab")
        assert screen.file_pane.area.text.startswith("    {")
    async with open_layer(b"/app/start.sh") as (pilot, screen):
        await pilot.press("tab")
        assert screen.file_pane.area.text.startswith("\t#!")
