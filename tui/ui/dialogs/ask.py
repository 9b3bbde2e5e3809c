"""A question answered with one line of text."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.ui.dialogs.base import Dialog, hint
from tui.ui.widgets.lines import Line


class Ask(Dialog[str]):
    """Asks for a line; Enter answers with it."""

    def __init__(self, question: str, *, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._question = question
        self._value = value
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        """Lay out question and input."""
        with Vertical():
            yield Static(Text(self._question), classes="question")
            yield Line(self.dismiss, self._value, placeholder=self._placeholder)
            yield hint(("enter", "go"), ("esc", "cancel"))
