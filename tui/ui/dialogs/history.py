"""The list of earlier benchmark runs, to open, compare, rename or delete."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.bench.store import RunSummary
from tui.core.text import count_of, printable
from tui.ui.dialogs.base import Box, Dialog, hint


class History(Dialog[tuple[str, int]]):
    """Returns an action (``open``, ``compare``, ``rename`` or ``delete``) and the id of a run."""

    DEFAULT_CSS = "History OptionList { border: none; padding: 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "answer('compare')", "compare"),
        Binding("r", "answer('rename')", "rename"),
        Binding("delete,X", "answer('delete')", "delete"),
    ]

    def __init__(self, runs: tuple[RunSummary, ...]) -> None:
        super().__init__()
        self._runs = runs

    def compose(self) -> ComposeResult:
        with Box():
            yield Static(Text("Runs on this host"), classes="question")
            yield OptionList(*(Option(_line(run), str(run.id)) for run in self._runs), classes="body")
            open_, compare, rename = ("enter", "open"), ("c", "compare with the one shown"), ("r", "rename")
            yield hint(open_, compare, rename, ("X", "delete"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """Put the cursor on the newest run."""
        self.query_one(OptionList).highlighted = 0

    @on(OptionList.OptionSelected)
    def _open(self) -> None:
        self.action_answer("open")

    def action_answer(self, action: str) -> None:
        """Answer with this action for the run under the cursor."""
        index = self.query_one(OptionList).highlighted
        if index is not None:
            self.dismiss((action, self._runs[index].id))


def _line(run: RunSummary) -> Text:
    numbers = count_of(run.numbers, "number")
    summary = f"{run.id:>4}  {run.started:%Y-%m-%d %H:%M}  {run.preset.value:<8} {numbers:>14}  {' '.join(run.targets)}"
    line = Text(printable(summary))
    if run.name:
        line.append(f"  {printable(run.name)}", style="bold")
    if run.problem:
        line.append(f"  {printable(run.problem)}", style="yellow")
    return line
