"""What the workers of the layer screen tell it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from tui.core.errors import DtuiError
from tui.core.records import Details, Entry, View
from tui.files import Document, Keepsake, OpenedFile
from tui.layers.search import SearchResult
from tui.services.files_of import Tree


class LayerOpened(Message):
    """The layer is open, or cannot be opened."""

    def __init__(self, details: Details | None, view: Tree | None, error: DtuiError | None = None) -> None:
        super().__init__()
        self.details = details
        self.view = view
        self.error = error


class DirectoryLoaded(Message):
    """Children of a directory came."""

    def __init__(
        self,
        source: Tree,
        view: View,
        path: bytes,
        children: tuple[Entry, ...],
        error: DtuiError | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.view = view
        self.path = path
        self.children = children
        self.error = error


class FilePreviewed(Message):
    """The beginning of a file came to be looked at, or all of it to be edited, or the reason why not."""

    def __init__(
        self,
        entry: Entry,
        document: Document | None = None,
        opened: OpenedFile | None = None,
        error: DtuiError | None = None,
        kept: Sequence[tuple[Keepsake, bytes]] = (),
    ) -> None:
        super().__init__()
        self.entry = entry
        self.document = document
        self.opened = opened
        self.error = error
        self.kept = kept


class ChangesCounted(Message):
    """Size and changes of the whole layer are known."""

    def __init__(self, size: int | None, summary: str) -> None:
        super().__init__()
        self.size = size
        self.summary = summary


class PathLocated(Message):
    """A path was looked for: ``shown_view`` is the view it is in, None for nowhere."""

    def __init__(self, path: bytes, shown_view: View | None) -> None:
        super().__init__()
        self.path = path
        self.shown_view = shown_view


class SearchAdvanced(Message):
    """How far a search is."""

    def __init__(self, count: int, match_count: int) -> None:
        super().__init__()
        self.count = count
        self.match_count = match_count


class SearchEnded(Message):
    """The whole tree was searched; ``cursor_moved`` when the cursor went to a match already."""

    def __init__(self, text: str, hits: SearchResult, cursor_moved: bool) -> None:
        super().__init__()
        self.text = text
        self.hits = hits
        self.cursor_moved = cursor_moved
