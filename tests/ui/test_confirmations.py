"""Questions: y confirms, and neither Enter nor the key that asked answers, however long it is held down."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from textual.pilot import Pilot

import tui.ui
from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tui.core.records import State
from tui.engine.endpoint import Verb
from tui.ui.app import DtuiApp, QuitQuestion
from tui.ui.dialogs import choose
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm
from tui.ui.widgets.lines import Line

HELD = 12
"""Times a key is repeated: half a second of most keyboards."""


def asked(pilot: Pilot[int]) -> bool:
    return isinstance(pilot.app.screen, ChooseDialog)


def files_in(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))


async def hold(pilot: Pilot[int], key: str) -> None:
    await pilot.press(*[key] * HELD)
    await pilot.press("enter", "space", "enter")


@pytest.mark.promise("held-key-never-answers")
@pytest.mark.parametrize("key", ["d", "u"])
async def test_held_key_changes_no_entry(open_layer: Open, app_dir: Path, key: str) -> None:
    before = files_in(app_dir)
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press(key)
        await pilot_until(pilot, lambda: asked(pilot))
        await hold(pilot, key)
        assert asked(pilot)
        assert files_in(app_dir) == before
        await pilot.press("y")
        await pilot_until(pilot, lambda: not (app_dir / "new.txt").exists())
    assert not (app_dir / "new.txt").exists()


@pytest.mark.promise("held-key-never-answers")
async def test_held_undo_key_undoes_nothing(open_layer: Open, app_dir: Path) -> None:
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d")
        await pilot_until(pilot, lambda: asked(pilot))
        await pilot.press("y")
        await pilot_until(pilot, lambda: not asked(pilot) and "deleted" in screen.status.message.plain)
        await pilot.press("z")
        await pilot_until(pilot, lambda: asked(pilot))
        assert "Undo the deletion of /app/new.txt at " in screen_text(pilot)
        await hold(pilot, "z")
        assert asked(pilot)
        assert not (app_dir / "new.txt").exists()


@pytest.mark.promise("held-key-never-answers")
async def test_held_save_key_saves_nothing(open_layer: Open, app_dir: Path) -> None:
    before = (app_dir / "new.txt").read_bytes()
    async with open_layer(b"/app/new.txt", size=(80, 24)) as (pilot, _):
        await pilot.press("x", "ctrl+s")
        await pilot_until(pilot, lambda: asked(pilot))
        await hold(pilot, "ctrl+s")
        assert asked(pilot)
        assert (app_dir / "new.txt").read_bytes() == before


@pytest.mark.promise("held-key-never-answers")
@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c"])
async def test_held_quit_key_keeps_unsaved_text(open_layer: Open, key: str) -> None:
    async with open_layer(b"/app/new.txt", size=(80, 24)) as (pilot, _):
        await pilot.press("x", key)
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, QuitQuestion))
        await hold(pilot, key)
        assert isinstance(pilot.app.screen, QuitQuestion)
        assert pilot.app.is_running


@pytest.mark.promise("held-key-never-answers")
@pytest.mark.parametrize("key", ["X", "K", "S", "R", "s"])
async def test_held_key_ends_no_container(key: str) -> None:
    engine = Pretend({"up": State.RUNNING})
    app = DtuiApp((engine,))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot_until(pilot, lambda: "up" in screen_text(pilot))
        await pilot.press(key)
        await pilot_until(pilot, lambda: asked(pilot))
        await hold(pilot, key)
        assert asked(pilot)
        assert engine.acts == []
        await pilot.press("y")
        await pilot_until(pilot, lambda: bool(engine.acts))
    assert engine.acts[0][1] in (Verb.REMOVE, Verb.KILL, Verb.STOP, Verb.RESTART)


@pytest.mark.promise("held-key-never-answers")
async def test_held_y_answers_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str | None] = []
    monkeypatch.setattr(choose, "_REPEAT", 60.0)  # however busy this machine is, the key is held down
    app = DtuiApp(())
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(ChooseDialog("First?", (confirm("do it"),)), answers.append)
        await pilot.pause()
        await pilot.press("y")
        app.push_screen(ChooseDialog("Second?", (confirm("do it"),)), answers.append)
        await pilot.pause()
        await pilot.press(*"yyyyyyyy")
        assert answers == ["yes"]
        monkeypatch.setattr(choose, "_REPEAT", 0.0)  # the pause of somebody who has read the question
        await pilot.press("y")
        await pilot.pause()
    assert answers == ["yes", "yes"]


@pytest.mark.promise("held-key-never-answers")
@pytest.mark.parametrize("key", ["enter", "space", "escape"])
def test_enter_is_no_choice(key: str) -> None:
    with pytest.raises(ValueError, match="must not answer"):
        Choice(key, "yes", "delete it")


@pytest.mark.promise("held-key-never-answers")
def test_every_question_offers_letters_only() -> None:
    keys = [
        call.args[0].value
        for path in Path(tui.ui.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Choice"
        and isinstance(call.args[0], ast.Constant)
    ]
    assert keys
    assert all(len(key) == 1 and key.isalpha() for key in keys)


@pytest.mark.promise("held-key-never-answers")
async def test_enter_copies_over_no_file(open_layer: Open, app_dir: Path, tmp_path: Path) -> None:
    before = (app_dir / "new.txt").read_bytes()
    (tmp_path / "new.txt").write_bytes(b"other\n")
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("a")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
        pilot.app.screen.query_one(Line).value = str(tmp_path / "new.txt")
        await pilot.press("enter", "enter")
        await pilot_until(pilot, lambda: asked(pilot))
        await pilot.press("enter", "a")
        assert "/app/new.txt exists already. Replace it?" in screen_text(pilot)
        assert (app_dir / "new.txt").read_bytes() == before
        await pilot.press("y")
        await pilot_until(pilot, lambda: (app_dir / "new.txt").read_bytes() == b"other\n")
    assert (app_dir / "new.txt").read_bytes() == b"other\n"


async def test_second_act_waits_for_the_first(open_layer: Open) -> None:
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        screen.entries.action_delete_entry()
        await pilot_until(pilot, lambda: asked(pilot))
        screen.entries.action_revert_entry()
        await pilot.pause()
        assert "still running" in screen.status.message.plain
        assert "Delete" in screen_text(pilot)
        await pilot.press("escape")
        await pilot_until(pilot, lambda: pilot.app.screen is screen)
        assert pilot.app.screen is screen
