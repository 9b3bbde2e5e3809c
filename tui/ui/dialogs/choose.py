"""A question with a few answers, one key for each.

All questions follow one convention: ``y`` confirms, other letters choose between options, Escape cancels. Enter and
space never answer, nor does the key that opened the question while it is held down. If ``y`` opened the question, a
second ``y`` counts only after a pause longer than the keyboard's repeat delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.widgets import Static

from tui.ui.dialogs.base import Box, Dialog, Reading, hint

_REPEAT = 0.7
"""Seconds, longer than the delay before a held key repeats (at most 660 ms with xset and libinput)."""

_NEVER = ("enter", "space", " ", "escape")


@dataclass(frozen=True, slots=True)
class Choice:
    """One possible answer, its key, and what it does."""

    key: str
    answer: str
    text: str

    def __post_init__(self) -> None:
        if self.key in _NEVER:
            raise ValueError(f"{self.key} must not answer a question")


def confirm(verb: str, *, answer: str = "yes") -> Choice:
    """Return the choice that confirms with ``y``; ``verb`` says what it does."""
    return Choice("y", answer, verb)


class ChooseDialog(Dialog[str]):
    """Asks a question that one key answers. ``body`` is shown below the question and scrolls."""

    def __init__(self, question: str, choices: tuple[Choice, ...], body: Text | None = None) -> None:
        super().__init__()
        self._question = question
        self._choices = choices
        self._body = body
        self._asked_by = ""
        self._pressed_at = 0.0

    def compose(self) -> ComposeResult:
        with Box():
            yield Static(Text(self._question), classes="question")
            if self._body is not None:
                yield Reading(self._body, id="body")
            yield hint(*((choice.key, choice.text) for choice in self._choices), ("esc", "cancel"))

    def on_mount(self) -> None:
        """Remember which key opened the question."""
        self._asked_by, self._pressed_at = getattr(self.app, "last_key", ""), monotonic()

    def on_key(self, event: events.Key) -> None:
        """Answer if the key is one of the choices."""
        since, self._pressed_at = monotonic() - self._pressed_at, monotonic()
        if event.key == self._asked_by and since < _REPEAT:  # it is still held down
            event.stop()
            return
        self._pressed_at = 0.0
        for choice in self._choices:
            if choice.key in (event.key, event.character):
                event.stop()
                self.dismiss(choice.answer)
