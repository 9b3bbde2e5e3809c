"""Opening a layer and loading its tree in the background, what was open and where the cursor is to go first."""

from __future__ import annotations

from rich.text import Text
from textual import on, work
from textual.worker import get_current_worker

from tui.core.errors import DtuiError, NotFound
from tui.core.records import Change, Details, EntryKind, View
from tui.core.text import count_of, human_size
from tui.linux.rooted_paths import split
from tui.services.files_of import Tree, tree_of
from tui.services.layer_summary import summarise_layer
from tui.services.tree_model import ancestors
from tui.ui.screens.layer_messages import ChangesCounted, DirectoryLoaded, LayerOpened
from tui.ui.screens.previewing import PreviewingFrame
from tui.ui.widgets.tree_rows import TreeRows

_UNFOLDED = 30
"""Lines up to which the tree of changes opens by itself."""


class OpeningFrame(PreviewingFrame):
    """A screen with a layer that is opened when it can be, and a tree that loads what is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._goal = b"/"
        self._goal_edit = False
        self._layer_view: Tree | None = None
        self._failed = False
        self._asked_again = False
        self._counts = ""
        self._unfolded: set[bytes] = set()

    @property
    def layer_view(self) -> Tree | None:
        """Where directories are listed from."""
        return self._layer_view

    def on_unmount(self) -> None:
        """Give the layer's descriptors back."""
        if self._layer_view:
            self._layer_view.close()

    def show_title(self) -> None:
        """Show what is known of the container and its layer."""
        raise NotImplementedError

    def switch_view(self) -> None:
        """Show the other view of the tree."""
        raise NotImplementedError

    def edit_here(self) -> None:
        """Edit the file under the cursor."""
        raise NotImplementedError

    @work(thread=True, exclusive=True, group="open")
    def _open(self) -> None:
        worker = get_current_worker()
        details: Details | None = None
        try:
            details = self.endpoint.inspect(self._container.id)
            view = tree_of(self.endpoint, details)
        except DtuiError as error:
            self.post_message(LayerOpened(details, None, error))
            return
        self.post_message(LayerOpened(details, view))
        size, summary = summarise_layer(self.endpoint, details, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.post_message(ChangesCounted(size, summary))

    @on(LayerOpened)
    def _opened(self, event: LayerOpened) -> None:
        if self.is_removed:
            if event.view:
                event.view.close()
            return
        if event.details is not None or not self.file_pane.editing:  # a save says itself what became of its container
            self.details = event.details
        if event.error or event.view is None or event.details is None:
            self._failed = self._layer_view is None
            self.tree_rows.note = "the layer cannot be opened: f5 tries again"
            self.tree_rows.refresh()
            if event.error:
                self.tell_trouble(event.error)
            return
        self.stop_search()
        if self._layer_view:
            self._layer_view.close()
        self._layer_view = event.view
        if self._failed:
            self._failed = False
            self.tell("the layer is open now", "good")
        self.tree_rows.stack = event.details.shown_stack
        self.show_title()
        if self._asked_again:
            self._asked_again = False
            self.tell("read again")
        self._reload()

    @on(ChangesCounted)
    def _counted(self, event: ChangesCounted) -> None:
        self._counts = f"{event.summary} · {human_size(event.size)} writable"
        self.title_line.right = Text(self._counts)

    def _reload(self) -> None:
        """Load the root and all that was open; a goal path is opened on the way."""
        model = self.tree_rows.model
        for path in ancestors(self._goal):
            model.open(path)
        for path in model.open_paths:
            self._load(path)

    @on(TreeRows.Wanted)
    def _wanted(self, event: TreeRows.Wanted) -> None:
        self._load(event.path)

    def _load(self, path: bytes) -> None:
        view, shown_view = self._layer_view, self.tree_rows.shown_view
        if view is None:
            return
        self.run_worker(lambda: self._children(view, shown_view, path), thread=True, group="load")

    def _children(self, view: Tree, shown_view: View, path: bytes) -> None:
        try:
            self.post_message(DirectoryLoaded(view, shown_view, path, tuple(view.children(path, shown_view))))
        except DtuiError as error:
            self.post_message(DirectoryLoaded(view, shown_view, path, (), error))

    @on(DirectoryLoaded)
    def _loaded(self, event: DirectoryLoaded) -> None:
        if event.view is not self.tree_rows.shown_view or event.source is not self._layer_view:
            return
        if isinstance(event.error, NotFound) and self._drop_missing(event.path):
            return
        if event.error:
            self.tell_trouble(event.error)
        elif event.source.cut and event.view is View.MERGED:
            self.tell("names are missing: the Engine sends whole directories, and this one is too large")
        elif event.source.left_out and event.view is View.LAYER and event.path == b"/":
            odd = count_of(event.source.left_out, "change")
            self.tell(f"{odd} of the Engine's answer not understood and left out")
        if event.path == b"/" and not event.children and not self._unfolded and event.view is View.LAYER:
            self._unfolded.add(b"/")
            self.switch_view()
            self.tell("the container has changed nothing yet: these are all its files")
            return
        self.tree_rows.note = "the container has changed nothing: m shows all its files"
        self.tree_rows.put(event.path, event.children)
        self._unfold(event)
        if self.tree_rows.entry != self._shown_entry:
            self._moved()
        if self.file_pane.editing:
            self._mark()
        self._seek(event.path)

    def _drop_missing(self, path: bytes) -> bool:
        """Take out what was in a directory that is gone, as the one above tells; should it come back, it is open."""
        model = self.tree_rows.model
        lost = model.loaded(path) or (model.index(path) is None and path != b"/")
        if lost:
            model.drop(path)
            self.tree_rows.rows_changed()
        return lost

    def _seek(self, listed: bytes) -> None:
        """Go to the goal, or give it up when it is not where it was to be."""
        reached = self._goal != b"/" and self.tree_rows.go_to(self._goal)
        if not reached and (listed != split(self._goal)[0] or not self.tree_rows.model.shows(listed)):
            return
        edit, self._goal, self._goal_edit = self._goal_edit and reached, b"/", False
        if edit:
            self.edit_here()

    def _unfold(self, event: DirectoryLoaded) -> None:
        """Open changed directories by themselves while all of the changes fit on the screen."""
        model = self.tree_rows.model
        if event.view is View.MERGED or len(model.lines) > _UNFOLDED or event.path in self._unfolded:
            return
        self._unfolded.add(event.path)
        for entry in event.children:
            if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
                model.open(entry.path)
                self._load(entry.path)
