"""A dialog that asks for one line of text."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.core.text import printable
from tui.ui.dialogs.base import Dialog, hint
from tui.ui.widgets.lines import Line


class AskDialog(Dialog[str]):
    """Asks for a line of text. ``error`` says why the previous answer was refused; ``verb`` is what Enter does."""

    DEFAULT_CSS = "AskDialog #refused { color: $text-error; margin-bottom: 1; }"

    def __init__(self, question: str, *, verb: str, value: str = "", placeholder: str = "", error: str = "") -> None:
        super().__init__()
        self._question = question
        self._value = value
        self._placeholder = placeholder
        self._error = error
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._question), classes="question")
            if self._error:
                yield Static(Text(f"! {printable(self._error)}"), id="refused")
            yield Line(self.dismiss, self._value, placeholder=self._placeholder)
            yield hint(("enter", self._verb), ("esc", "cancel"))
