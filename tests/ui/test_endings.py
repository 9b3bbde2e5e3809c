"""Questions before a container ends say what its settings make of that; one that keeps restarting can be stopped."""

from __future__ import annotations

import re

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text, until
from tests.ui.test_container_commands import names, opened
from tests.ui.test_editor_on_engine import UNION, editing
from tui.core.lifecycle import Group, Lifecycle
from tui.core.records import State
from tui.engine.endpoint import Verb
from tui.files import UndoKind, undo_records
from tui.ui.dialogs import choose
from tui.ui.dialogs.choose import ChooseDialog

BRIEF = Lifecycle(auto_remove=True)
TASK = Lifecycle(group=Group(swarm_service="keep"))
UNIT = Lifecycle(group=Group(systemd_unit="web.service"))
ALWAYS = Lifecycle(restart_policy="always")
PROJECT = Lifecycle(group=Group(compose_project="shop", compose_service="api"))


@pytest.mark.promise("end-of-container-foreseen")
@pytest.mark.parametrize(
    ("key", "lifecycle", "words"),
    [
        ("S", BRIEF, ("This removes it with all its changes", "docker commit web IMAGE", "stop and remove it")),
        ("K", BRIEF, ("This removes it with all its changes", "dtui cp web:/PATH", "kill and remove it")),
        ("R", BRIEF, ("a restart keeps it", "it is removed with its layer")),
        ("S", TASK, ("task of Swarm service keep", "starts another container in its place")),
        ("K", UNIT, ("systemd unit web.service may start it again", "systemctl stop web.service")),
        ("S", ALWAYS, ("restart policy is always",)),
        ("X", PROJECT, ("service api of Compose project shop", "makes it anew")),
    ],
)
async def test_question_says_what_settings_do(key: str, lifecycle: Lifecycle, words: tuple[str, ...]) -> None:
    engine = Pretend({"web": State.RUNNING})
    engine.lifecycle = lifecycle
    async with opened(engine, (80, 24)) as pilot:
        await pilot.press(key)
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        shown = " ".join(re.sub("[│╭╮╰╯─]", " ", screen_text(pilot)).split())
        assert [word for word in words if word not in shown] == []
        await pilot.press("escape")
    assert engine.acts == []


async def test_restarting_container_offers_stop() -> None:
    engine = Pretend({"loop": State.RESTARTING})
    engine.lifecycle = ALWAYS
    async with opened(engine) as pilot:
        footer = screen_text(pilot).splitlines()[-1]
        assert "s restart" in footer
        assert "S stop" in footer
        await pilot.press("S")
        await pilot_until(pilot, lambda: "It keeps restarting: this ends that" in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(pilot, lambda: names(pilot) == ["loop"] and bool(engine.acts))
        await pilot_until(pilot, lambda: "S stop" not in screen_text(pilot).splitlines()[-1])
    assert engine.acts == [("loop", Verb.STOP)]


@pytest.fixture
def loop(boxes: Boxes) -> Box:
    """A container that the engine starts again and again; its file says what it does."""
    box = boxes("echo 'exit 1' > /srv/file")
    box.engine.docker("rm", "-f", "web")
    run = ("run", "-d", "--network=none", "--restart=always", "--name=web")
    box.engine.docker(*run, "shop/web:1", "sh", "-c", "test -e /srv/file || echo 'exit 1' > /srv/file; . /srv/file")
    again = Box(box.engine, box.endpoint)
    until(lambda: again.details.restart_count > 4 and again.details.container.state is State.RESTARTING, seconds=60)
    return again


@pytest.mark.engine
@pytest.mark.promise("crash-loop-can-be-fixed")
@UNION
async def test_save_stops_and_starts_crash_loop(loop: Box) -> None:
    async with editing(loop, b"/srv/file") as editor:
        await editor.pilot.press(*"sleep", "space", *"1000", "enter")
        await editor.pilot.press("ctrl+s")
        await editor.until(lambda: "keeps restarting. Stop it to save /srv/file?" in editor.shown)
        assert "y  stop it, save, start it again" in editor.shown
        assert "restart policy always stays" in " ".join(editor.shown.split())
        await editor.pilot.press("y")
        await editor.until(lambda: "was stopped and started again" in editor.shown)
        assert loop.details.container.state is State.RUNNING
        assert loop.details.lifecycle.restart_policy == "always"
        assert loop.read(b"/srv/file") == b"sleep 1000\nexit 1\n"


@pytest.mark.engine
@pytest.mark.promise("crash-loop-can-be-fixed")
@UNION
async def test_delete_offers_to_stop_crash_loop(loop: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_REPEAT", 0)  # a second y counts at once
    async with editing(loop, b"/srv/file") as editor:
        await editor.pilot.press("escape", "d")
        await editor.until(lambda: "Delete /srv/file?" in editor.shown)
        await editor.pilot.press("y")
        await editor.until(lambda: "keeps restarting. Stop it to change it?" in editor.shown)
        await editor.pilot.press("y")
        await editor.until(lambda: [act.kind for act in undo_records() if act.done] == [UndoKind.REMOVE])
        await editor.until(lambda: not loop.details.container.state.at_rest)  # it goes on failing, as before
