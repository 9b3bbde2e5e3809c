"""What the parts of the layer screen share: the container, its details, its tree, and the opened file."""

from __future__ import annotations

from collections.abc import Callable

from textual.worker import get_current_worker

from tui.core.errors import DtuiError, EditRefused
from tui.core.records import Details
from tui.core.text import human_size
from tui.engine.endpoint import Endpoint
from tui.files import ContainerFiles, Keepsake, OpenedFile
from tui.services.feed import Feed
from tui.services.files_of import Tree, files_of, tree_of
from tui.services.layer_summary import summarise_layer
from tui.ui.commands.base import Commands, Surface
from tui.ui.commands.details import show_details
from tui.ui.commands.held_container import HeldContainer
from tui.ui.widgets.file_pane import FilePane


class OpenLayer(Commands):
    """The layer of a container, which is opened again after each change.

    ``opened``, ``failed`` or ``counted`` is called when it was opened, could not be opened, or was counted.
    """

    def __init__(
        self,
        surface: Surface,
        held: HeldContainer,
        pane: FilePane,
        *,
        opened: Callable[[], None],
        failed: Callable[[DtuiError], None],
        counted: Callable[[], None],
    ) -> None:
        super().__init__(surface)
        self.held = held
        self.details: Details | None = None
        """Details of the container, None before its layer is open."""
        self.tree: Tree | None = None
        """The tree that lists directories, None before the layer is open."""
        self.opened: OpenedFile | None = None
        """The file that was opened for editing, None once another one is previewed."""
        self.taken_text: tuple[Keepsake, bytes] | None = None
        """The kept text that is being edited, and the path of its file, until it is saved."""
        self.counts = ""
        """A summary of the layer, empty until it is counted."""
        self.has_failed = False
        """Whether opening the layer failed and it was never opened before."""
        self._tells_reading = False
        self._troubled: frozenset[str] = frozenset()
        self._pane = pane
        self._opened = opened
        self._failed = failed
        self._counted = counted

    @property
    def endpoint(self) -> Endpoint:
        return self.held.endpoint

    @property
    def open_details(self) -> Details:
        """The container's details; raises EditRefused before its layer is open."""
        if self.details is None:
            raise EditRefused("the layer is not open", "f5 tries to open it again")
        return self.details

    @property
    def files(self) -> ContainerFiles:
        """The container's files, according to its current details."""
        return files_of(self.endpoint, self.open_details)

    def action_refresh(self) -> None:
        """Open the layer again, and report when that is done."""
        self.surface.tell("reading again…")
        self._tells_reading = True
        self.open()

    def action_inspect(self) -> None:
        """Show all details of the container in a dialog."""
        if self.details:
            show_details(self.surface.host, self.details)

    def follow(self, feed: Feed) -> None:
        """Try again to open a layer that could not be opened, once its engine answers again."""
        recovered, self._troubled = self._troubled - feed.troubled, feed.troubled
        if self.has_failed and self.held.record.endpoint in recovered:
            self.open()

    def open(self) -> None:
        """Open the layer in a worker, then summarise its contents."""
        self.surface.read(f"the layer of {self.held.record.name}", self._open, group="open", exclusive=True)

    def _open(self) -> None:
        worker = get_current_worker()
        details: Details | None = None
        try:
            details = self.endpoint.inspect(self.held.record.id)
            tree = tree_of(self.endpoint, details)
        except DtuiError as error:
            self.surface.call_later(self._note_failure, details, error)
            return
        self.surface.call_later(self._take, details, tree)
        size, summary = summarise_layer(self.endpoint, details, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.surface.call_later(self._count, f"{summary} · {human_size(size)} writable")

    def _note_failure(self, details: Details | None, error: DtuiError) -> None:
        if self.held.is_removed:
            return
        if details is not None or not self._pane.editing:  # a save itself reports what happened to the container
            self.details = details
        self.has_failed = self.tree is None
        self._failed(error)

    def _take(self, details: Details, tree: Tree) -> None:
        if self.held.is_removed:
            self._close(tree)
            return
        self.close()
        self.details, self.tree = details, tree
        if self.has_failed:
            self.has_failed = False
            self.surface.tell("the layer is open now", "good")
        elif self._tells_reading:
            self.surface.tell("read again")
        self._tells_reading = False
        self._opened()

    def _count(self, counts: str) -> None:
        self.counts = counts
        self._counted()

    def close(self) -> None:
        """Close the descriptors of the tree."""
        if self.tree:
            self._close(self.tree)

    def _close(self, tree: Tree) -> None:
        # in a thread: a layer that hangs while it is mounted holds the tree's lock
        self.surface.host.threads.submit(tree.close)
