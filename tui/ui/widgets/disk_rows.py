"""What is in a data-root as a list: size, owner, what it is, id, and the names that refer to each."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from tui.core.text import human_size, printable
from tui.inventory.entries import DiskEntry
from tui.inventory.references import Owner
from tui.ui.widgets.rows import VirtualList

_STYLES = {
    Owner.CONTAINER: "green",
    Owner.ORPHAN: "red",
    Owner.CACHE: "yellow",
    Owner.UNUSED: "yellow",
    Owner.ENGINE: "dim",
    Owner.UNKNOWN: "yellow",
    Owner.INIT: "dim",
}
_ORDER = (
    Owner.ORPHAN,
    Owner.UNUSED,
    Owner.UNKNOWN,
    Owner.CACHE,
    Owner.CONTAINER,
    Owner.INIT,
    Owner.IMAGE,
    Owner.ENGINE,
)
"""Sort order of owners; those that may need attention come first."""

SORTS = ("size", "owner")


def no_owner_reason(entry: DiskEntry) -> str:
    """Return why no name refers to an entry."""
    if entry.owner is Owner.UNKNOWN:
        return "a record that may refer to it cannot be read"
    if entry.owner is Owner.UNUSED:
        return "no container mounts it"
    if entry.owner is Owner.ENGINE:
        return "the Engine's own"
    return "nothing refers to it"


def matches(entry: DiskEntry, filter_text: str) -> bool:
    """Return whether every word occurs in an entry's names, owner, id, path or what it is."""
    words = (*entry.names, entry.owner.value, entry.label, entry.type.value, entry.id, str(entry.path))
    haystack = " ".join(words).lower()
    return all(word in haystack for word in filter_text.lower().split())


class DiskRows(VirtualList):
    """Entries of a data-root; sizes are filled in as they are counted."""

    header_height = 1

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.entries: tuple[DiskEntry, ...] = ()
        self.sizes: dict[Path, int | None] = {}
        self.sort = SORTS[0]
        self.note = "reading the data-root…"

    @property
    def current(self) -> DiskEntry | None:
        """The entry under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def show(self, entries: tuple[DiskEntry, ...], note: str = "") -> None:
        """Show these entries, sorted; the cursor stays on its entry, or on the first row if it is there."""
        current = self.current if self.cursor else None
        self.note = note
        by_size = {entry.path: -(self.sizes.get(entry.path) or 0) for entry in entries}
        if self.sort == "size":
            ordered = sorted(entries, key=lambda entry: (by_size[entry.path], _ORDER.index(entry.owner)))
        else:
            ordered = sorted(entries, key=lambda entry: (_ORDER.index(entry.owner), entry.names, by_size[entry.path]))
        self.entries = tuple(ordered)
        self.rows_changed()
        if current:
            self.cursor = next((i for i, entry in enumerate(ordered) if entry.path == current.path), self.cursor)
        self.post_message(self.Moved(self, self.cursor))

    def sized(self, path: Path, size: int | None) -> None:
        """Fill in a size; None if it cannot be counted."""
        self.sizes[path] = size
        self.refresh()

    def count(self) -> int:
        return len(self.entries) or 1

    def header(self, width: int) -> Text:
        del width
        return Text(f" {'size':>10}  {'owner':<12} {'what':<15} {'id':<13} of")

    def row(self, index: int, width: int) -> Text:
        if not self.entries:
            return Text(f" {self.note}", style="dim")
        entry = self.entries[index]
        size = human_size(self.sizes[entry.path]) if entry.path in self.sizes else "…"
        names = ", ".join(map(printable, entry.names)) or no_owner_reason(entry)
        line = Text(f" {size:>10}  ")
        line.append(f"{entry.owner.value:<12} ", style=_STYLES.get(entry.owner, ""))
        line.append(f"{printable(entry.label)[:15]:<15} {printable(entry.id)[:12]:<13} ", style="dim")
        line.append(names, style="" if entry.names else "dim")
        line.truncate(width, overflow="ellipsis")
        return line
