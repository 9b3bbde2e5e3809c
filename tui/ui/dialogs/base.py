"""The base class and the layout of all dialogs."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.layout import Layout
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.ui.actions import bindings

Answer = TypeVar("Answer")

_WIDEST = 110
_HIGHEST = 3
"""Maximum width of a dialog and maximum height of its question and key line, as in the style sheet below."""


def hint(*keys: tuple[str, str]) -> Static:
    """Return the last line of a dialog, which names each key and what it does."""
    text = Text()
    for key, word in keys:
        text.append_text(Text.assemble((f" {key} ", "bold reverse"), f" {word}    "))
    return Static(text, classes="hint")


class Reading(VerticalScroll):
    """A scrollable text in a dialog, with the movement keys of all lists."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move", only=("cursor_up", "cursor_down", "page_up", "page_down", "first", "last")),
        Binding("g", "first", show=False),
    ]

    def __init__(self, text: Text, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(Static(text), id=id, classes="body")

    def action_cursor_up(self) -> None:
        self.scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.scroll_down(animate=False)

    def action_page_up(self) -> None:
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_first(self) -> None:
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        self.scroll_end(animate=False)


class Box(Vertical):
    """The frame of a dialog. It gives its ``body`` the height that the other lines leave.

    This keeps the key line visible, which a fixed height in the style sheet cannot do: the question and the key line
    may wrap.
    """

    def pre_layout(self, layout: Layout) -> None:
        """Set the height of the body."""
        del layout
        screen = self.screen.size
        width, room = min(screen.width * 9 // 10, _WIDEST) - 4, screen.height * 9 // 10 - 2
        bodies = [child for child in self.children if child.has_class("body")]
        for line in self.children:
            if line not in bodies:
                room -= min(line.get_content_height(screen, screen, width), _HIGHEST) + 1
        for body in bodies:
            most = body.styles.max_height
            if most is None or most.value != max(1, room):  # each change triggers another layout
                body.styles.max_height = max(1, room)


class Dialog(ModalScreen[Answer]):
    """A modal question; Escape answers None, which changes nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "cancel", "cancel")]
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical {
        width: 90%; max-width: 110; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    Dialog .question { text-style: bold; margin-bottom: 1; max-height: 3; }
    Dialog .body { height: auto; }
    Dialog .hint { color: $text-muted; margin-top: 1; max-height: 3; }
    """

    abandoned = False
    """Whether the action that asked was cancelled, so that nobody waits for the answer."""

    def on_screen_resume(self) -> None:
        """Close an abandoned dialog when it becomes the top screen."""
        if self.abandoned:
            self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)
