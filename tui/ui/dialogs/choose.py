"""A question with a few answers, each on a key."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.widgets import Static

from tui.ui.dialogs.base import Box, Dialog, Reading, hint


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: the key that gives it, and what it does."""

    key: str
    answer: str
    text: str


class Choose(Dialog[str]):
    """Asks a question; a key answers it. ``body`` is shown between, scrollable."""

    def __init__(self, question: str, choices: tuple[Choice, ...], body: Text | None = None) -> None:
        super().__init__()
        self._question = question
        self._choices = choices
        self._body = body

    def compose(self) -> ComposeResult:
        """Lay out question, body and answers."""
        with Box():
            yield Static(Text(self._question), classes="question")
            if self._body is not None:
                yield Reading(self._body, id="body")
            yield hint(*((choice.key, choice.text) for choice in self._choices), ("esc", "cancel"))

    def on_key(self, event: events.Key) -> None:
        """Answer when the key is one of the choices."""
        for choice in self._choices:
            if choice.key in (event.key, event.character):
                event.stop()
                self.dismiss(choice.answer)
