"""The file under the cursor of the tree: its beginning to look at, all of it to edit."""

from __future__ import annotations

from rich.text import Text
from textual.timer import Timer
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import Change, Details, Entry, EntryKind
from tui.core.text import human_size, printable
from tui.files import EDIT_LIMIT, Document, OpenedFile, language_of
from tui.render.entries import change_mark, entry_info, meta_words
from tui.services.files_of import files_of
from tui.ui.commands.base import Commands, Surface
from tui.ui.commands.edit_and_save import EditAndSave
from tui.ui.commands.kept_texts import KeptTexts, KeptTextsOf
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.widgets.file_pane import FilePane
from tui.ui.widgets.tree_rows import TreeRows

_SETTLE = 0.08
"""Seconds the cursor rests on a file before it is read."""

_PATIENCE = 0.15
"""Seconds after which another file's contents make way for the word that this one is being read."""

_SILENCE = 2.0
"""Seconds after that in which a file system must have answered."""


class Preview(Commands):
    """Shows in the pane what the tree's cursor is on, and hands a file to the editor."""

    def __init__(
        self,
        surface: Surface,
        layer: OpenLayer,
        rows: TreeRows,
        pane: FilePane,
        editing: EditAndSave,
        kept: KeptTexts,
    ) -> None:
        super().__init__(surface)
        self.shown_entry: Entry | None = None
        """The entry that was read last, as it was then."""
        self._layer = layer
        self._rows = rows
        self._pane = pane
        self._editing = editing
        self._kept = kept
        self._to_edit = b""
        self._in_pane = b""
        self._settle: Timer | None = None
        self._patience: Timer | None = None

    def follow_cursor(self) -> None:
        """Show the entry under the cursor once the cursor rests; its name at once."""
        if self._pane.editing:
            return
        if self._settle:
            self._settle.stop()
        self._settle = self.surface.set_timer(_SETTLE, self.show)
        self._name_entry()

    def catch_up(self) -> None:
        """Show the entry under the cursor if the mouse moved it while another file was edited."""
        opened, entry = self._layer.opened, self._rows.entry
        if opened and entry and opened.path != entry.path:
            self.follow_cursor()

    def _name_entry(self) -> None:
        """Put the name over the pane at once; another file's contents do not stay under it."""
        entry = self._rows.entry
        if entry is None:
            return
        stack = self._layer.details.shown_stack if self._layer.details else None
        self._pane.show_title(f"{printable(entry.path)} ── {meta_words(entry, stack)}")
        if entry.path != self._in_pane:
            self._patience = self._patience or self.surface.set_timer(_PATIENCE, self._tell_reading)

    def _tell_reading(self) -> None:
        self._patience = None
        entry = self._rows.entry
        if entry and self._is_awaited(entry):
            self._pane.show_info(Text("reading…", style="italic"))
            self.surface.set_timer(_SILENCE, lambda: self._tell_silence(entry))

    def _tell_silence(self, entry: Entry) -> None:
        """Say that a file is not read; its thread waits on, and keeps neither keys nor the end of the app waiting."""
        if self._is_awaited(entry):
            self._pane.show_info(
                Text(f"{printable(entry.path)} is not answering: you can open something else meanwhile")
            )

    def _is_awaited(self, entry: Entry) -> bool:
        return entry == self._rows.entry and entry.path != self._in_pane and not self._pane.editing

    def show(self) -> None:
        """Show the entry under the cursor now."""
        self._read(edit=False)

    def disabled_reason(self, action: str) -> str:
        """Say why the entry under the cursor cannot be edited."""
        return _why_no_edit(self._rows.entry, in_pane=action == "edit") if action in ("edit", "external") else ""

    def action_edit(self) -> None:
        """Read the file under the cursor into the editor."""
        self._read(edit=True)

    def action_open_entry(self) -> None:
        """Open or close the directory, or edit the file."""
        entry = self._rows.entry
        if entry is None:
            return
        reason = self.disabled_reason("edit")
        if entry.kind is EntryKind.DIRECTORY:
            self._rows.toggle()
        elif reason:
            self.surface.tell(reason, "bad")
        else:
            self.action_edit()

    def _read(self, *, edit: bool) -> None:
        entry, details = self._rows.entry, self._layer.details
        self.shown_entry = entry
        if entry is None or details is None or self._pane.editing:
            return
        # a preview that the cursor asked for must not take the place of the one that the editor waits for
        edit = edit or entry.path == self._to_edit
        self._to_edit = entry.path if edit else b""
        self._name_entry()
        if entry.kind is not EntryKind.FILE or entry.change is Change.DELETED:
            self._in_pane = entry.path
            self._pane.show_info(entry_info(entry, details.shown_stack))
            return
        self.surface.run_worker(
            lambda: self._read_file(entry, details, edit), thread=True, exclusive=True, group="preview"
        )

    def _read_file(self, entry: Entry, details: Details, edit: bool) -> None:
        worker = get_current_worker()
        document: Document | None = None
        opened: OpenedFile | None = None
        kept: KeptTextsOf = ()
        error: DtuiError | None = None
        try:
            files = files_of(self._layer.endpoint, details)
            if edit:
                opened = files.open(entry.path)
                document, kept = opened.document, self._kept.on_offer(opened)
            else:
                document = files.peek(entry.path)
        except DtuiError as caught:
            error = caught
        if not worker.is_cancelled:
            self.surface.call_later(self._show_file, entry, document, opened, kept, error)

    def _show_file(
        self,
        entry: Entry,
        document: Document | None,
        opened: OpenedFile | None,
        kept: KeptTextsOf,
        error: DtuiError | None,
    ) -> None:
        """Show a file that was read, unless the cursor has gone on; edit it if it was opened for that."""
        self._to_edit = b""
        current = self._rows.entry
        is_current = current is not None and current.path == entry.path
        if not is_current or self._pane.editing or self._kept.is_asking:
            return
        self._in_pane = entry.path
        self._layer.opened = opened
        if document is None:
            stack = self._layer.details.shown_stack if self._layer.details else None
            self._pane.show_info(entry_info(entry, stack))
            if error:
                self._layer.held.tell_trouble(error)
            return
        self._pane.show_document(document, language_of(entry.path, document))
        self.surface.refresh_bindings()  # a text can be searched
        if opened and kept:
            self.surface.run_worker(self._kept.edit(opened, kept), exclusive=True, group="flow")
        elif opened:
            self._editing.begin()


def _why_no_edit(entry: Entry | None, *, in_pane: bool) -> str:
    """Say why an entry cannot be edited, in our own pane or in $EDITOR; empty when it can."""
    if entry is None:
        return "no file is selected"
    if change_mark(entry) == "D":
        return "a deleted file cannot be edited; the image still has it"
    if entry.kind not in (EntryKind.FILE, EntryKind.SYMLINK):
        return f"{printable(entry.name)} is a {entry.kind}, not a file"
    if in_pane and entry.kind is EntryKind.FILE and entry.size > EDIT_LIMIT:
        return f"it is larger than {human_size(EDIT_LIMIT)}: o opens it in $EDITOR, x copies it out"
    return ""
