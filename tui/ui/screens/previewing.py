"""The file under the cursor of the tree: its beginning to look at, all of it to edit."""

from __future__ import annotations

from rich.text import Text
from textual import on, work
from textual.timer import Timer
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import Change, Details, Entry, EntryKind
from tui.core.text import printable
from tui.files import language_of, texts_on_offer
from tui.render.entries import entry_info, meta_words
from tui.services.files_of import files_of
from tui.ui.screens.base import set_title
from tui.ui.screens.finding import FindingFrame
from tui.ui.screens.layer_messages import FilePreviewed
from tui.ui.widgets.tree_rows import TreeRows

_SETTLE = 0.08
"""Seconds the cursor rests on a file before it is read."""

_PATIENCE = 0.15
"""Seconds after which another file's contents make way for the word that this one is being read."""

_SILENCE = 2.0
"""Seconds after that in which a file system must have answered."""


class PreviewingFrame(FindingFrame):
    """A screen with a tree and beside it the file that its cursor is on."""

    def __init__(self) -> None:
        super().__init__()
        self._to_edit = b""
        self._shown_entry: Entry | None = None
        self._settle: Timer | None = None
        self._patience: Timer | None = None
        self._in_pane = b""

    @on(TreeRows.Moved, "#tree")
    def _moved(self) -> None:
        self.refresh_bindings()
        if self.file_pane.editing:
            return
        if self._settle:
            self._settle.stop()
        self._settle = self.set_timer(_SETTLE, lambda: self._preview(edit=False))
        self._name_entry()

    def _name_entry(self) -> None:
        """Put the name over the pane at once; another file's contents do not stay under it."""
        entry = self.tree_rows.entry
        if entry is None:
            return
        stack = self.details.shown_stack if self.details else None
        set_title(self.file_pane, f"{printable(entry.path)} ── {meta_words(entry, stack)}")
        if entry.path != self._in_pane:
            self._patience = self._patience or self.set_timer(_PATIENCE, self._tell_reading)

    def _tell_reading(self) -> None:
        self._patience = None
        entry = self.tree_rows.entry
        if entry and entry.path != self._in_pane and not self.file_pane.editing:
            self.file_pane.show_info(Text("reading…", style="italic"))
            self.set_timer(_SILENCE, lambda: self._tell_silence(entry))

    def _tell_silence(self, entry: Entry) -> None:
        """Say that a file is not read; its thread waits on, and keeps neither keys nor the end of the app waiting."""
        if entry == self.tree_rows.entry and entry.path != self._in_pane and not self.file_pane.editing:
            self.file_pane.show_info(Text(f"{printable(entry.path)} is not answering: go on with something else"))

    def _preview(self, *, edit: bool) -> None:
        entry, details = self.tree_rows.entry, self.details
        self._shown_entry = entry
        if entry is None or details is None or self.file_pane.editing:
            return
        # a preview that the cursor asked for must not take the place of the one that the editor waits for
        edit = edit or entry.path == self._to_edit
        self._to_edit = entry.path if edit else b""
        self._name_entry()
        if entry.kind is not EntryKind.FILE or entry.change is Change.DELETED:
            self._in_pane = entry.path
            self.file_pane.show_info(entry_info(entry, details.shown_stack))
            return
        self._read(entry, details, edit)

    @work(thread=True, exclusive=True, group="preview")
    def _read(self, entry: Entry, details: Details, edit: bool) -> None:
        worker = get_current_worker()
        try:
            files = files_of(self.endpoint, details)
            if edit:
                opened = files.open(entry.path)
                kept = texts_on_offer(self.container.id, opened.path, opened.document.data)
                event = FilePreviewed(entry, opened.document, opened, kept=kept)
            else:
                event = FilePreviewed(entry, files.peek(entry.path))
        except DtuiError as error:
            event = FilePreviewed(entry, error=error)
        if not worker.is_cancelled:
            self.post_message(event)

    @on(FilePreviewed)
    def _previewed(self, event: FilePreviewed) -> None:
        self._to_edit = b""
        current = self.tree_rows.entry
        if current is None or current.path != event.entry.path or self.file_pane.editing or self.asks_of_kept:
            return
        self._in_pane = event.entry.path
        self.opened = event.opened
        if event.document is None:
            info = entry_info(event.entry, self.details.shown_stack if self.details else None)
            self.file_pane.show_info(info)
            if event.error:
                self.tell_trouble(event.error)
            return
        self.file_pane.show_document(event.document, language_of(event.entry.path, event.document))
        self.refresh_bindings()  # a text can be searched
        if event.opened and event.kept:
            self.edit_with_kept(event.opened, event.kept)
        elif event.opened:
            self.begin_edit()

    def _end_edit(self) -> None:
        super()._end_edit()
        if self.opened and self.tree_entry and self.opened.path != self.tree_entry.path:
            self._moved()  # the mouse was in the tree meanwhile
