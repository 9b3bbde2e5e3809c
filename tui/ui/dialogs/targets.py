"""Which storage drivers and engines a benchmark compares: a list to tick, what does not run here with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.core.text import printable
from tui.ui.dialogs.base import Dialog, hint


@dataclass(frozen=True, slots=True)
class Offer:
    """One line: the target's name, what to know of it, and why it cannot be taken (empty when it can)."""

    name: str
    words: str
    why_not: str = ""


class ChooseTargets(Dialog[tuple[str, ...]]):
    """Space ticks, Enter takes what is ticked."""

    DEFAULT_CSS = "ChooseTargets OptionList { height: auto; max-height: 60vh; border: none; padding: 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [("space", "tick", "tick")]

    def __init__(self, offers: tuple[Offer, ...], chosen: tuple[str, ...]) -> None:
        super().__init__()
        self._offers = offers
        self._ticked = {one.name for one in offers if one.name in chosen and not one.why_not}

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        with Vertical():
            yield Static(Text("Which are compared?"), classes="question")
            yield OptionList(*(Option(self._line(one), disabled=bool(one.why_not)) for one in self._offers))
            yield hint(("space", "tick"), ("enter", "take them"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """Begin at the first line."""
        self.query_one(OptionList).highlighted = 0

    def _line(self, one: Offer) -> Text:
        tick = " – " if one.why_not else "[x]" if one.name in self._ticked else "[ ]"
        return Text(f"{tick} {printable(one.name):<16} {printable(one.why_not or one.words)}")

    def action_tick(self) -> None:
        """Tick the line under the cursor, or take its tick away."""
        lines = self.query_one(OptionList)
        if lines.highlighted is None or self._offers[lines.highlighted].why_not:
            return
        one = self._offers[lines.highlighted]
        self._ticked ^= {one.name}
        lines.replace_option_prompt_at_index(lines.highlighted, self._line(one))

    @on(OptionList.OptionSelected)
    def _take(self) -> None:
        """Answer with what is ticked, in the order of the list."""
        self.dismiss(tuple(one.name for one in self._offers if one.name in self._ticked))
