"""Shows the beginning of the file under the tree's cursor, or opens all of it in the editor."""

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
"""Seconds that the cursor must rest on an entry before it is shown."""

_PATIENCE = 0.15
"""Seconds after which "reading…" replaces the contents of another file."""

_SILENCE = 2.0
"""Further seconds after which a file is reported as not answering."""


class Preview(Commands):
    """Shows the entry under the tree's cursor in the pane, and opens files in the editor."""

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
        """The entry that was shown last, as it was then."""
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
        """Show the name of the entry under the cursor at once, and its contents once the cursor rests."""
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
        """Show the entry's name at once; replace the contents of another file if reading takes long."""
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
        """Report that a file is not answering; its thread waits on, but delays neither keys nor quitting."""
        if self._is_awaited(entry):
            self._pane.show_info(
                Text(f"{printable(entry.path)} does not answer: you can open something else meanwhile")
            )

    def _is_awaited(self, entry: Entry) -> bool:
        return entry == self._rows.entry and entry.path != self._in_pane and not self._pane.editing

    def show(self) -> None:
        """Show the entry under the cursor now."""
        self._read(edit=False)

    def disabled_reason(self, action: str) -> str:
        return _why_no_edit(self._rows.entry, in_pane=action == "edit") if action in ("edit", "external") else ""

    def action_edit(self) -> None:
        """Open the file under the cursor in the editor."""
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
        # the cursor's preview must not replace a read that was started to edit the same file
        edit = edit or entry.path == self._to_edit
        self._to_edit = entry.path if edit else b""
        self._name_entry()
        if entry.kind is not EntryKind.FILE or entry.change is Change.DELETED:
            self._in_pane = entry.path
            self._pane.show_info(entry_info(entry, details.shown_stack))
            return
        self.surface.read(
            printable(entry.path), lambda: self._read_file(entry, details, edit), group="preview", exclusive=True
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
        """Show a file that was read, unless the cursor has moved on; edit it if it was opened for that."""
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
        self.surface.refresh_bindings()  # find is possible in a text
        if opened and kept:
            self.surface.run_worker(self._kept.edit(opened, kept), exclusive=True, group="flow")
        elif opened:
            self._editing.begin()


def _why_no_edit(entry: Entry | None, *, in_pane: bool) -> str:
    """Return why an entry cannot be edited, in the pane or in $EDITOR; empty if it can."""
    if entry is None:
        return "no file is selected"
    if change_mark(entry) == "D":
        return "a deleted file cannot be edited; the image still has it"
    if entry.kind not in (EntryKind.FILE, EntryKind.SYMLINK):
        return f"{printable(entry.name)} is a {entry.kind}, not a file"
    if in_pane and entry.kind is EntryKind.FILE and entry.size > EDIT_LIMIT:
        return f"it is larger than {human_size(EDIT_LIMIT)}: o opens it in $EDITOR, x copies it out"
    return ""
