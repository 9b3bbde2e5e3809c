"""A search in a log covers all of it, or says which part it covers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from textual.pilot import Pilot

from tests.support.scripted_engine import Pretend
from tests.support.waiting import pilot_until, screen_text
from tui.core.errors import EngineLost
from tui.core.records import State
from tui.engine.endpoint import LogLine
from tui.ui.app import DtuiApp
from tui.ui.screens.logs import LogsScreen
from tui.ui.widgets import log_pane
from tui.ui.widgets.log_pane import LogPane

START = datetime(2024, 1, 1, tzinfo=UTC)


class _Lines:
    def __init__(self, lines: list[LogLine], breaks_at: int, error: Exception) -> None:
        self._lines = lines
        self._breaks_at = breaks_at
        self._error = error

    def __iter__(self) -> Iterator[LogLine]:
        for number, line in enumerate(self._lines):
            if number == self._breaks_at:
                raise self._error
            yield line

    def close(self) -> None:
        pass


class Logging(Pretend):
    """An Engine whose container has written many lines; reading all of them may break off."""

    def __init__(self, texts: list[bytes], breaks_at: int = -1) -> None:
        super().__init__({"web": State.EXITED})
        self.lines = [LogLine(text, START + timedelta(milliseconds=at)) for at, text in enumerate(texts)]
        self.breaks_at = breaks_at
        self.breaks_with: Exception = EngineLost("the engine went away", "look whether it runs")
        self.asked: list[int | None] = []

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> _Lines:  # type: ignore[override]
        del container_id, follow
        self.asked.append(tail)
        if tail is None:
            return _Lines(self.lines, self.breaks_at, self.breaks_with)
        return _Lines(self.lines[-tail:], -1, self.breaks_with)


@asynccontextmanager
async def log_of(engine: Logging) -> AsyncIterator[tuple[Pilot[int], LogsScreen]]:
    app = DtuiApp((engine,))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot_until(pilot, lambda: "web" in screen_text(pilot))
        screen = LogsScreen(engine.rows[0])
        app.push_screen(screen)
        await pilot_until(pilot, lambda: screen.is_mounted and bool(screen.log_pane.lines))
        await pilot_until(pilot, lambda: len(screen.log_pane.lines) == min(2_000, len(engine.lines)))
        yield pilot, screen


async def search(pilot: Pilot[int], screen: LogsScreen, words: str, told: str) -> None:
    await pilot.press("slash", *words, "enter")
    await pilot_until(pilot, lambda: told in screen.status.message.plain)
    assert told in screen.status.message.plain


def numbered(count: int) -> list[bytes]:
    return [b"line %d of many" % number for number in range(1, count + 1)]


@pytest.mark.promise("log-search-whole")
async def test_search_finds_a_line_before_the_tail() -> None:
    engine = Logging(numbered(20_000))
    async with log_of(engine) as (pilot, screen):
        await search(pilot, screen, "line 77 ", "1 of 20,000 lines matched")
        await pilot_until(pilot, lambda: "line 77 of many" in screen_text(pilot))
        words = screen_text(pilot)
        assert "line 77 of many" in words
        assert "line 79 of many" in words
        assert "⋯ 17,921 lines not shown" in words
        assert "line 18001 of many" in words
        await pilot.press("home")
        await pilot_until(pilot, lambda: "line 75 of many" in screen_text(pilot))
        assert "⋯ 74 lines not shown" in screen_text(pilot)
    assert engine.asked == [2_000, None]


@pytest.mark.promise("log-search-whole")
async def test_search_counts_all_matches() -> None:
    engine = Logging(numbered(5_000))
    async with log_of(engine) as (pilot, screen):
        await search(pilot, screen, "00 of", "50 of 5,000 lines matched")
        for _ in range(21):
            await pilot.press("N")
        await pilot_until(pilot, lambda: "line 2900 of many" in screen_text(pilot))
        assert "line 2900 of many" in screen_text(pilot)
        await search(pilot, screen, "nothing like it", "none of 5,000 lines matches")


@pytest.mark.promise("log-search-whole")
async def test_small_log_is_searched_once() -> None:
    engine = Logging(numbered(1_999))
    async with log_of(engine) as (pilot, screen):
        await search(pilot, screen, "line 5 ", "1 line matched")
        await search(pilot, screen, "absent", "no line matches")
    assert engine.asked == [2_000]


@pytest.mark.promise("log-search-whole")
async def test_broken_search_reports_line_count() -> None:
    engine = Logging(numbered(5_000), breaks_at=1_000)
    async with log_of(engine) as (pilot, screen):
        told = "none of 3,000 lines matches; the search failed: the engine went away"
        await search(pilot, screen, "absent", told)


@pytest.mark.promise("log-search-whole")
async def test_search_ends_at_unexpected_error() -> None:
    engine = Logging(numbered(5_000), breaks_at=1_000)
    engine.breaks_with = ValueError("boom")
    async with log_of(engine) as (pilot, screen):
        told = "none of 3,000 lines matches; the search failed: ValueError: boom"
        await search(pilot, screen, "absent", told)


@pytest.mark.promise("log-search-whole")
async def test_long_log_mentions_earlier_lines() -> None:
    engine = Logging(numbered(2_500))
    async with log_of(engine) as (pilot, _):
        await pilot.press("home")
        await pilot_until(pilot, lambda: "earlier lines are not loaded" in screen_text(pilot))
        assert "⋯ earlier lines are not loaded: / searches them too" in screen_text(pilot)


@pytest.mark.promise("log-search-whole")
async def test_dropped_matches_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pane, "_KEPT", 2_000)
    engine = Logging(numbered(2_500))
    async with log_of(engine) as (pilot, screen):
        pane = screen.log_pane
        await search(pilot, screen, "line 501 ", "1 of 2,500 lines matched")
        reader = pane._reader
        assert reader is not None
        fresh = tuple(LogLine(b"busy", START) for _ in range(1_000))
        pane.on_log_pane_arrived(LogPane.Arrived(reader, fresh, ended=False))
        await pilot.press("n")
        await pilot_until(pilot, lambda: "3,500" in screen.status.message.plain)
        told = "1 of 3,500 lines matched; 1 of them are no longer shown: / searches again"
        assert told in screen.status.message.plain
        await pilot.press("home")
        await pilot_until(pilot, lambda: "1,000 lines not shown" in screen_text(pilot))
        assert "⋯ 1,000 lines not shown" in screen_text(pilot)


@pytest.mark.promise("log-search-whole")
async def test_rows_cut_at_the_top_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pane, "_KEPT", 60)
    engine = Logging([b"%d " % number + b"x" * 400 for number in range(30)])
    async with log_of(engine) as (pilot, screen):
        assert screen.log_pane.is_complete
        await pilot.press("home")
        await pilot_until(pilot, lambda: "earlier lines are not loaded" in screen_text(pilot))
        assert "earlier lines are not loaded" in screen_text(pilot)
