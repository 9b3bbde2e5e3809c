"""The tree of a layer: lists directories in the background, moves the cursor, and switches between two views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.core.errors import DtuiError, NotFound
from tui.core.records import Change, Entry, EntryKind, View
from tui.core.text import count_of, printable
from tui.linux.rooted_paths import split
from tui.services.files_of import Tree
from tui.services.tree_model import ancestors
from tui.ui.commands.base import Commands, Surface
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.widgets.tree_rows import TreeRows

_UNFOLDED = 30
"""Lines up to which the tree of changes opens its directories automatically."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The children of a directory in one view of a tree, or the error."""

    tree: Tree
    view: View
    path: bytes
    children: tuple[Entry, ...] = ()
    error: DtuiError | None = None


class LayerTree(Commands):
    """Loads the directories of the tree, and moves the cursor to ``goal`` once its directory is listed.

    ``view_changed`` is called when the view was switched, ``listed`` when a directory was listed, and ``reached`` when
    the cursor is on the first goal, unless that is given up.
    """

    def __init__(
        self,
        surface: Surface,
        layer: OpenLayer,
        rows: TreeRows,
        goal: bytes,
        *,
        view_changed: Callable[[], None],
        listed: Callable[[], None],
        reached: Callable[[], None] | None,
    ) -> None:
        super().__init__(surface)
        self.goal = goal
        """Where the cursor goes once its directory is listed; ``/`` for nowhere."""
        self._view_changed = view_changed
        self._listed = listed
        self._reached = reached
        self._layer = layer
        self._rows = rows
        self._unfolded: set[bytes] = set()

    def hides(self, action: str) -> bool:
        """Hide the action of ``m`` that leads to the view that is already shown."""
        return action in ("view", "view_changes") and (self._rows.shown_view is View.MERGED) is (action == "view")

    def action_view(self) -> None:
        """Switch to the other view; the cursor stays on its entry."""
        rows = self._rows
        rows.shown_view = View.MERGED if rows.shown_view is View.LAYER else View.LAYER
        if rows.entry:
            self.goal = rows.entry.path
        rows.model.forget()
        rows.note = "reading…"
        rows.rows_changed()
        self._view_changed()
        self.reload()

    def action_view_changes(self) -> None:
        """Switch back to what the container changed."""
        self.action_view()

    def action_expand(self) -> None:
        self._rows.open_entry()

    def action_collapse(self) -> None:
        self._rows.close_entry()

    def reveal(self, path: bytes, shown_view: View) -> None:
        """Switch to a view, open the directories above a path, and put the cursor on it."""
        rows = self._rows
        if shown_view is not rows.shown_view:
            self.action_view()
        if rows.go_to(path):
            self.goal = b"/"
            return
        self.goal = path
        for ancestor in ancestors(path):
            rows.model.open(ancestor)
            if not rows.model.loaded(ancestor):
                self.load(ancestor)
        rows.rows_changed()
        if rows.go_to(path):
            self.goal = b"/"

    def reload(self) -> None:
        """Load the root and all open directories; open those above the goal."""
        model = self._rows.model
        for path in ancestors(self.goal):
            model.open(path)
        for path in model.open_paths:
            self.load(path)

    def load(self, path: bytes) -> None:
        """List a directory in a worker and show its children."""
        tree, shown_view = self._layer.tree, self._rows.shown_view
        if tree is not None:
            self.surface.read(printable(path), lambda: self._list(tree, shown_view, path), group="load")

    def _list(self, tree: Tree, shown_view: View, path: bytes) -> None:
        try:
            children = tuple(tree.children(path, shown_view))
        except DtuiError as error:
            self.surface.call_later(self._show, Listing(tree, shown_view, path, error=error))
        else:
            self.surface.call_later(self._show, Listing(tree, shown_view, path, children))

    def _show(self, listing: Listing) -> None:
        """Show a listing, unless the view or the tree has changed since."""
        if listing.view is not self._rows.shown_view or listing.tree is not self._layer.tree:
            return
        if isinstance(listing.error, NotFound) and self._drop_missing(listing.path):
            return
        if listing.error:
            self._layer.held.tell_trouble(listing.error)
        elif listing.tree.cut and listing.view is View.MERGED:
            self.surface.tell("names are missing: the Engine sends whole directories, and this one is too large")
        elif listing.tree.left_out and listing.view is View.LAYER and listing.path == b"/":
            odd = count_of(listing.tree.left_out, "change")
            self.surface.tell(f"{odd} of the Engine's answer not understood and left out")
        if listing.path == b"/" and not listing.children and not self._unfolded and listing.view is View.LAYER:
            self._unfolded.add(b"/")
            self.action_view()
            self.surface.tell("the container has changed nothing yet: these are all its files")
            return
        self._rows.note = "the container has changed nothing: m shows all its files"
        self._rows.put(listing.path, listing.children)
        self._unfold(listing)
        self._listed()
        self._seek(listing.path)

    def _drop_missing(self, path: bytes) -> bool:
        """Forget the children of a vanished directory; return False if it is visible but was never loaded."""
        model = self._rows.model
        lost = model.loaded(path) or (model.index(path) is None and path != b"/")
        if lost:
            model.unload(path)
            self._rows.rows_changed()
        return lost

    def _seek(self, listed: bytes) -> None:
        """Go to the goal, or give it up if the directory just listed does not contain it."""
        reached = self.goal != b"/" and self._rows.go_to(self.goal)
        if not reached and (listed != split(self.goal)[0] or not self._rows.model.shows(listed)):
            return
        call, self._reached, self.goal = self._reached, None, b"/"
        if reached and call is not None:
            call()

    def _unfold(self, listing: Listing) -> None:
        """Open changed directories automatically, each once, while the tree is short."""
        model = self._rows.model
        if listing.view is View.MERGED or len(model.lines) > _UNFOLDED or listing.path in self._unfolded:
            return
        self._unfolded.add(listing.path)
        for entry in listing.children:
            if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
                model.open(entry.path)
                self.load(entry.path)
