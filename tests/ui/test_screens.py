"""Every screen as a picture, from the sample."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.support.waiting import settle
from tui.services.discover import Discovery, FailedAttempt, open_sample
from tui.ui.actions import actions_of
from tui.ui.app import DtuiApp
from tui.ui.screens.bench import BenchScreen
from tui.ui.screens.containers import ContainersScreen
from tui.ui.screens.disk import DiskScreen
from tui.ui.screens.layer import LayerScreen
from tui.ui.screens.logs import LogsScreen
from tui.ui.screens.welcome import WelcomeScreen
from tui.ui.widgets.rows import VirtualList

Steps = Callable[[Pilot[int]], Awaitable[None]]


@pytest.fixture
def sample() -> Iterator[Discovery]:
    """The sample at a path that does not change, for it is shown; one test at a time has it."""
    root = Path("/tmp/dtui-snapshot")
    with open(f"{root}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        found = open_sample(root)
        yield found
        found.close()
        shutil.rmtree(root)


async def first(pilot: Pilot[int]) -> None:
    await settle(pilot)
    await pilot.press("down")
    await settle(pilot)


async def by_driver(pilot: Pilot[int]) -> None:
    await first(pilot)
    await pilot.press("g")
    await settle(pilot)


async def layer(pilot: Pilot[int]) -> None:
    await first(pilot)
    await pilot.press("enter")
    await settle(pilot)
    await pilot.press("/", *"s.css", "enter")
    await settle(pilot)


async def merged(pilot: Pilot[int]) -> None:
    await layer(pilot)
    await pilot.press("m")
    await settle(pilot)


async def disk(pilot: Pilot[int]) -> None:
    await first(pilot)
    await pilot.press("D")
    await settle(pilot)


async def save(pilot: Pilot[int]) -> None:
    await layer(pilot)
    await pilot.press("e")
    await settle(pilot)
    await pilot.press("end", "x", "ctrl+s")
    await settle(pilot)


async def keys(pilot: Pilot[int]) -> None:
    await first(pilot)
    await pilot.press("question_mark")
    await settle(pilot)


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        (first, (120, 30)),
        (first, (80, 24)),
        (by_driver, (120, 30)),
        (layer, (120, 30)),
        (layer, (80, 24)),
        (merged, (120, 30)),
        (save, (120, 30)),
        (disk, (120, 30)),
        (disk, (80, 24)),
        (keys, (120, 30)),
    ],
    ids=lambda value: value.__name__ if callable(value) else f"{value[0]}x{value[1]}",
)
def test_a_screen_looks_as_it_did(snap_compare: Any, sample: Discovery, steps: Steps, size: tuple[int, int]) -> None:
    assert snap_compare(DtuiApp(sample.endpoints), run_before=steps, terminal_size=size)


def test_the_welcome_page_looks_as_it_did(snap_compare: Any) -> None:
    tried = (
        FailedAttempt("unix:///var/run/docker.sock", "permission denied; run dtui as root, or join the docker group"),
    )
    assert snap_compare(DtuiApp((), tried), terminal_size=(100, 30))


async def test_every_action_has_one_handler(sample: Discovery) -> None:
    endpoint = sample.endpoints[0]
    container = next(iter(endpoint.snapshot()))
    app = DtuiApp(sample.endpoints)
    screens = (
        ContainersScreen(),
        LayerScreen(container),
        LogsScreen(container),
        BenchScreen(endpoint),
        DiskScreen(endpoint.name),
        WelcomeScreen(),
    )
    async with app.run_test():
        for screen in screens:
            for scope, prefix in (*screen.palette, (screen.scope, "")):
                for action in actions_of(scope):
                    owners = [o for o in (screen, *screen.commands) if hasattr(o, f"action_{prefix}{action.id}")]
                    assert len(owners) == 1 or not action.own, (screen, action.id, owners)
    for cls, scope in ((VirtualList, "move"), (DtuiApp, "app")):
        assert not [action.id for action in actions_of(scope) if not hasattr(cls, f"action_{action.id}")]


async def test_unavailable_key_gives_reason(sample: Discovery) -> None:
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await first(pilot)
        await pilot.press("s")
        await pilot.pause()
        assert "without its daemon" in app.screen.query_one("StatusLine").message.plain  # type: ignore[attr-defined]


async def test_palette_offers_screen_actions(sample: Discovery) -> None:
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await first(pilot)
        titles = {command.title for command in app.get_system_commands(app.screen)}
    assert {"Layer", "Logs", "Filter", "Bench", "Help", "Quit"} <= titles
    assert not {"Start", "Kill", "Stop"} & titles  # nothing runs a data-root that is read without its daemon


async def test_palette_offers_editor_while_editing(sample: Discovery) -> None:
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await layer(pilot)
        before = {command.title for command in app.get_system_commands(app.screen)}
        await pilot.press("e")
        await settle(pilot)
        during = {command.title for command in app.get_system_commands(app.screen)}
    assert "Delete" in before
    assert "Save" not in before
    assert "Save" in during
    assert "Delete" not in during


async def test_cursor_follows_container_on_sort(sample: Discovery) -> None:
    from tui.ui.widgets.container_rows import ContainerRows

    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await first(pilot)
        rows = app.screen.query_one("#rows", ContainerRows)
        assert rows.current is not None
        name = rows.current.name
        await pilot.press("o")
        await pilot.pause()
        assert rows.current is not None
        assert rows.current.name == name
