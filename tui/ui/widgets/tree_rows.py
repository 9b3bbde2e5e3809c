"""The tree of a layer as a list of rows."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType

from tui.core.records import Entry, EntryKind, LayerStack, View
from tui.render.entries import tree_line
from tui.services.tree_model import TreeModel
from tui.ui.actions import screen_bindings
from tui.ui.widgets.rows import VirtualList


class TreeRows(VirtualList):
    """Lines of a :class:`TreeModel`; posts :class:`Wanted` for a directory that must be loaded."""

    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("layer", only=("open_entry",), below=True)

    class Wanted(VirtualList.Moved):
        """A directory was opened whose children are not loaded."""

        def __init__(self, rows: VirtualList, path: bytes) -> None:
            super().__init__(rows, 0)
            self.path = path

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.model = TreeModel()
        self.stack: LayerStack | None = None
        self.shown_view = View.LAYER
        self.note = ""

    @property
    def entry(self) -> Entry | None:
        """The entry under the cursor."""
        return self.model.lines[self.cursor].entry if self.model.lines else None

    def put(self, path: bytes, children: tuple[Entry, ...]) -> None:
        """Show the children of a directory; the cursor stays on its entry."""
        current_path = self.entry.path if self.entry else None
        self.model.set_children(path, children)
        self._restore_cursor(current_path)

    def _restore_cursor(self, current_path: bytes | None) -> None:
        index = self.model.index(current_path) if current_path is not None else None
        if index is not None and index != self.cursor:
            self.set_reactive(TreeRows.cursor, index)
        self.rows_changed()
        self.show_row(self.cursor)
        if index is None and self.model.lines:
            self.post_message(self.Moved(self, self.cursor))

    def go_to(self, path: bytes) -> bool:
        """Put the cursor on a path; return whether the tree shows it."""
        index = self.model.index(path)
        if index is not None:
            self.cursor = index
            self.show_row(index)
        return index is not None

    def count(self) -> int:
        """Return the number of lines; an empty tree has one for its note."""
        return len(self.model.lines) or 1

    def row(self, index: int, width: int) -> Text:
        if not self.model.lines:
            return Text(f" {self.note}", style="italic")
        return tree_line(self.model.lines[index], self.stack, self.shown_view, width)

    def open_entry(self) -> None:
        """Open the directory under the cursor, or step into it if it is open."""
        entry = self.entry
        if entry is None or entry.kind is not EntryKind.DIRECTORY:
            return
        if self.model.is_open(entry.path):
            self.action_cursor_down()
            return
        self.model.open(entry.path)
        if not self.model.loaded(entry.path):
            self.post_message(self.Wanted(self, entry.path))
        self.rows_changed()

    def close_entry(self) -> None:
        """Close the directory under the cursor, or go to its parent."""
        entry = self.entry
        if entry is None:
            return
        if entry.kind is EntryKind.DIRECTORY and self.model.is_open(entry.path):
            self.model.close(entry.path)
            self.rows_changed()
            return
        self.go_to(entry.path.rsplit(b"/", 1)[0])

    def toggle(self) -> None:
        """Open or close the directory under the cursor."""
        entry = self.entry
        if entry and self.model.is_open(entry.path):
            self.close_entry()
        else:
            self.open_entry()

    def find(self, text: str, step: int) -> bool:
        """Move to the next (1) or previous (-1) line whose name contains ``text``; return whether there is one."""
        lines = self.model.lines
        needle = text.lower().encode()
        for offset in range(1, len(lines) + 1):
            index = (self.cursor + step * offset) % len(lines)
            if needle in lines[index].entry.name.lower():
                self.cursor = index
                return True
        return False
