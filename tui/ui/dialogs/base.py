"""The common shape of the modal questions."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from rich.text import Text
from textual.binding import BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

Answer = TypeVar("Answer")


def hint(*keys: tuple[str, str]) -> Static:
    """Return the lower line of a dialog: each key and what it does."""
    text = Text()
    for key, word in keys:
        text.append_text(Text.assemble((f" {key} ", "bold reverse"), f" {word}    "))
    return Static(text, classes="hint")


class Dialog(ModalScreen[Answer]):
    """A question over the screen; Escape answers None, which never does anything."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "cancel", "cancel")]
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical {
        width: 90%; max-width: 110; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    Dialog .question { text-style: bold; margin-bottom: 1; }
    Dialog .hint { color: $text-muted; margin-top: 1; }
    """

    def action_cancel(self) -> None:
        """Answer nothing."""
        self.dismiss(None)
