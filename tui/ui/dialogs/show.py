"""A dialog that shows text, such as the help or the details of a container."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from tui.ui.actions import SCOPE_TITLES, actions_of, key_text
from tui.ui.dialogs.base import Box, Dialog, Reading, hint


class TextDialog(Dialog[None]):
    """Shows a text until Escape, Enter or q."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,enter,q,question_mark", "cancel", "close")]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        with Box():
            yield Static(Text(self._title), classes="question")
            yield Reading(self._text)
            yield hint(("↑↓", "scroll"), ("esc", "close"))


def help_text(scope: str) -> Text:
    """Return a list of all keys, with those of the current screen first."""
    order = [scope, *(name for name in SCOPE_TITLES if name != scope)]
    text = Text()
    for name in order:
        text.append(f"{SCOPE_TITLES[name]}\n", style="bold underline")
        for action in actions_of(name):
            keys = action.key_display or key_text(action.keys)
            text.append_text(Text.assemble(("  " + keys.ljust(16), "bold"), action.help, "\n"))
        text.append("\n")
    return text
