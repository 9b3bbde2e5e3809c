"""The status line tells of what is in hand: it is cleared when something else is, bad news not too soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until
from tests.ui.conftest import Open
from tests.ui.test_container_commands import current, listed, opened, status
from tui.core.errors import EngineError
from tui.core.records import State
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.screens import base

TWO = {"web": State.EXITED, "other": State.EXITED}
PATH = b"/app/server.json"


async def test_status_clears_on_cursor_move() -> None:
    async with opened(Pretend(TWO)) as pilot:
        await pilot.press("s")
        await pilot_until(pilot, lambda: "web started" in status(pilot))
        await pilot.press("o")
        await pilot.pause()
        assert "web started" in status(pilot)
        await pilot.press("k" if listed(pilot).rows.cursor else "j")
        await pilot_until(pilot, lambda: status(pilot) == "")
        assert status(pilot) == ""


async def test_error_outlasts_first_key_presses(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Pretend(TWO)
    engine.refuses = EngineError("no such file", "nothing was done")
    async with opened(engine) as pilot:
        await pilot.press("s")
        await pilot_until(pilot, lambda: "no such file" in status(pilot))
        await pilot.press("down", "up", "down")
        await pilot.pause()
        assert "no such file" in status(pilot)
        monkeypatch.setattr(base, "_BAD_NEWS", 0.0)
        await pilot.pause(0.3)  # longer than bad news stays at least, which is no time at all here
        assert "no such file" in status(pilot), "no key was pressed since"
        await pilot.press("o")
        await pilot_until(pilot, lambda: status(pilot) == "")
        assert status(pilot) == ""


async def test_automatic_cursor_move_keeps_status() -> None:
    engine = Pretend(TWO)
    async with opened(engine) as pilot:
        await pilot.press("s")
        await pilot_until(pilot, lambda: "web started" in status(pilot))
        engine.move("web", None, "rename")
        await pilot_until(pilot, lambda: current(pilot) == "other")
        assert "web started" in status(pilot)


async def test_editor_status_clears_on_close(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.status.message.plain.startswith("editing"))
        await pilot.press("escape")
        await pilot_until(pilot, lambda: not screen.file_pane.editing)
        await pilot_until(pilot, lambda: screen.status.message.plain == "")
        assert screen.status.message.plain == ""


async def test_save_on_close_names_start_key(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x", "escape")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        await pilot.press("s")
        await pilot_until(pilot, lambda: "Save /app" in str(pilot.app.screen.query(".question").first().render()))
        await pilot.press("y")
        await pilot_until(pilot, lambda: not screen.file_pane.editing)
        assert "· s starts the container" in screen.status.message.plain


@pytest.mark.parametrize(
    ("key", "told"),
    [("escape", "not saved: the file was changed meanwhile"), ("t", "not saved: the file now shows their version")],
)
async def test_conflict_choice_is_reported(open_layer: Open, app_dir: Path, key: str, told: str) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x", "ctrl+s")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        (app_dir / "server.json").write_bytes(b"theirs\n")
        await pilot.press("y")
        await pilot_until(
            pilot, lambda: "changed by somebody else" in str(pilot.app.screen.query("Static").first().render())
        )
        await pilot.press(key)
        await pilot_until(pilot, lambda: told in screen.status.message.plain)
        assert told in screen.status.message.plain
        assert screen.file_pane.area.text.startswith("theirs" if key == "t" else "x{")


async def test_find_without_match_is_reported(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("ctrl+f", *"nothere", "enter")
        await pilot_until(pilot, lambda: "no match" in screen.status.message.plain)
        assert "no match" in screen.status.message.plain


async def test_invalid_line_number_is_asked_again(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("ctrl+g")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
        asked = pilot.app.screen
        await pilot.press(*"abc", "enter")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, AskDialog) and pilot.app.screen is not asked)
        told = str(pilot.app.screen.query_one("#refused").render())  # type: ignore[attr-defined]
        assert f"from 1 to {screen.file_pane.area.document.line_count}" in told
