"""Whatever ends the app, the text of the editor is kept and the end is told."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import ComposeResult
from textual.widgets import Static

from tests.support.waiting import pilot_until
from tests.ui.conftest import Open
from tui.files.texts import unsaved
from tui.files.texts.recovered import told_once
from tui.files.texts.unsaved import Unsaved, keep_copy, keep_to_tell
from tui.ui.app import DtuiApp
from tui.ui.ending import AppEnded
from tui.ui.screens.base import BaseScreen
from tui.ui.screens.layer import LayerScreen
from tui.ui.screens.logs import LogsScreen

pytestmark = pytest.mark.promise("text-survives-any-exception")

PATH = b"/app/server.json"


class Foreseen(Exception):
    """What nobody foresaw."""


def fail(*_: object) -> None:
    raise Foreseen("boom")


async def fail_soon() -> None:
    fail()


class Bad(BaseScreen):
    """A screen that cannot be composed."""

    def body(self) -> ComposeResult:
        fail()
        yield Static()


def deeper() -> None:
    deeper()


def by_render(app: DtuiApp, screen: LayerScreen) -> None:
    screen.file_pane.area.render_line = fail  # type: ignore[assignment]
    screen.file_pane.area.refresh()


def by_watch(app: DtuiApp, screen: LayerScreen) -> None:
    screen.file_pane.area.watch_cursor_blink = fail  # type: ignore[attr-defined]
    app.call_later(setattr, screen.file_pane.area, "cursor_blink", False)


PLACES: dict[str, Callable[[DtuiApp, LayerScreen], object]] = {
    "handler": lambda app, _: app.call_later(fail),
    "widget": lambda _, screen: screen.file_pane.area.call_later(fail),
    "refresh": lambda app, _: app.call_after_refresh(fail),
    "timer": lambda _, screen: screen.set_timer(0.001, fail),
    "worker": lambda _, screen: screen.run_worker(fail_soon()),
    "thread": lambda _, screen: screen.run_worker(fail, thread=True),
    "render": by_render,
    "compose": lambda app, _: app.push_screen(Bad()),
    "watch": by_watch,
    "recursion": lambda app, _: app.call_later(deeper),
    "memory": lambda app, _: app.call_later(lambda: bytearray(1 << 62)),
}


def texts(state: Path) -> list[bytes]:
    folder = state / "unsaved"
    return [file.read_bytes() for file in folder.iterdir() if not file.suffix] if folder.exists() else []


@pytest.mark.promise("app-error-exit-code")
@pytest.mark.parametrize("place", PLACES)
async def test_crash_keeps_text_and_exits_1(
    open_layer: Open, private_state: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place in ("worker", "thread"):
        monkeypatch.setenv("DTUI_TRACEBACK", "1")  # without it the app goes on
    app = None
    with pytest.raises(Exception):  # noqa: B017, PT011, PT012 - whichever it was, it is raised again
        async with open_layer(PATH) as (pilot, screen):
            app = screen.app
            await pilot.press("x")
            text = screen.file_pane.area.text.encode()
            PLACES[place](app, screen)
            await pilot_until(pilot, lambda: app.ending.ended_by_error)
    assert app is not None
    assert app.return_code == 1
    assert texts(private_state) == [text]
    with pytest.raises(AppEnded, match=r"web:/app/server.json is kept in .*; DTUI_TRACEBACK=1") as caught:
        app.ending.tell(in_order=False)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    (told,) = told_once()
    assert "web:/app/server.json" in told


@pytest.mark.promise("app-error-exit-code")
async def test_end_while_screen_opens_is_no_error(open_layer: Open) -> None:
    async with open_layer() as (_, screen):
        app = screen.app
        app.push_screen(LogsScreen(screen.held.record))
        app.exit(129)
    assert app.ending.error is None
    assert app.return_value == 129


@pytest.mark.promise("text-survives-any-exception")
@pytest.mark.parametrize("place", ["worker", "thread"])
async def test_worker_exception_keeps_app_and_text(open_layer: Open, place: str) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x")
        text = screen.file_pane.area.text
        PLACES[place](screen.app, screen)
        await pilot_until(pilot, lambda: "this should not happen" in screen.status.message.plain)
        assert screen.file_pane.area.text == text
        assert screen.app.is_running


async def test_crash_keeps_each_screens_text_once(open_layer: Open, private_state: Path) -> None:
    with pytest.raises(Foreseen):  # noqa: PT012
        async with open_layer(PATH) as (pilot, screen):
            await pilot.press("x")
            app = screen.app
            app.open_layer(screen.held.record, b"/app/start.sh", edit=True)
            await pilot_until(pilot, lambda: app.screen is not screen and app.screen.file_pane.editing)  # type: ignore[attr-defined]
            await pilot.press("y")
            app.keep_texts()
            app.call_later(fail)
            app.call_later(fail)
            await pilot_until(pilot, lambda: app.ending.ended_by_error)
    kept = sorted(text[:2] for text in texts(private_state))
    assert kept == [b"x{", b"y#"]


async def test_failing_screen_loses_no_other_text(
    open_layer: Open, private_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Foreseen):  # noqa: PT012
        async with open_layer(PATH) as (pilot, screen):
            await pilot.press("x")
            app = screen.app
            other = Bad()
            monkeypatch.setattr(Bad, "unsaved_text", property(fail))
            app.ending.keep([other])
            app.call_later(fail)
            await pilot_until(pilot, lambda: app.ending.ended_by_error)
    assert len(texts(private_state)) == 1


async def test_discarded_text_leaves_no_copy(open_layer: Open, private_state: Path) -> None:
    async with open_layer(PATH) as (pilot, screen):
        app = screen.app
        await pilot.press("x")
        app.exit(0)
        await pilot.pause()
    assert texts(private_state) == []
    app.ending.tell(in_order=True)


async def test_unexplained_exit_keeps_text(open_layer: Open, private_state: Path) -> None:
    async with open_layer(PATH) as (pilot, screen):
        app = screen.app
        await pilot.press("x")
        app._close_messages_no_wait()
    assert len(texts(private_state)) == 1
    with pytest.raises(AppEnded, match="for an unknown reason"):
        app.ending.tell(in_order=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
async def test_signal_keeps_text_at_once(open_layer: Open, private_state: Path, number: signal.Signals) -> None:
    async with open_layer(PATH) as (pilot, screen):
        app = screen.app
        await pilot.press("x")
        os.kill(os.getpid(), number)
        assert len(texts(private_state)) == 1
        await pilot_until(pilot, lambda: app._exit)
    assert len(texts(private_state)) == 1
    with pytest.raises(AppEnded, match=f"ended by {number.name}; unsaved text of") as caught:
        app.ending.tell(in_order=True)
    assert caught.value.exit_code == 128 + number


async def test_suspend_restores_terminal_on_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = DtuiApp(())
    async with app.run_test():
        driver = app._driver
        assert driver is not None
        calls: list[str] = []
        monkeypatch.setattr(type(driver), "can_suspend", True)
        monkeypatch.setattr(type(driver), "suspend_application_mode", lambda _: calls.append("lent"))
        monkeypatch.setattr(type(driver), "resume_application_mode", lambda _: calls.append("back"))
        for error in (Foreseen, KeyboardInterrupt):
            with pytest.raises(error), app.suspend():
                raise error
        assert calls == ["lent", "back"] * 2


def test_text_copy_has_fallback_directory(private_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("DTUI_STATE", "/proc/no/such")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    kept = keep_to_tell(Unsaved(b"mine", "web", b"/x"))
    assert kept.parent == tmp_path / "tmp"
    assert kept.read_bytes() == b"mine"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [kept] == list((tmp_path / "tmp").iterdir())


def test_failed_text_copy_leaves_no_file(private_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unsaved.os, "fsync", full)
    monkeypatch.setattr(unsaved, "_ELSEWHERE", ())
    with pytest.raises(OSError, match="No space left"):
        keep_copy(b"mine")
    assert not list((private_state / "unsaved").iterdir())


class Rough(BaseException):
    """What is derived from nothing that Textual handles."""


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, Rough])
@pytest.mark.parametrize("place", ["refresh", "compose", "render"])
async def test_base_exception_keeps_text(
    open_layer: Open, private_state: Path, place: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.Foreseen", error)
    app = None
    with pytest.raises(BaseException):  # noqa: B017, PT011, PT012 - it is raised again
        async with open_layer(PATH) as (pilot, screen):
            app = screen.app
            await pilot.press("x")
            PLACES[place](app, screen)
            await pilot_until(pilot, lambda: app.ending.ended_by_error)
    assert texts(private_state)[0].startswith(b"x{")
    assert app is not None
    assert app.return_code == 1


async def test_exit_in_a_worker_leaves_the_app(open_layer: Open) -> None:
    async with open_layer(PATH) as (pilot, screen):
        await pilot.press("x")
        screen.run_worker(lambda: exec("raise SystemExit(0)"), thread=True)
        await pilot_until(pilot, lambda: "this should not happen" in screen.status.message.plain)
        assert screen.file_pane.area.text.startswith("x{")
        assert screen.app.is_running
