"""The disk screen: everything in a data-root, with its size, its owner, and what refers to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from tui.core.errors import DtuiError, NotReachable
from tui.core.text import count_of, human_size, printable
from tui.inventory.disk import inventory, space_of
from tui.inventory.entries import DiskEntry
from tui.inventory.references import Owner
from tui.ui.actions import screen_bindings
from tui.ui.screens.base import BaseScreen, set_title
from tui.ui.widgets.disk_rows import SORTS, DiskRows, matches, no_owner_reason
from tui.ui.widgets.lines import Line


class EntriesListed(Message):
    """The data-root was read, or could not be read."""

    def __init__(self, root: Path | None, entries: tuple[DiskEntry, ...], error: DtuiError | None = None) -> None:
        super().__init__()
        self.root = root
        self.entries = entries
        self.error = error


class EntrySized(Message):
    """The size of one directory is known; None if it cannot be counted."""

    def __init__(self, path: Path, size: int | None) -> None:
        super().__init__()
        self.path = path
        self.size = size


class SizesCounted(Message):
    """The sizes of all directories are known."""


class DiskScreen(BaseScreen):
    """What fills one endpoint's data-root. Orphans are shown, never removed."""

    scope = "disk"
    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("disk")
    DEFAULT_CSS = """
    DiskScreen #disk-list { height: 1fr; }
    DiskScreen #disk-rows { height: 1fr; }
    DiskScreen #disk-detail { height: 4; padding: 0 1; }
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._counted = False
        self._entries: tuple[DiskEntry, ...] = ()
        self._filter = Line(self._take_filter, placeholder="owner, name, id or path", id="filter", hidden=True)

    def body(self) -> ComposeResult:
        with Vertical(id="disk-list", classes="pane"):
            yield self._filter
            yield DiskRows(id="disk-rows")
        yield Static(id="disk-detail", classes="pane")

    @property
    def rows(self) -> DiskRows:
        """The list."""
        return self.query_one("#disk-rows", DiskRows)

    def on_mount(self) -> None:
        """Read the data-root in the background."""
        self.title_line.left = Text.assemble(("dtui", "bold"), f" ▸ disk ▸ {printable(self._endpoint)}")
        set_title(self.query_one("#disk-list"), "data-root", f"sort: {self.rows.sort}")
        self.rows.focus()
        self.action_refresh()

    def action_refresh(self) -> None:
        """Read the data-root again."""
        self._counted = False
        self.read(f"the data-root of {self._endpoint}", self._read, group="disk", exclusive=True)

    def _read(self) -> None:
        worker = get_current_worker()
        try:
            facts = self.host.endpoint(self._endpoint).facts()
            if not facts.local:
                raise NotReachable("its data-root is on another host", "run dtui there")
            root = Path(facts.data_root or "/var/lib/docker")
            entries = inventory(root)
        except DtuiError as error:
            self.post_message(EntriesListed(None, (), error))
            return
        self.post_message(EntriesListed(root, entries))
        for entry in entries:
            if worker.is_cancelled:
                return
            self.post_message(EntrySized(entry.path, _size_of(entry, lambda: worker.is_cancelled)))
        self.post_message(SizesCounted())

    @on(EntriesListed)
    def _listed(self, event: EntriesListed) -> None:
        if event.error:
            self.rows.show((), printable(event.error.message))
            self.tell_error(event.error)
            return
        set_title(self.query_one("#disk-list"), str(event.root))
        self._entries = event.entries
        self._show()

    @on(EntrySized)
    def _sized(self, event: EntrySized) -> None:
        self.rows.sized(event.path, event.size)
        self._sum_up()

    @on(SizesCounted)
    def _all_counted(self) -> None:
        self._counted = True
        self._show()

    def _show(self) -> None:
        """Show the entries that match the filter."""
        text = self._filter.value
        note = "nothing matches the filter" if self._entries else "this data-root is empty"
        self.rows.show(tuple(entry for entry in self._entries if matches(entry, text)), note)
        subtitle = f"sort: {self.rows.sort}" + (f" · filter: {printable(text)}" if text else "")
        self.query_one("#disk-list").border_subtitle = subtitle
        self._sum_up()

    def _sum_up(self) -> None:
        entries, sizes = self.rows.entries, self.rows.sizes
        total = sum(sizes.get(entry.path) or 0 for entry in entries)
        orphans = [entry for entry in entries if entry.owner is Owner.ORPHAN]
        lost = sum(sizes.get(entry.path) or 0 for entry in orphans)
        parts = [count_of(len(entries), "entry", "entries"), human_size(total) + ("" if self._counted else " so far")]
        if orphans:
            parts.append(f"{count_of(len(orphans), 'orphan')} ({human_size(lost)})")
        self.title_line.right = Text(" · ".join(parts))
        self._show_detail()

    @on(DiskRows.Moved, "#disk-rows")
    def _show_detail(self) -> None:
        entry = self.rows.current
        detail = self.query_one("#disk-detail", Static)
        if entry is None:
            detail.update("")
            return
        names = ", ".join(map(printable, entry.names)) or f"{no_owner_reason(entry)}; dtui never removes it"
        lines = (f"{entry.owner.value}: {names}", printable(str(entry.path)))
        detail.update(Text("\n").join(Text(line) for line in lines))
        self.refresh_bindings()

    @on(DiskRows.Chosen, "#disk-rows")
    def action_open_owner(self) -> None:
        """Open the layer of the container under the cursor."""
        entry = self.rows.current
        container = entry and self.host.feed.find((self._endpoint, entry.container_id))
        if container:
            self.host.open_layer(container)

    def disabled_reason(self, action: str) -> str:
        """Return why an action is not possible now; only a container's layer can be opened."""
        entry = self.rows.current
        if action == "open_owner" and not (entry and entry.container_id):
            return "no container owns it" if entry else "there is nothing here"
        return ""

    def hides(self, action: str) -> bool:
        """Hide actions that need a layer while the list is empty."""
        filtering = self._filter.display
        if (action == "clear_filter" and not filtering) or (action == "back" and filtering):
            return True
        return super().hides(action) or (action == "open_owner" and self.rows.current is None)

    @property
    def subject(self) -> Hashable:
        """The directory under the cursor."""
        return self.rows.current and self.rows.current.path

    def action_sort(self) -> None:
        self.rows.sort = SORTS[(SORTS.index(self.rows.sort) + 1) % len(SORTS)]
        self._show()

    def action_filter(self) -> None:
        """Show the line to type a filter."""
        self._filter.show()

    def action_clear_filter(self) -> None:
        """Clear the filter and hide its line."""
        self._filter.value = ""
        self._filter.hide()
        self.rows.focus()

    def _take_filter(self, text: str) -> None:
        if not text:
            self._filter.hide()
        self.rows.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        self._show()
        self.refresh_bindings()

    def action_back(self) -> None:
        self.dismiss()


def _size_of(entry: DiskEntry, stop: Callable[[], bool]) -> int | None:
    try:
        return space_of(entry, stop)
    except DtuiError:
        return None
