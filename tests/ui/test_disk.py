"""The disk page: the biggest layers first, and seen."""

from __future__ import annotations

from pathlib import Path

from textual.app import App, ComposeResult

from tui.core.records import Driver, DriverKind
from tui.inventory.entries import DiskEntry, EntryType
from tui.inventory.references import Owner
from tui.ui.widgets.disk_rows import DiskRows


class Disk(App[None]):
    def compose(self) -> ComposeResult:
        yield DiskRows()

    @property
    def rows(self) -> DiskRows:
        return self.query_one(DiskRows)


ENTRIES = tuple(
    DiskEntry(
        Path(f"/layers/{number:02}"),
        f"{number:02}",
        EntryType.LAYER,
        Owner.IMAGE,
        driver=Driver(DriverKind.GRAPH, "overlay2"),
    )
    for number in range(60)
)


def count(rows: DiskRows) -> None:
    """Find the later ones the larger, and sort by it."""
    for number, entry in enumerate(ENTRIES):
        rows.sized(entry.path, number)
    rows.show(rows.entries)


async def test_cursor_starts_on_biggest_layer() -> None:
    app = Disk()
    async with app.run_test(size=(80, 24)) as pilot:
        app.rows.show(ENTRIES)
        count(app.rows)
        await pilot.pause()
        assert app.rows.current == ENTRIES[-1]
        assert app.rows.scroll_y == 0


async def test_moved_cursor_stays_on_its_layer() -> None:
    app = Disk()
    async with app.run_test(size=(80, 24)) as pilot:
        app.rows.show(ENTRIES)
        app.rows.focus()
        await pilot.press("j", "j")
        count(app.rows)
        await pilot.pause()
        assert app.rows.current == ENTRIES[2]
        assert 0 < app.rows.cursor - int(app.rows.scroll_y) < app.rows.visible_rows
