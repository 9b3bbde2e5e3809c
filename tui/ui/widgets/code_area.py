"""The editor itself: Textual's text area, with what is typed kept exactly, and keys in the order they are pressed."""

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
    """The editor itself. Its keys act on the screen, and only while it is editable.

    Textual 8.2.8 inserts letters when they arrive but runs bound keys (backspace, end, ^s) a turn later, so that a
    burst of keys, as a slow line delivers it, would be carried out in another order. Here every key waits its turn.
    """

    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("editor", "editor_", below=True)

    class Refused(Message):
        """Some text was not inserted, because no save could keep it."""

        def __init__(self, error: EditRefused) -> None:
            super().__init__()
            self.error = error

    file = Document.parse(b"")
    """The file whose text this is: it knows how characters stand here that a text area would alter."""

    indent_unit = "    "
    """What one step of indentation is."""

    # keys ---------------------------------------------------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        actions = _ACTIONS.get(event.key, ()) if not self.read_only else ()
        if not actions:
            await self._type(event)
            return
        event.prevent_default()
        for action in actions:  # of two on one key the screen has one; ^c with nothing selected goes on to the app
            if await self.app.run_action(action, self):
                event.stop()
                return

    async def _type(self, event: events.Key) -> None:
        """Take a key that is bound to nothing; Textual drops characters that Python does not call printable."""
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

    # what comes in and goes out -----------------------------------------------------------------------------

    def _replace_via_keyboard(self, insert: str, start: Location, end: Location) -> EditResult | None:
        """Insert what was typed, as it stands in this text; refuse what no save could keep."""
        try:
            return super()._replace_via_keyboard(self.file.shield_typed(insert), start, end)
        except EditRefused as error:
            self.post_message(self.Refused(error))
            return None

    async def _on_paste(self, event: events.Paste) -> None:
        """Insert what the terminal pastes."""
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
        """Insert what was cut or copied here; bytes that are no characters come along."""
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
        """Copy the selection as what it stands for."""
        if not self.selected_text:
            raise SkipAction
        self.app.copy_to_clipboard(self.file.shield.reveal(self.selected_text))

    def action_cut(self) -> None:
        """Cut the selection, or the line, as what it stands for."""
        if self.read_only:
            return
        start, end = self.selection
        result = self._delete_cursor_line() if start == end else self._delete_via_keyboard(start, end)
        if result is not None:
            self.app.copy_to_clipboard(self.file.shield.reveal(result.replaced_text))

    # layout -------------------------------------------------------------------------------------------------

    def _refresh_size(self) -> None:
        """Clamp the cursor before the layout changes.

        Undo and redo move it only afterwards, and when the scrollbar goes, Textual 8.2.8 looks for it in a line that is
        not there any more.
        """
        if self.wrapped_document.document is self.document and self._is_out_of_step:
            self.wrapped_document.wrap(self.wrap_width, self.indent_width)
        self.selection = self.selection  # validated, and so clamped
        super()._refresh_size()

    @property
    def _is_out_of_step(self) -> bool:
        return len(self.wrapped_document._line_index_to_offsets) != self.document.line_count

    # indentation --------------------------------------------------------------------------------------------

    def _indent_lines(self, direction: int) -> None:
        """Indent the selected lines, or the cursor's, by one step, or take one out; undo takes all of it back."""
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
    """Return what each key does; a key of ours takes the place of Textual's own."""
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
