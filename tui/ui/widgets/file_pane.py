"""The right half of the layer screen: a file as text or hex, or information about an entry."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import ContentSwitcher, Static, TextArea
from textual.widgets.text_area import Selection

from tui.core.text import human_size, printable
from tui.files import PREVIEW_LIMIT, Document, hex_lines, indent_unit, match_in
from tui.ui.widgets.code_area import CodeArea
from tui.ui.widgets.lines import Line
from tui.ui.widgets.rows import VirtualList


class HexRows(VirtualList):
    """A binary file with sixteen bytes per line."""

    has_cursor = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.data = b""

    def show(self, data: bytes) -> None:
        """Show these bytes from the beginning."""
        self.data = data
        self.scroll_home(animate=False)
        self.rows_changed()

    def count(self) -> int:
        return (len(self.data) + 15) // 16

    def content_width(self) -> int:
        """Return the width of a full line, so that a narrow pane can scroll to its end."""
        return len(next(hex_lines(bytes(16))))

    def row(self, index: int, width: int) -> Text:
        del width
        return Text(next(iter(hex_lines(self.data[index * 16 : index * 16 + 16], start=index * 16)), ""))


class FilePane(Vertical):
    """Shows a text, hex or information; :meth:`begin_edit` makes the text editable."""

    DEFAULT_CSS = """
    FilePane ContentSwitcher { height: 1fr; }
    FilePane TextArea { border: none; padding: 0; height: 1fr; background: $surface; }
    FilePane TextArea:focus { border: none; }
    FilePane #info { padding: 0 1; }
    FilePane #find { display: none; }
    FilePane #find.-shown { display: block; }
    """

    class Edited(Message):
        """The text now differs from what was loaded, or no longer does."""

    class Missed(Message):
        """The text does not contain what was searched for."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.document: Document | None = None
        self.editing = False
        """Whether the text is editable; a field because it is read before the pane is composed."""
        self.face = "info"
        """Which widget is shown: ``text``, ``hex`` or ``info``."""
        self._marked = False
        self._needle = ""

    def compose(self) -> ComposeResult:
        with ContentSwitcher(initial="info"):
            yield CodeArea(
                id="text",
                read_only=True,
                show_line_numbers=True,
                soft_wrap=False,
                tab_behavior="indent",
                max_checkpoints=500,
            )
            yield HexRows(id="hex")
            yield Static(id="info")
        yield Line(self._find_text, placeholder="find", id="find")

    @property
    def area(self) -> CodeArea:
        return self.query_one("#text", CodeArea)

    @property
    def modified(self) -> bool:
        """Whether the text differs from what was loaded; compares the text itself because events arrive late."""
        return self.editing and self.document is not None and self.area.text != self.document.text

    def _show_face(self, face: str) -> None:
        self.face = face
        self.query_one(ContentSwitcher).current = face

    def show_title(self, title: str) -> None:
        """Show untrusted text as the pane's title."""
        self.border_title = Content(printable(title))

    def show_info(self, text: Text) -> None:
        """Show information instead of contents."""
        self._leave()
        self.document = None
        self.query_one("#info", Static).update(text)
        self._show_face("info")
        self.border_subtitle = Content("")

    def show_document(self, document: Document, language: str | None) -> None:
        """Show a file, read-only, as text or as hex."""
        self._leave()
        self.document = document
        if document.binary:
            self.query_one("#hex", HexRows).show(document.data)
            self._show_face("hex")
            size = f"first {human_size(len(document.data))}" if document.cut else f"{len(document.data):,} B"
            self.border_subtitle = Content(f"binary · {size}")
            return
        self.load(document.text, language)
        self.area.file = document
        self.area.indent_unit = indent_unit(document, language)
        self.area.indent_type = "tabs" if self.area.indent_unit == "\t" else "spaces"
        self._show_face("text")
        self.tell_place()

    def load(self, text: str, language: str | None) -> None:
        """Load text into the area and scroll to the top."""
        area = self.area
        area.text = ""  # first, because a change of language or theme lays out the current text again
        supported_language = language if language in area.available_languages else None
        if area.language != supported_language:
            area.language = supported_language
        theme = "vscode_dark" if self.app.current_theme.dark else "github_light"
        if area.theme != theme:
            area.theme = theme
        area.text = text
        area.scroll_home(animate=False)

    def begin_edit(self) -> None:
        """Make the text editable and focus it."""
        self.area.read_only = False
        self.editing = True
        self.screen.set_focus(self.area)
        self.tell_place()

    def replace_text(self, text: str) -> None:
        """Replace the whole text in one edit, which undo takes back."""
        self.area.replace(text, self.area.document.start, self.area.document.end)

    def _leave(self) -> None:
        self.area.read_only = True
        self.editing = False
        self._marked = False
        self.query_one("#find").remove_class("-shown")

    def end_edit(self) -> None:
        """Make the text read-only again."""
        self._leave()
        self.tell_place()

    @on(TextArea.Changed, "#text")
    def _text_changed(self) -> None:
        modified = self.modified
        if modified != self._marked:
            self._marked = modified
            self.post_message(self.Edited())

    @on(TextArea.SelectionChanged, "#text")
    def tell_place(self) -> None:
        """Show language, line ends, encoding and cursor position in the border."""
        document = self.document
        if document is None or document.binary:
            return
        row, column = self.area.cursor_location
        parts = [self.area.language or "text", document.eol, document.encoding, f"Ln {row + 1}, Col {column + 1}"]
        if document.read_only_reason:
            parts.insert(0, f"read-only: {document.read_only_reason}")
        elif not self.editing:
            parts.insert(0, "e opens it" if document.cut else "e edits")
        if document.cut:
            parts.insert(0, f"first {PREVIEW_LIMIT >> 10} KiB")
        self.border_subtitle = Content(printable(" · ".join(parts)))

    # find and go to ----------------------------------------------------------------------------------------

    def open_find(self) -> None:
        """Show and focus the find line."""
        line = self.query_one("#find", Line)
        line.add_class("-shown")
        self.screen.set_focus(line)  # at once: the next key is meant for it

    def _find_text(self, needle: str) -> None:
        self._needle = needle
        self.query_one("#find").remove_class("-shown")
        self.screen.set_focus(self.area)
        if needle and not self.find_again():
            self.post_message(self.Missed())

    def close_find(self) -> bool:
        """Hide the find line; return whether it was shown."""
        line = self.query_one("#find")
        was_shown = line.has_class("-shown")
        line.remove_class("-shown")
        if was_shown:
            self.screen.set_focus(self.area)
        return was_shown

    def find_again(self) -> bool:
        """Select the next match after the cursor, wrapping at the end; return whether there is one."""
        if not self._needle:
            return False
        lines = self.area.file.shield.reveal(self.area.text).split("\n")  # same length, so columns agree
        row, column = self.area.selection.end
        for offset in range(len(lines) + 1):
            at = (row + offset) % len(lines)
            match_column = match_in(lines[at], self._needle, column if offset == 0 else 0)
            if match_column is not None:
                self.area.selection = Selection((at, match_column[0]), (at, match_column[1]))
                self.area.scroll_cursor_visible(center=True)
                return True
        return False

    def go_to_line(self, line: int) -> None:
        """Put the cursor at the start of a line, counted from 1."""
        last = self.area.document.line_count
        self.area.move_cursor((max(1, min(line, last)) - 1, 0), center=True)
