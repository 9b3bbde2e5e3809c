"""Chooses the storage drivers and engines to benchmark; one that cannot run on this host is listed with the reason."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import OptionList, Static

from tui.ui.dialogs.base import Box, Dialog, hint
from tui.ui.widgets.ticks import Tick, Ticks


class ChooseTargets(Dialog[tuple[str, ...]]):
    """Returns the names of the ticked targets."""

    def __init__(self, offers: tuple[Tick, ...], chosen: tuple[str, ...]) -> None:
        super().__init__()
        self._offers = offers
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Box():
            yield Static(Text("Compare which targets?"), classes="question")
            yield Ticks(self._offers, self._chosen, classes="body")
            yield hint(("space", "tick"), ("enter", "use these"), ("esc", "cancel"))

    @on(OptionList.OptionSelected)
    def _take(self) -> None:
        """Answer with the ticked names, in the order of the list."""
        self.dismiss(self.query_one(Ticks).ticked)
