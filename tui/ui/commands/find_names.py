"""Finds names in the tree of a layer: a path directly, any other text by walking the tree in the background."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.worker import Worker, get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import Entry, View
from tui.core.text import count_of, printable
from tui.layers.search import SearchResult, next_entry, search
from tui.linux.rooted_paths import normalized, split
from tui.services.files_of import Tree
from tui.ui.commands.base import Commands, Surface
from tui.ui.commands.layer_tree import LayerTree
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.widgets.lines import Line
from tui.ui.widgets.tree_rows import TreeRows

_TELL = 0.25
"""Seconds between progress messages of a search."""


class FindNames(Commands):
    """Finds names in the tree of the layer and moves the cursor to them."""

    def __init__(self, surface: Surface, layer: OpenLayer, tree: LayerTree, rows: TreeRows) -> None:
        super().__init__(surface)
        self._layer = layer
        self._tree = tree
        self._rows = rows
        self.line = Line(self.find, placeholder="name, or /path", id="find-path", hidden=True)
        self._search_text = ""
        self._hits: tuple[Entry, ...] = ()
        self._walk: Worker[None] | None = None

    def find(self, text: str) -> None:
        """Go to a path if ``text`` starts with a slash, else to the next name that contains it."""
        self.line.hide()
        self.surface.set_focus(self._rows)
        self.stop()
        self._search_text, self._hits = text, ()
        tree, shown_view = self._layer.tree, self._rows.shown_view
        if tree is None or not text:
            return
        if text.startswith("/"):
            self._run(text, lambda: self._locate(tree, shown_view, text))
            return
        cursor_moved = self._rows.find(text, 1)  # a listed match at once, because the next key may be meant for it
        self._walk = self._run(
            "a directory of the container", lambda: self._search(tree, shown_view, text, cursor_moved)
        )

    def _run(self, subject: str, work: Callable[[], None]) -> Worker[None]:
        return self.surface.read(subject, work, group="find", exclusive=True)

    def _locate(self, tree: Tree, shown_view: View, text: str) -> None:
        """Look for a path in the shown view, then in the merged view."""
        path = normalized(text.encode("utf-8", "surrogateescape"))
        for view in dict.fromkeys((shown_view, View.MERGED)):
            try:
                exists = any(entry.path == path for entry in tree.children(split(path)[0], view))
            except DtuiError:
                exists = False
            if exists:
                self.surface.call_later(self._show_path, path, view)
                return
        self.surface.call_later(self._show_path, path, None)

    def _show_path(self, path: bytes, shown_view: View | None) -> None:
        """Go to a path, or report that it does not exist if ``shown_view`` is None."""
        if shown_view is None:
            self.surface.tell(f"there is no {printable(path)} in the container", "bad")
        else:
            self._tree.reveal(path, shown_view)

    def _search(self, tree: Tree, shown_view: View, text: str, cursor_moved: bool) -> None:
        worker = get_current_worker()
        reported_at = time.monotonic()

        def step(count: int, match_count: int) -> bool:
            nonlocal reported_at
            if time.monotonic() - reported_at > _TELL:
                reported_at = time.monotonic()
                self.surface.call_later(self._tell_progress, count, match_count)
            return not worker.is_cancelled

        with tree.keep_open():
            hits = search(tree, shown_view, text, step)
        if not worker.is_cancelled:
            self.surface.call_later(self._show_matches, text, hits, cursor_moved)

    def _tell_progress(self, count: int, match_count: int) -> None:
        if self.is_searching:
            entries = count_of(count, "entry", "entries")
            self.surface.tell(f"searching: {match_count:,} found in {entries} · esc stops")

    def _show_matches(self, text: str, hits: SearchResult, cursor_moved: bool) -> None:
        """Report the matches, and go to the first one unless the cursor is on one already."""
        if text != self._search_text:
            return
        self._walk = None
        self._hits = hits.entries
        self.surface.tell(_search_summary(text, hits), "" if self._hits else "bad")
        if self._hits and not cursor_moved:
            self._go(1)

    @property
    def is_searching(self) -> bool:
        """Whether the tree is being walked."""
        return self._walk is not None and not self._walk.is_finished

    def stop(self) -> bool:
        """Stop the walk; return whether there was one."""
        going, walk = self.is_searching, self._walk
        if walk is not None and going:
            walk.cancel()
            self._walk = None
        return going

    def _go(self, step: int) -> None:
        rows = self._rows
        if self._hits:
            goal = next_entry(self._hits, rows.entry, step)
            if goal is not None:
                self._tree.reveal(goal.path, rows.shown_view)
        elif not self._search_text or not rows.find(self._search_text, step):
            self.surface.tell("no search yet: / finds a name in the whole tree, or goes to a /path", "bad")

    def action_find_path(self) -> None:
        """Show the line to type a name or path to find."""
        self.line.show()

    def action_find_next(self) -> None:
        """Go to the next match."""
        self._go(1)

    def action_find_previous(self) -> None:
        """Go to the previous match."""
        self._go(-1)


def _search_summary(text: str, hits: SearchResult) -> str:
    """Describe what a search found."""
    among = count_of(hits.examined, "entry", "entries")
    if not hits.entries:
        return f"no name contains {text}, of {among}" + (" looked at; there are more" if hits.cut else "")
    more = "; there are more" if hits.cut else ""
    return f"{count_of(len(hits.entries), 'name')} with {text}{more}" + (
        " · n next, N back" if hits.entries[1:] else ""
    )
