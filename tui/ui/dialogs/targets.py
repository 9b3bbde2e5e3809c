"""Which storage drivers and engines a benchmark compares: a list to tick, what does not run here with its reason."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import OptionList, Static

from tui.ui.dialogs.base import Box, Dialog, hint
from tui.ui.widgets.ticks import Tick, Ticks


class ChooseTargets(Dialog[tuple[str, ...]]):
    """Space ticks, Enter takes what is ticked."""

    def __init__(self, offers: tuple[Tick, ...], chosen: tuple[str, ...]) -> None:
        super().__init__()
        self._offers = offers
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        with Box():
            yield Static(Text("Which are compared?"), classes="question")
            yield Ticks(self._offers, self._chosen, classes="body")
            yield hint(("space", "tick"), ("enter", "take them"), ("esc", "cancel"))

    @on(OptionList.OptionSelected)
    def _take(self) -> None:
        """Answer with what is ticked, in the order of the list."""
        self.dismiss(self.query_one(Ticks).ticked)
