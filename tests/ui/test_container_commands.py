"""Keys that change containers hit the one that was meant, and ask before they end anything."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual import events
from textual.pilot import Pilot

from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text
from tui.core.errors import EngineError
from tui.core.records import Container, State
from tui.engine.endpoint import Verb
from tui.ui.app import DtuiApp
from tui.ui.screens.containers import ContainersScreen
from tui.ui.widgets.container_rows import GroupRows
from tui.ui.widgets.lines import StatusLine

RUNNING, EXITED, CREATED, RESTARTING = State.RUNNING, State.EXITED, State.CREATED, State.RESTARTING


@asynccontextmanager
async def opened(engine: Pretend, size: tuple[int, int] = (120, 30)) -> AsyncIterator[Pilot[int]]:
    """The container list on a pretended Engine, its rows on the screen."""
    app = DtuiApp((engine,))
    async with app.run_test(size=size) as pilot:
        await pilot_until(pilot, lambda: bool(names(pilot)))
        yield pilot


def listed(pilot: Pilot[int]) -> ContainersScreen:
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, ContainersScreen))


def names(pilot: Pilot[int]) -> list[str]:
    found = [screen for screen in pilot.app.screen_stack if isinstance(screen, ContainersScreen)]
    return [row.name for row in found[0].rows.containers] if found and found[0].is_mounted else []


def current(pilot: Pilot[int]) -> str:
    container = listed(pilot).container
    return container.name if container else ""


def status(pilot: Pilot[int]) -> str:
    return pilot.app.screen_stack[-1].query(StatusLine).first().message.plain


async def go_to_group(pilot: Pilot[int], key: str) -> None:
    listed(pilot).choices.choose_group(key)
    await pilot.pause()


async def test_remove_ignores_later_cursor_moves() -> None:
    engine = Pretend({"crashing": RUNNING, "innocent": RUNNING})
    async with opened(engine) as pilot:
        await go_to_group(pilot, "running")
        assert current(pilot) == "crashing"
        await pilot.press("X")
        await pilot_until(pilot, lambda: "Remove crashing?" in screen_text(pilot))
        engine.move("crashing", EXITED, "die", exit_code=1)
        listed(pilot).rows.cursor = len(names(pilot)) - 1
        await pilot_until(pilot, lambda: current(pilot) == "innocent")
        await pilot.press("y")
        await pilot_until(pilot, lambda: bool(engine.acts))
    assert engine.acts == [("crashing", Verb.REMOVE)]


async def test_remove_reports_vanished_container() -> None:
    engine = Pretend({"brief": EXITED, "innocent": EXITED})
    async with opened(engine) as pilot:
        await pilot.press("X")
        await pilot_until(pilot, lambda: "Remove brief?" in screen_text(pilot))
        engine.move("brief", None, "destroy")
        await pilot_until(pilot, lambda: names(pilot) == ["innocent"])
        await pilot.press("y")
        await pilot_until(pilot, lambda: "brief is gone" in status(pilot))
    assert engine.acts == []


async def test_remove_question_warns_of_kill() -> None:
    engine = Pretend({"up": RUNNING})
    async with opened(engine) as pilot:
        await pilot.press("X")
        await pilot_until(pilot, lambda: "RUNNING and will be killed" in screen_text(pilot))


async def test_remove_asks_again_after_start() -> None:
    engine = Pretend({"asleep": EXITED})
    async with opened(engine) as pilot:
        await pilot.press("X")
        await pilot_until(pilot, lambda: "Remove asleep?" in screen_text(pilot))
        assert "will be killed" not in screen_text(pilot)
        engine.move("asleep", RUNNING, "start")
        await pilot_until(pilot, lambda: listed(pilot).rows.containers[0].state is RUNNING)
        await pilot.press("y")
        await pilot_until(pilot, lambda: "RUNNING and will be killed" in screen_text(pilot))
        assert engine.acts == []
        await pilot.press("y", "k")  # y again may be the key that is still held down
        await pilot_until(pilot, lambda: names(pilot) == [])
    assert engine.acts == [("asleep", Verb.REMOVE)]


async def test_cursor_stays_on_started_container() -> None:
    engine = Pretend({"created-1": CREATED, "created-2": CREATED, "created-3": CREATED})
    async with opened(engine) as pilot:
        await go_to_group(pilot, "created")
        await pilot.press("end", "s")
        await pilot_until(pilot, lambda: "created-3 started" in status(pilot))
        await pilot_until(pilot, lambda: listed(pilot).rows.containers[-1].state is RUNNING)
        assert current(pilot) == "created-3"
        await pilot.press("up")
        await pilot_until(pilot, lambda: names(pilot) == ["created-1", "created-2"])
        assert current(pilot) == "created-2"


async def test_emptied_group_stays_selected() -> None:
    engine = Pretend({"only": CREATED, "other": EXITED})
    async with opened(engine) as pilot:
        await go_to_group(pilot, "created")
        engine.move("only", None, "destroy")
        await pilot_until(pilot, lambda: names(pilot) == [])
        assert listed(pilot).choices.group == "created"
        assert [(g.key, g.size) for g in listed(pilot).query_one(GroupRows).groups] == [
            ("", 1),
            ("created", 0),
            ("exited", 1),
        ]
        assert "no containers here" in screen_text(pilot)
        await pilot.press("tab")
        await pilot_until(pilot, lambda: names(pilot) == ["other"])


async def test_filter_names_group_with_matches() -> None:
    engine = Pretend({"looping": RESTARTING, "broken-web": EXITED, "whole": EXITED})
    async with opened(engine) as pilot:
        await go_to_group(pilot, "restarting")
        await pilot.press("slash", *"broken", "enter")
        await pilot_until(
            pilot, lambda: "nothing here matches broken, but 1 in exited: tab goes there" in screen_text(pilot)
        )
        assert [g.size for g in listed(pilot).query_one(GroupRows).groups] == [1, 0, 1]
        await pilot.press("tab")
        await pilot_until(pilot, lambda: names(pilot) == ["broken-web"])


@pytest.mark.parametrize(
    ("key", "question", "verb"),
    [
        ("K", "Kill up?", Verb.KILL),
        ("S", "Stop up?", Verb.STOP),
        ("R", "Restart up?", Verb.RESTART),
        ("s", "Restart up?", Verb.RESTART),
    ],
)
async def test_kill_stop_and_restart_ask_first(key: str, question: str, verb: Verb) -> None:
    engine = Pretend({"up": RUNNING})
    async with opened(engine) as pilot:
        await pilot.press(key)
        await pilot_until(pilot, lambda: question in screen_text(pilot))
        await pilot.press("escape")
        await pilot_until(pilot, lambda: pilot.app.screen is listed(pilot))
        assert engine.acts == []
        await pilot.press(key)
        await pilot_until(pilot, lambda: question in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(pilot, lambda: bool(engine.acts))
    assert engine.acts == [("up", verb)]


async def test_start_and_pause_ask_no_question() -> None:
    engine = Pretend({"web": EXITED})
    async with opened(engine) as pilot:
        await pilot_until(pilot, lambda: "s start" in screen_text(pilot))
        await pilot.press("s")
        await pilot_until(pilot, lambda: "s restart" in screen_text(pilot))
        await pilot.press("p")
        await pilot_until(pilot, lambda: len(engine.acts) == 2)
    assert engine.acts == [("web", Verb.START), ("web", Verb.PAUSE)]


NOPE = 'start web: exec: "/srv/app/bin/nope-that-is-a-long-name": stat /srv/app/bin/nope: no such file or directory'


async def test_long_error_is_shown_in_full() -> None:
    engine = Pretend({"web": CREATED})
    engine.refuses = EngineError(NOPE, "the Engine refused; nothing was done")
    async with opened(engine, (80, 24)) as pilot:
        await pilot_until(pilot, lambda: "restarts 0" in screen_text(pilot))
        await pilot.press("s")
        await pilot_until(pilot, lambda: NOPE in " ".join(screen_text(pilot).split()))
        assert "nothing was done" in " ".join(screen_text(pilot).split())
        await pilot_until(pilot, lambda: "error   refused" in screen_text(pilot))


async def test_other_containers_event_keeps_status() -> None:
    engine = Pretend({"mine": EXITED, "other": RUNNING})
    async with opened(engine) as pilot:
        await pilot.press("s")
        await pilot_until(pilot, lambda: "mine started" in status(pilot))
        engine.move("other", EXITED, "die", exit_code=3)
        await pilot_until(pilot, lambda: listed(pilot).rows.containers[1].state is EXITED)
        assert "mine started" in status(pilot)
        await pilot.press("down")
        engine.move("mine", EXITED, "die", exit_code=4)
        await pilot_until(pilot, lambda: "mine exited with code 4" in status(pilot))


async def test_requested_list_is_confirmed() -> None:
    engine = Pretend({"web": EXITED})
    async with opened(engine) as pilot:
        await pilot.press("f5")
        await pilot_until(pilot, lambda: status(pilot) == "reloaded")


async def test_palette_matches_container_state() -> None:
    engine = Pretend({"web": EXITED})
    async with opened(engine) as pilot:
        app = pilot.app
        exited = {command.title for command in app.get_system_commands(app.screen)}
        await pilot.press("s")
        await pilot_until(pilot, lambda: listed(pilot).rows.containers[0].state is RUNNING)
        running = {command.title for command in app.get_system_commands(app.screen)}
    assert "Start" in exited
    assert not {"Kill", "Stop", "Restart", "Pause"} & exited
    assert {"Kill", "Stop", "Restart", "Pause"} <= running
    assert "Start" not in running


class Silent(Pretend):
    """An Engine that takes what is said to it and never answers."""

    def __init__(self) -> None:
        super().__init__({})
        self.closed = threading.Event()

    def snapshot(self) -> tuple[Container, ...]:
        self.closed.wait()
        raise EngineError("closed")

    def close(self) -> None:
        self.closed.set()
        super().close()


@pytest.mark.parametrize("key", ["h", "escape"])
async def test_wait_for_silent_host_can_be_left(key: str) -> None:
    app = DtuiApp((Silent(),))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot_until(pilot, lambda: bool(re.search(r"asking the Engine… [3-9] s · esc or h", screen_text(pilot))))
        await pilot.press(key)
        await pilot_until(pilot, lambda: "No Docker Engine answers." in screen_text(pilot))
        assert "no answer yet" in screen_text(pilot)


async def test_escape_stays_on_list_after_answer() -> None:
    async with opened(Pretend({"web": EXITED})) as pilot:
        await pilot.press("escape", "h")
        await pilot.pause()
        assert pilot.app.screen is listed(pilot)


async def test_early_keys_wait_for_their_screen() -> None:
    async with opened(Pretend({"broken": EXITED, "whole": EXITED})) as pilot:
        screen = ContainersScreen()
        pilot.app.push_screen(screen)
        for key in "/broken":
            pilot.app.post_message(events.Key("slash" if key == "/" else key, key))
        await pilot_until(pilot, lambda: screen.is_mounted and screen.choices.filter_text == "broken")
        assert [row.name for row in screen.rows.containers] == ["broken"]
