"""The editor: Textual's text area, which keeps text exactly and handles keys in the order they are pressed."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.document._document import EditResult, Location
from textual.document._edit import Edit
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Selection

from tui.core.errors import EditRefused
from tui.files import Document
from tui.ui.actions import screen_bindings
from tui.ui.widgets.lines import is_text


class CodeArea(TextArea):
    """A text area that, while it is editable, runs the actions of bound keys itself.

    Textual 8.2.8 inserts letters as soon as they arrive but runs bound keys (backspace, end, ^s) one turn later, so a
    burst of keys, as a slow connection delivers it, would be handled in another order.
    """

    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("editor", "editor_", below=True)

    class Refused(Message):
        """Text was not inserted because it could not be saved."""

        def __init__(self, error: EditRefused) -> None:
            super().__init__()
            self.error = error

    file = Document.parse(b"")
    """The document of this text; its shield replaces characters that a text area would alter."""

    indent_unit = "    "
    """The characters of one indentation step."""

    # keys ---------------------------------------------------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        actions = _ACTIONS.get(event.key, ()) if not self.read_only else ()
        if not actions:
            await self._type(event)
            return
        event.prevent_default()
        for action in actions:  # the first that applies; ^c without a selection is left to the app
            if await self.app.run_action(action, self):
                event.stop()
                return

    async def _type(self, event: events.Key) -> None:
        """Handle a key without a binding; Textual drops characters that Python does not call printable."""
        start, end = self.selection
        if self.read_only:
            await super()._on_key(event)
        elif event.key == "shift+tab":
            self._consume(event)
            self._indent_lines(-1)
        elif event.key == "tab" and start[0] != end[0]:
            self._consume(event)
            self._indent_lines(1)
        elif is_text(event) and not event.is_printable:
            self._consume(event)
            self._replace_via_keyboard(event.character or "", start, end)
        else:
            await super()._on_key(event)

    @staticmethod
    def _consume(event: events.Key) -> None:
        event.stop()
        event.prevent_default()

    # typing, paste, copy and cut ----------------------------------------------------------------------------

    def _replace_via_keyboard(self, insert: str, start: Location, end: Location) -> EditResult | None:
        """Insert typed text, shielded; post :class:`Refused` if it could not be saved."""
        try:
            return super()._replace_via_keyboard(self.file.shield_typed(insert), start, end)
        except EditRefused as error:
            self.post_message(self.Refused(error))
            return None

    async def _on_paste(self, event: events.Paste) -> None:
        """Insert text that the terminal pastes; post :class:`Refused` if it could not be saved."""
        event.stop()
        event.prevent_default()
        if self.read_only or not event.text:
            return
        try:
            self._put(self.file.shield_pasted(event.text))
        except EditRefused as error:
            self.post_message(self.Refused(error))
        self.focus()

    def action_paste(self) -> None:
        """Insert the app's clipboard, including bytes that are not valid text."""
        if self.read_only:
            return
        try:
            self._put(self.file.shield.hide(self.app.clipboard))
        except EditRefused as error:
            self.post_message(self.Refused(error))

    def _put(self, text: str) -> None:
        start, end = self.selection
        result = self.replace(text, start, end, maintain_selection_offset=False)
        self.move_cursor(result.end_location)

    def action_copy(self) -> None:
        """Copy the selection with its original characters; raises SkipAction if nothing is selected."""
        if not self.selected_text:
            raise SkipAction
        self.app.copy_to_clipboard(self.file.shield.reveal(self.selected_text))

    def action_cut(self) -> None:
        """Cut the selection, or the cursor's line, with its original characters."""
        if self.read_only:
            return
        start, end = self.selection
        result = self._delete_cursor_line() if start == end else self._delete_via_keyboard(start, end)
        if result is not None:
            self.app.copy_to_clipboard(self.file.shield.reveal(result.replaced_text))

    # layout -------------------------------------------------------------------------------------------------

    def _refresh_size(self) -> None:
        """Clamp the cursor before the layout changes.

        Undo and redo move it only afterwards, and if the scrollbar disappears, Textual 8.2.8 looks for the cursor in a
        line that no longer exists.
        """
        if self.wrapped_document.document is self.document and self._is_out_of_step:
            self.wrapped_document.wrap(self.wrap_width, self.indent_width)
        self.selection = self.selection  # assigning clamps it
        super()._refresh_size()

    @property
    def _is_out_of_step(self) -> bool:
        return len(self.wrapped_document._line_index_to_offsets) != self.document.line_count

    # indentation --------------------------------------------------------------------------------------------

    def _indent_lines(self, direction: int) -> None:
        """Indent (1) or dedent (-1) the selected lines, or the cursor's, by one step, as one edit for undo."""
        first, last = sorted((self.selection.start, self.selection.end))
        bottom = last[0] - 1 if last[1] == 0 and last[0] > first[0] else last[0]
        old = self.document.lines[first[0] : bottom + 1]
        new = [self._indented(line) if direction > 0 else self._dedented(line) for line in old]
        if new == old:
            return
        shifts = [len(line) - len(before) for line, before in zip(new, old, strict=True)]

        def moved(location: Location) -> Location:
            row, column = location
            shift = shifts[row - first[0]] if row <= bottom else 0
            return row, max(0, column + shift) if column else 0

        selection = Selection(moved(self.selection.start), moved(self.selection.end))
        self.history.checkpoint()
        self.edit(Edit("\n".join(new), (first[0], 0), (bottom, len(old[-1])), maintain_selection_offset=False))
        self.selection = selection
        self.history.checkpoint()

    def _indented(self, line: str) -> str:
        return self.indent_unit + line if line.strip() else line

    def _dedented(self, line: str) -> str:
        if line.startswith("\t"):
            return line[1:]
        step = self.indent_width if self.indent_unit == "\t" else len(self.indent_unit)
        return line[min(step, len(line) - len(line.lstrip(" "))) :]


def _actions_by_key() -> dict[str, list[str]]:
    """Return the actions of each key; dtui's bindings replace Textual's for the same key."""
    actions: dict[str, list[str]] = {}
    for bound in (CodeArea.BINDINGS, TextArea.BINDINGS):
        class_actions: dict[str, list[str]] = {}
        for binding in bound:
            if isinstance(binding, Binding):
                for key in binding.key.split(","):
                    class_actions.setdefault(key, []).append(binding.action)
        actions = class_actions | actions
    return actions


_ACTIONS = _actions_by_key()
