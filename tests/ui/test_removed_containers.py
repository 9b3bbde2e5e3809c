"""A container that is removed while it is looked at: what is said, and what becomes of text."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Layer, Open
from tests.ui.test_container_commands import opened, status
from tui.core.records import Event, State
from tui.engine.endpoint import LogLine
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.feed_messages import EngineEvent
from tui.ui.screens import logs
from tui.ui.screens.logs import LogsScreen
from tui.ui.widgets.log_pane import LogPane

PATH = b"/app/server.json"


async def remove(layer: Layer, *, told: bool) -> None:
    """Take the container out of the list, by an event or without one."""
    pilot, screen = layer
    app = screen.app
    await pilot_until(pilot, lambda: app.feed.answered)
    if told:
        screen.post_message(EngineEvent(screen.held.record.endpoint, Event("destroy", screen.held.record.id)))
    else:
        source = app.feed.sources[0]
        app.feed = app.feed.with_source(replace(source, containers=()))
    await pilot_until(pilot, lambda: screen.held.is_removed)


def kept_in(told: str) -> bytes:
    """Return what is in the file that a sentence ends with, which nobody else can read."""
    kept = Path(told.rpartition(" ")[2])
    assert kept.stat().st_mode & 0o777 == 0o600
    return kept.read_bytes()


@pytest.mark.parametrize("told", [True, False])
async def test_layer_of_removed_container_is_inert(open_layer: Open, told: bool) -> None:
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await remove((pilot, screen), told=told)
        assert "web was removed: esc goes back" in screen.status.message.plain
        await pilot_until(pilot, lambda: "esc back" in screen_text(pilot) and "d delete" not in screen_text(pilot))
        words = screen_text(pilot)
        assert "∅ removed" in words.splitlines()[0]
        offers = words.splitlines()[-1]
        assert not [offer for offer in ("start", "edit", "delete", "undo", "revert") if offer in offers]
        assert "esc back" in offers
        for key in ("s", "e", "d", "u", "f5"):
            screen.tell("")
            await pilot.press(key)
            await pilot_until(pilot, lambda: bool(screen.status.message.plain))
            assert "web is gone: esc goes back" in screen.status.message.plain, key


async def test_removed_containers_text_is_copied(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x")
        await remove((pilot, screen), told=True)
        assert "esc lets you keep your text" in screen.status.message.plain
        assert "∅ removed" in screen_text(pilot).splitlines()[0]
        screen.tell("")
        await pilot.press("ctrl+s")
        await pilot_until(pilot, lambda: "web was removed: nothing can be saved into it" in screen.status.message.plain)
        assert "web was removed: nothing can be saved into it" in screen.status.message.plain
        await pilot.press("escape")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        asked = " ".join(screen_text(pilot).split())
        assert "web was removed: this text cannot be saved into it" in asked
        assert "k keep a copy on this host" in asked
        assert "s save" not in asked.partition("web was removed")[2].partition("esc cancel")[0]
        await pilot.press("k")
        await pilot_until(pilot, lambda: not screen.file_pane.editing)
        assert kept_in(screen.status.message.plain).startswith(b"x{")


async def test_failed_copy_leaves_text_in_editor(open_layer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_data: bytes) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tui.ui.commands.edit_and_save.keep_copy", full)
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x", "escape")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        await pilot.press("k")
        await pilot_until(pilot, lambda: "No space left" in screen.status.message.plain)
        assert "the text is still here" in screen.status.message.plain
        assert screen.file_pane.area.text.startswith("x{")
        assert screen.file_pane.editing


class Logged(Pretend):
    """An Engine whose containers write one line, and whose logs end when the test says so."""

    def __init__(self, states: dict[str, State]) -> None:
        super().__init__(states)
        self.ended = threading.Event()
        self.opened = 0

    def logs(self, container_id: str, *, follow: bool, tail: int) -> Log:  # type: ignore[override]
        del container_id, tail
        self.opened += follow
        return Log(self.ended if follow else threading.Event())


class Log:
    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield LogLine(b"hello")
        self._ended.wait(10)

    def close(self) -> None:
        self._ended.set()


async def test_ended_log_offers_container_start() -> None:
    engine = Logged({"web": State.RUNNING})
    async with opened(engine, (80, 24)) as pilot:
        await pilot.press("l")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, LogsScreen) and "hello" in screen_text(pilot))
        engine.move("web", State.EXITED, "die", exit_code=1)
        engine.ended.set()
        await pilot_until(pilot, lambda: "web has ended: s starts it again" in status(pilot))
        await pilot_until(pilot, lambda: "s start" in screen_text(pilot).splitlines()[-1])
        assert "s start" in screen_text(pilot).splitlines()[-1]
        engine.ended.clear()
        await pilot.press("s")
        await pilot_until(pilot, lambda: "web started" in status(pilot))
        await pilot_until(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("S")
        await pilot_until(pilot, lambda: "Stop web?" in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(pilot, lambda: len(engine.acts) == 2)
    assert [verb.value for _, verb in engine.acts] == ["start", "stop"]


async def test_ended_log_waits_for_container_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, ended = Logged({"web": State.RUNNING}), asyncio.Event()
    arrived = LogPane.on_log_pane_arrived

    def watched(pane: LogPane, event: LogPane.Arrived) -> None:
        arrived(pane, event)
        if event.ended:
            ended.set()

    monkeypatch.setattr(LogPane, "on_log_pane_arrived", watched)
    async with opened(engine, (80, 24)) as pilot:
        await pilot.press("l")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, LogsScreen) and "hello" in screen_text(pilot))
        engine.ended.set()
        await asyncio.wait_for(ended.wait(), 10)
        await pilot.pause()
        assert "has ended" not in status(pilot)
        engine.move("web", State.EXITED, "die", exit_code=1)
        await pilot_until(pilot, lambda: "web has ended: s starts it again" in status(pilot))


async def test_log_of_live_container_is_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_AGAIN", 0.1)
    engine = Logged({"web": State.RUNNING})
    async with opened(engine, (80, 24)) as pilot:
        await pilot.press("l")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, LogsScreen) and "hello" in screen_text(pilot))
        first = engine.opened
        engine.ended.set()
        await pilot_until(pilot, lambda: engine.opened > first + 1)
        engine.ended.clear()
        await pilot_until(pilot, lambda: "hello" in screen_text(pilot))
        assert "has ended" not in status(pilot)


async def test_removed_containers_log_has_no_start() -> None:
    engine = Logged({"web": State.RUNNING})
    async with opened(engine, (80, 24)) as pilot:
        await pilot.press("l")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, LogsScreen) and "hello" in screen_text(pilot))
        engine.ended.set()
        engine.move("web", None, "die", "destroy")
        await pilot_until(pilot, lambda: "web was removed: its log ends here" in status(pilot))
        await pilot_until(pilot, lambda: "∅ removed" in screen_text(pilot))
        await pilot_until(
            pilot, lambda: "esc back" in screen_text(pilot) and "s start" not in screen_text(pilot).splitlines()[-1]
        )
        assert "esc back" in screen_text(pilot).splitlines()[-1]
        await pilot.press("s")
        await pilot_until(pilot, lambda: "web is gone" in status(pilot))
    assert engine.acts == []
