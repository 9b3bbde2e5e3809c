"""Dialogs: the keys that answer them are on the screen, whatever else there is to say."""

from __future__ import annotations

import pytest
from rich.text import Text

from tests.support.waiting import screen_text
from tui.ui.app import DtuiApp
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm
from tui.ui.dialogs.show import TextDialog, help_text

LONG = {
    "many lines": "\n".join(f"line {number}" for number in range(200)),
    "one long line": "x" * 300,
    "long lines": "\n".join("x" * 300 for _ in range(20)),
    "nothing": "",
}
SIZES = [(80, 24), (50, 12), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("body", LONG.values(), ids=LONG)
@pytest.mark.parametrize("question", ["Save /app/start.sh?", "Save /" + "very-long/" * 60 + "name?"], ids=["", "long"])
async def test_question_keys_are_always_visible(size: tuple[int, int], body: str, question: str) -> None:
    app = DtuiApp(())
    async with app.run_test(size=size) as pilot:
        choices = (confirm("save"), Choice("i", "in place", "in place, keeping the inode"))
        app.push_screen(ChooseDialog(question, choices, Text(body)))
        await pilot.pause()
        words = " ".join(screen_text(pilot).replace("│", " ").split())
        assert "y save" in words
        assert "esc cancel" in words
        assert "x" * 10 in words or "line 0" in words or not body


@pytest.mark.parametrize("size", SIZES)
async def test_help_scrolls_by_its_keys(size: tuple[int, int]) -> None:
    app = DtuiApp(())
    async with app.run_test(size=size) as pilot:
        app.push_screen(TextDialog("Keys", help_text("containers")))
        await pilot.pause()
        assert "↑↓  scroll" in screen_text(pilot)
        assert "esc  close" in screen_text(pilot)
        body = app.screen.query_one(".body")
        for key, place in (
            ("j", 1),
            ("j", 2),
            ("k", 1),
            ("G", body.max_scroll_y),
            ("g", 0),
            ("end", body.max_scroll_y),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert body.scroll_y == place, key
        await pilot.press("home")
        await pilot.pause()
        assert body.scroll_y == 0


async def test_question_keys_survive_resize() -> None:
    app = DtuiApp(())
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(ChooseDialog("Save it?", (confirm("save"),), Text(LONG["many lines"])))
        await pilot.pause()
        await pilot.resize_terminal(50, 12)
        await pilot.pause()
        assert "y  save" in screen_text(pilot)


async def test_answer_key_scrolls_no_text() -> None:
    app = DtuiApp(())
    answers: list[str | None] = []
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(
            ChooseDialog("Which?", (Choice("k", "keep", "keep"),), Text(LONG["many lines"])), answers.append
        )
        await pilot.pause()
        await pilot.press("j", "k")
        await pilot.pause()
    assert answers == ["keep"]
