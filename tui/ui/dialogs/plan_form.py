"""A benchmark plan of one's own: file sizes, records, repeats, tests and modes, with what it takes as one types."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, SelectionList, Static
from textual.widgets.selection_list import Selection

from tui.bench.plan import TESTS, IoTest, Mode, Plan, custom_plan, human_kb, kilobytes
from tui.core.errors import UsageError
from tui.core.text import printable
from tui.ui.dialogs.base import Dialog, hint
from tui.ui.widgets.lines import Line

Choice = TypeVar("Choice")

_MODES = {
    Mode.CACHED: "CACHED   the page cache",
    Mode.FLUSHED: "FLUSHED  close and fsync in the time",
    Mode.DIRECT: "DIRECT   past the cache",
    Mode.COLD: "COLD     reads, all caches emptied first",
}

_READS = ((IoTest.READ, "read, reread"), (IoTest.RANDOM_READ, "random read, random write"))
"""What can be left out: IOzone always writes the file first."""

_MOST_REPEATS = 100


class Ticks(SelectionList[Choice]):
    """A list to tick by space; Enter takes the whole form."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter", "screen.take", "take it")]


class PlanForm(Dialog[Plan]):
    """Answers with a plan; ``expected`` says in words what a plan takes on the targets that are chosen."""

    DEFAULT_CSS = """
    PlanForm .line { height: 1; }
    PlanForm Label { width: 10; text-style: bold; }
    PlanForm SelectionList { height: auto; width: 1fr; border: none; padding: 0; background: $surface; }
    PlanForm #plan-said { height: 2; margin-top: 1; }
    """

    def __init__(self, plan: Plan, expected: Callable[[Plan], str]) -> None:
        super().__init__()
        self._first = plan
        self._expected = expected

    def compose(self) -> ComposeResult:
        """Lay out three lines to write and two lists to tick."""
        plan = self._first
        sizes = dict.fromkeys(human_kb(kb).lower() for kb, _ in plan.rows)
        records = dict.fromkeys(human_kb(kb).lower() for _, kb in plan.rows)
        with Vertical():
            yield Static(Text("A plan of your own"), classes="question")
            for name, value in (("files", " ".join(sizes)), ("records", " ".join(records)), ("repeats", plan.repeats)):
                with Horizontal(classes="line"):
                    yield Label(name)
                    yield Line(self._take, str(value), id=f"plan-{name}")
            with Horizontal(classes="line"):
                yield Label("tests")
                yield Static("write, rewrite: always, they make the file")
            reads = (Selection(words, test, test in plan.tests) for test, words in _READS)
            yield Ticks[IoTest](*reads, id="plan-tests")
            modes = (Selection(words, mode, mode in plan.modes) for mode, words in _MODES.items())
            yield Ticks[Mode](*modes, id="plan-modes")
            yield Static(id="plan-said")
            yield hint(("tab", "next"), ("space", "tick"), ("enter", "take it"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """Say what the plan takes."""
        self._say()

    @on(Input.Changed)
    @on(SelectionList.SelectedChanged)
    def _say(self) -> None:
        said = self.query_one("#plan-said", Static)
        try:
            plan = self._plan()
            said.update(Text(printable(f"{plan.cells} numbers a target · {self._expected(plan)}")))
        except UsageError as error:
            said.update(Text(printable(str(error)), style="red"))

    def _plan(self) -> Plan:
        """Return what is written; raises UsageError."""
        repeats = self._words("repeats")
        if len(repeats) != 1 or not repeats[0].isdecimal() or not 1 <= int(repeats[0]) <= _MOST_REPEATS:
            raise UsageError(f"repeats are 1 to {_MOST_REPEATS}", "three are enough to see the spread")
        return custom_plan(
            tuple(kilobytes(word) for word in self._words("files")),
            tuple(kilobytes(word) for word in self._words("records")),
            (*TESTS[:2], *self.query_one("#plan-tests", SelectionList).selected),
            tuple(mode for mode in Mode if mode in self.query_one("#plan-modes", SelectionList).selected),
            int(repeats[0]),
        )

    def _words(self, name: str) -> list[str]:
        return list(dict.fromkeys(self.query_one(f"#plan-{name}", Input).value.replace(",", " ").split()))

    def action_take(self) -> None:
        """Answer with the plan, unless it cannot be measured."""
        self._take()

    def _take(self, _line: str = "") -> None:
        try:
            self.dismiss(self._plan())
        except UsageError:
            self.app.bell()
