"""Finding a name in the tree of a layer: a path at once, a word in the whole tree by a walk in the background."""

from __future__ import annotations

import time

from textual import on, work
from textual.worker import Worker, get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import Entry, View
from tui.core.text import count_of, printable
from tui.layers.search import SearchResult, next_entry, search
from tui.linux.rooted_paths import normalized, split
from tui.services.files_of import Tree
from tui.ui.screens.changing import ChangingFrame
from tui.ui.screens.layer_messages import PathLocated, SearchAdvanced, SearchEnded
from tui.ui.widgets.lines import Line
from tui.ui.widgets.tree_rows import TreeRows

_TELL = 0.25
"""Seconds between two words on how far a search is."""


class FindingFrame(ChangingFrame):
    """A screen with a tree in which names are found."""

    def __init__(self) -> None:
        super().__init__()
        self._search_text = ""
        self._hits: tuple[Entry, ...] = ()
        self._walk: Worker[None] | None = None

    @property
    def tree_rows(self) -> TreeRows:
        """The tree."""
        return self.query_one("#tree", TreeRows)

    @property
    def layer_view(self) -> Tree | None:
        """Where directories are listed from."""
        raise NotImplementedError

    def reveal(self, path: bytes, shown_view: View) -> None:
        """Open the directories above a path in one of the two views, and put the cursor on it."""
        raise NotImplementedError

    def find_named(self, text: str) -> None:
        """Go to a path, or to the next name that contains a word."""
        self.query_one("#find-path", Line).hide()
        self.set_focus(self.tree_rows)
        self.stop_search()
        self._search_text, self._hits = text, ()
        view, shown_view = self.layer_view, self.tree_rows.shown_view
        if view is None or not text:
            return
        if text.startswith("/"):
            self._locate(view, text)
            return
        cursor_moved = self.tree_rows.find(text, 1)  # what is seen is gone to at once: the next key may be meant for it
        self._search(view, shown_view, text, cursor_moved)

    @work(thread=True, exclusive=True, group="find")
    def _locate(self, view: Tree, text: str) -> None:
        """Look for a path in what is shown, then in all that the container sees."""
        path = normalized(text.encode("utf-8", "surrogateescape"))
        for shown_view in dict.fromkeys((self.tree_rows.shown_view, View.MERGED)):
            try:
                exists = any(entry.path == path for entry in view.children(split(path)[0], shown_view))
            except DtuiError:
                exists = False
            if exists:
                self.post_message(PathLocated(path, shown_view))
                return
        self.post_message(PathLocated(path, None))

    @on(PathLocated)
    def _located(self, event: PathLocated) -> None:
        if event.shown_view is None:
            self.tell(f"there is no {printable(event.path)} in the container", "bad")
        else:
            self.reveal(event.path, event.shown_view)

    def _search(self, view: Tree, shown_view: View, text: str, cursor_moved: bool) -> None:
        self._walk = self.run_worker(
            lambda: self._search_tree(view, shown_view, text, cursor_moved), thread=True, exclusive=True, group="find"
        )

    def _search_tree(self, view: Tree, shown_view: View, text: str, cursor_moved: bool) -> None:
        worker = get_current_worker()
        reported_at = time.monotonic()

        def step(count: int, match_count: int) -> bool:
            nonlocal reported_at
            if time.monotonic() - reported_at > _TELL:
                reported_at = time.monotonic()
                self.post_message(SearchAdvanced(count, match_count))
            return not worker.is_cancelled

        with view.keep_open():
            hits = search(view, shown_view, text, step)
        if not worker.is_cancelled:
            self.post_message(SearchEnded(text, hits, cursor_moved))

    @on(SearchAdvanced)
    def _tell_searching(self, event: SearchAdvanced) -> None:
        if self.searching:
            self.tell(
                f"searching: {event.match_count:,} found in {count_of(event.count, 'entry', 'entries')} · esc stops"
            )

    @on(SearchEnded)
    def _show_matches(self, event: SearchEnded) -> None:
        if event.text != self._search_text:
            return
        self._walk = None
        self._hits = event.hits.entries
        self.tell(_search_summary(event.text, event.hits), "" if self._hits else "bad")
        if self._hits and not event.cursor_moved:
            self._go(1)

    @property
    def searching(self) -> bool:
        """Whether the tree is being walked."""
        return self._walk is not None and not self._walk.is_finished

    def stop_search(self) -> bool:
        """Stop the walk; say whether there was one."""
        going, walk = self.searching, self._walk
        if walk is not None and going:
            walk.cancel()
            self._walk = None
        return going

    def _go(self, step: int) -> None:
        rows = self.tree_rows
        if self._hits:
            goal = next_entry(self._hits, rows.entry, step)
            if goal is not None:
                self.reveal(goal.path, rows.shown_view)
        elif not self._search_text or not rows.find(self._search_text, step):
            self.tell("nothing is found: / finds a name in the whole tree, or a path that begins with /", "bad")

    def action_find_path(self) -> None:
        """Type a name or a path to find."""
        self.query_one("#find-path", Line).show()

    def action_find_next(self) -> None:
        """Go to the next match."""
        self._go(1)

    def action_find_previous(self) -> None:
        """Go to the match before."""
        self._go(-1)


def _search_summary(text: str, hits: SearchResult) -> str:
    """Say what a search found."""
    among = count_of(hits.examined, "entry", "entries")
    if not hits.entries:
        return f"no name contains {text}, of {among}" + (" looked at; there are more" if hits.cut else "")
    more = "; there are more" if hits.cut else ""
    return f"{count_of(len(hits.entries), 'name')} with {text}{more}" + (
        " · n next, N back" if hits.entries[1:] else ""
    )
