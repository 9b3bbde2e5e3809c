"""The common shape of the modal questions."""

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
"""Cells of a dialog, and lines that its question and its keys may take, as the style sheet below says too."""


def hint(*keys: tuple[str, str]) -> Static:
    """Return the lower line of a dialog: each key and what it does."""
    text = Text()
    for key, word in keys:
        text.append_text(Text.assemble((f" {key} ", "bold reverse"), f" {word}    "))
    return Static(text, classes="hint")


class Reading(VerticalScroll):
    """A text of any length in a dialog, moved in by the keys that move everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move", only=("cursor_up", "cursor_down", "page_up", "page_down", "first", "last")),
        Binding("g", "first", show=False),
    ]

    def __init__(self, text: Text, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(Static(text), id=id, classes="body")

    def action_cursor_up(self) -> None:
        """One line up."""
        self.scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        """One line down."""
        self.scroll_down(animate=False)

    def action_page_up(self) -> None:
        """One page up."""
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """One page down."""
        self.scroll_page_down(animate=False)

    def action_first(self) -> None:
        """To the first line."""
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """To the last line."""
        self.scroll_end(animate=False)


class Box(Vertical):
    """What a dialog is made of. Its ``body`` is as high as the other lines leave room for.

    So the line with the keys is always seen, which no height in the style sheet can promise: a question and its keys
    may break into several lines.
    """

    def pre_layout(self, layout: Layout) -> None:
        """Give the body its room."""
        del layout
        screen = self.screen.size
        width, room = min(screen.width * 9 // 10, _WIDEST) - 4, screen.height * 9 // 10 - 2
        bodies = [child for child in self.children if child.has_class("body")]
        for line in self.children:
            if line not in bodies:
                room -= min(line.get_content_height(screen, screen, width), _HIGHEST) + 1
        for body in bodies:
            most = body.styles.max_height
            if most is None or most.value != max(1, room):  # each change asks for another layout
                body.styles.max_height = max(1, room)


class Dialog(ModalScreen[Answer]):
    """A question over the screen; Escape answers None, which never does anything."""

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
    """Whether nobody waits for the answer any more, for another act took the place of the one that asked."""

    def on_screen_resume(self) -> None:
        """Go, once it comes to the top, when nobody waits for the answer."""
        if self.abandoned:
            self.dismiss(None)

    def action_cancel(self) -> None:
        """Answer nothing."""
        self.dismiss(None)
