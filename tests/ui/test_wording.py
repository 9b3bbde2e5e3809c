"""What is said and asked: keys as they are now, and refused answers that stay in the question."""

from __future__ import annotations

import pytest
from textual.widgets import Static

from tests.support.waiting import pilot_until
from tests.ui.conftest import Open
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.show import TextDialog, help_text
from tui.ui.widgets.lines import Line


async def test_f1_opens_help_in_editor(open_layer: Open) -> None:
    async with open_layer(b"/app/server.json") as (pilot, screen):
        keys = {key: one.binding.description for key, one in screen.active_bindings.items()}
        assert keys.get("f1") == "help"
        assert "question_mark" not in keys
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(pilot.app.screen, TextDialog)
    assert "f1 " in help_text("editor").plain.partition("Moving")[0]


async def test_question_mark_opens_help_in_tree(open_layer: Open) -> None:
    async with open_layer() as (pilot, _):
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(pilot.app.screen, TextDialog)


async def test_a_capital_g_goes_to_the_last_line(open_layer: Open) -> None:
    async with open_layer() as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.model.index(b"/app/run") is not None)
        await pilot.press("G")
        assert screen.tree_rows.cursor == screen.tree_rows.count() - 1


@pytest.mark.parametrize(
    ("key", "answer", "reason"),
    [("r", "start.sh", "exists already"), ("plus", "static/s.css", "exists"), ("c", "0999", ""), ("C", "noone:x", "")],
)
async def test_refused_answer_is_asked_again(open_layer: Open, key: str, answer: str, reason: str) -> None:
    async with open_layer() as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press(key)
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
        asked = pilot.app.screen
        line = asked.query_one(Line)
        line.value = answer
        await pilot.press("enter")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, AskDialog) and pilot.app.screen is not asked)
        again = pilot.app.screen
        assert isinstance(again, AskDialog)
        assert again.query_one(Line).value == answer
        told = str(again.query_one("#refused", Static).render())
        assert told.startswith("! ")
        assert reason in told
        await pilot.press("escape")
