"""Lists: what is on the screen when they grow, shrink, overflow and scroll."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import Static

from tests.support.waiting import pilot_until
from tui.engine.endpoint import LogLine
from tui.ui.widgets.log_pane import LogPane, LogReader
from tui.ui.widgets.rows import VirtualList


class Numbers(VirtualList):
    """As many rows as it is told."""

    header_height = 1
    rows = 3

    def count(self) -> int:
        return self.rows

    def row(self, index: int, width: int) -> Text:
        return Text(f"row {index}".ljust(width - 1) + "|")

    def header(self, width: int) -> Text:
        return Text("title")


class Lists(App[None]):
    CSS = "Numbers { height: 1fr; } #below { height: 2; } #log { height: 8; border: round red; }"

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[int] = []

    def compose(self) -> ComposeResult:
        yield Numbers(classes="pane")
        yield LogPane(id="log")
        yield Static(id="below")

    def on_rows_moved(self, event: VirtualList.Moved) -> None:
        self.chosen.append(event.index)

    @property
    def numbers(self) -> Numbers:
        return self.query_one(Numbers)

    @property
    def log_pane(self) -> LogPane:
        return self.query_one(LogPane)


def shown(rows: VirtualList) -> list[str]:
    """Return the lines of a list that no scrollbar covers, as the compositor paints them."""
    height = rows.scrollable_content_region.height
    return [rows.render_line(y).text.rstrip() for y in range(height)]


async def test_last_row_of_long_list_is_visible() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        app.numbers.rows = 60
        app.numbers.rows_changed()
        await pilot.pause()
        app.numbers.focus()
        await pilot.press("end")
        await pilot.pause()
        assert not app.numbers.show_horizontal_scrollbar
        assert shown(app.numbers)[-1].startswith("row 59")
        assert shown(app.numbers)[-1].endswith("|"), "the scrollbar covers the end of the row"


async def test_cursor_row_stays_visible_on_shrink() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        app.numbers.rows = 60
        app.numbers.rows_changed()
        await pilot.pause()
        app.numbers.cursor = 12
        await pilot.pause()
        app.query_one("#below").styles.height = 9
        await pilot.pause()
        assert any(line.startswith("row 12 ") for line in shown(app.numbers))


async def test_grown_list_scrolls_to_cursor() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        await pilot.pause()
        app.numbers.rows = 3000
        app.numbers.rows_changed()
        app.numbers.cursor = 2956
        await pilot.pause()
        assert any(line.startswith("row 2956") for line in shown(app.numbers))


async def test_click_in_bordered_list_hits_its_row() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        app.numbers.styles.border = ("round", "red")
        await pilot.pause()
        await pilot.click(Numbers, offset=(3, 4))
        assert app.numbers.cursor == 2, "border, title, then rows 0, 1 and 2"


def lines(*texts: str) -> tuple[LogLine, ...]:
    return tuple(LogLine(text.encode(), time=datetime.fromtimestamp(0, UTC)) for text in texts)


async def test_followed_log_shows_last_line() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        pane = app.log_pane
        pane.wrap = False
        await pilot.pause()
        reader = LogReader(lambda: iter(()), pane.post_message)  # type: ignore[arg-type, return-value]
        pane._reader = reader
        pane.post_message(LogPane.Arrived(reader, lines(*(f"line {i} " + "x" * 80 for i in range(40))), False))
        await pilot_until(pilot, lambda: "line 39" in shown(pane)[-1])
        assert "line 39" in shown(pane)[-1]
        pane.styles.height = 5
        await pilot_until(pilot, lambda: len(shown(pane)) < 5 and "line 39" in shown(pane)[-1])
        assert "line 39" in shown(pane)[-1]


@pytest.mark.promise("streams-bounded")
async def test_log_memory_is_bounded() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        pane = app.log_pane
        pane.wrap = False
        await pilot.pause()
        pane._reader = LogReader(lambda: iter(()), pane.post_message)  # type: ignore[arg-type, return-value]
        for number in range(70):
            fresh = lines(*(f"{number} " + "x" * 65_000 for _ in range(4)))
            pane.post_message(LogPane.Arrived(pane._reader, fresh, False))
        await pilot.pause()
        assert pane.lines[-1].startswith(" 00:00:00 69 ")
        assert sum(map(len, pane.lines)) <= 16 << 20
        assert len(pane._sources) == len(pane.lines), "what a search takes as shown is what is shown"
        assert not pane.is_complete


async def test_log_wraps_lines_and_marks_stderr() -> None:
    app = Lists()
    async with app.run_test(size=(40, 24)) as pilot:
        pane = app.log_pane
        await pilot.pause()
        pane._reader = LogReader(lambda: iter(()), pane.post_message)  # type: ignore[arg-type, return-value]
        whole = "the end of this long line says what was wrong: needle"
        fresh = (*lines("short"), replace(lines(whole)[0], error=True), *lines("last"))
        pane.post_message(LogPane.Arrived(pane._reader, fresh, False))
        await pilot.pause()
        seen = shown(pane)
        assert seen[0] == " 00:00:00 short"
        assert seen[1].startswith("!00:00:00 the end")
        assert "".join(line.removeprefix("   ") for line in seen[1:3]).endswith("needle")
        assert not pane.show_horizontal_scrollbar
        pane.needle = "WRONG: NEEDLE"
        assert pane.find(1) == 1, "a match over the break is found"
        pane.wrap = False
        await pilot.pause()
        assert [line[:15] for line in shown(pane)[:3]] == [" 00:00:00 short", "!00:00:00 the e", " 00:00:00 last"]
        assert pane.show_horizontal_scrollbar
