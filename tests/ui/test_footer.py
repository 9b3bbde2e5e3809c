"""The last line names keys that do what it says, and always the way out and the way to all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tests.ui.test_container_commands import listed, opened
from tui.core.records import State
from tui.services.discover import Discovery
from tui.ui.app import DtuiApp
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.show import TextDialog
from tui.ui.screens.welcome import WelcomeScreen
from tui.ui.widgets.lines import Line


def footer(pilot: Pilot[int]) -> str:
    return screen_text(pilot).splitlines()[-1]


@pytest.mark.parametrize("width", [60, 80, 100])
async def test_narrow_footer_names_exit_and_help(open_layer: Open, width: int) -> None:
    async with open_layer(size=(width, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot_until(pilot, lambda: "e edit" in footer(pilot))
        assert "esc back" in footer(pilot)
        assert "? help" in footer(pilot)
        assert "q quit" in footer(pilot)
        await pilot.press("e")
        await pilot_until(pilot, lambda: "^s save" in footer(pilot))
        assert "esc back" in footer(pilot)
        assert "f1 help" in footer(pilot)
        assert "q quit" not in footer(pilot), "q is a letter here"


async def test_wider_footer_names_more_keys(open_layer: Open) -> None:
    async with open_layer(size=(60, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot_until(pilot, lambda: "e edit" in footer(pilot))
        assert "^p commands" not in footer(pilot)
        await pilot.resize_terminal(140, 24)
        await pilot_until(pilot, lambda: "^p commands" in footer(pilot))
        assert "^p commands" in footer(pilot)


async def test_m_key_is_named_by_next_view(open_layer: Open) -> None:
    async with open_layer() as (pilot, _):
        await pilot_until(pilot, lambda: "m merged" in footer(pilot))
        await pilot.press("m")
        await pilot_until(pilot, lambda: "m changes" in footer(pilot))
        assert "m changes" in footer(pilot)
        await pilot.press("m")
        await pilot_until(pilot, lambda: "m merged" in footer(pilot))
        assert "m merged" in footer(pilot)


async def test_editor_offers_restart_when_running(open_layer: Open) -> None:
    async with open_layer(b"/app/server.json") as (pilot, screen):
        await pilot_until(pilot, lambda: "^r start+logs" in footer(pilot))
        assert "^r start+logs" in footer(pilot)
        screen.held.record = replace(screen.held.record, state=State.RUNNING)
        screen.refresh_bindings()
        await pilot_until(pilot, lambda: "^r restart+logs" in footer(pilot))
        assert "^r restart+logs" in footer(pilot)
        await pilot.press("ctrl+r")
        await pilot_until(pilot, lambda: "without its daemon" in screen.status.message.plain)
        assert "without its daemon" in screen.status.message.plain


async def test_footer_of_input_line_has_no_letters(open_layer: Open) -> None:
    async with opened(Pretend({"web": State.EXITED}), (120, 30)) as pilot:
        await pilot_until(pilot, lambda: "? help" in footer(pilot))
        await pilot.press("slash")
        await pilot_until(pilot, lambda: "⏎ go" in footer(pilot))
        assert footer(pilot).split() == ["⏎", "go", "esc", "clear", "f1", "help", "^p", "commands"]
        await pilot.press("f1")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, TextDialog))
        assert isinstance(pilot.app.screen, TextDialog)
    async with open_layer() as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot_until(pilot, lambda: screen.file_pane.face == "text")
        for key in ("slash", "ctrl+f"):
            await pilot.press(key)
            await pilot_until(pilot, lambda: "⏎ go" in footer(pilot))
            named = footer(pilot)
            assert "⏎ go" in named
            assert "esc back" in named
            assert not {"?", "q", "d", "s", "e"} & set(named.split())
            await pilot.press("escape")
            await pilot_until(pilot, lambda: "? help" in footer(pilot))


async def test_palette_is_complete_in_input_line() -> None:
    async with opened(Pretend({"web": State.EXITED})) as pilot:
        await pilot.press("slash")
        titles = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
    assert {"Layer", "Start", "Logs", "Help", "Quit"} <= titles


async def test_empty_list_has_no_container_actions() -> None:
    app = DtuiApp((Pretend({}),))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot_until(pilot, lambda: "no containers here" in screen_text(pilot))
        await pilot_until(pilot, lambda: "b bench" in footer(pilot) and "⏎ layer" not in footer(pilot))
        assert not [word for word in ("⏎ layer", "s start", "l logs") if word in footer(pilot)]
        assert "b bench" in footer(pilot)
        await pilot.press("s")
        await pilot_until(pilot, lambda: "no container is selected" in screen_text(pilot))
        assert "no container is selected" in screen_text(pilot)


async def test_escape_is_named_while_filter_is_set() -> None:
    async with opened(Pretend({"web": State.EXITED})) as pilot:
        assert "esc" not in footer(pilot)
        await pilot.press("slash", *"we", "enter")
        await pilot_until(pilot, lambda: "esc clear" in footer(pilot))
        await pilot.press("escape")
        await pilot_until(pilot, lambda: "esc" not in footer(pilot))
        assert listed(pilot).choices.filter_text == ""


async def test_only_enter_starts_benchmark(demo: Discovery) -> None:
    from tui.ui.actions import actions_of

    assert [action.keys for action in actions_of("bench") if action.id == "run"] == ["enter"]


@pytest.mark.parametrize(("key", "answer"), [("r", "/no/such/root"), ("h", "nonsense://x")])
async def test_invalid_endpoint_is_asked_again(key: str, answer: str, tmp_path: Path) -> None:
    app = DtuiApp(())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot_until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        await pilot.press(key)
        await pilot_until(pilot, lambda: isinstance(app.screen, AskDialog))
        asked = app.screen
        asked.query_one(Line).value = answer
        await pilot.press("enter")
        await pilot_until(pilot, lambda: isinstance(app.screen, AskDialog) and app.screen is not asked)
        assert isinstance(app.screen, AskDialog)
        assert app.screen.query_one(Line).value == answer
        assert "! " in screen_text(pilot)
