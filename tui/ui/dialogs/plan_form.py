"""A form for a custom benchmark plan, with a live estimate of the time and space it needs."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, OptionList, Static

from tui.bench.plan import TESTS, IoTest, Mode, Plan, custom_plan, human_kb, parse_kb
from tui.core.errors import UsageError
from tui.core.text import printable
from tui.ui.dialogs.base import Dialog, hint
from tui.ui.widgets.lines import Line
from tui.ui.widgets.ticks import Tick, Ticks

_MODES = (
    Tick(Mode.CACHED, "in the page cache"),
    Tick(Mode.FLUSHED, "time includes close and fsync"),
    Tick(Mode.DIRECT, "bypasses the page cache"),
    Tick(Mode.COLD, "first reads with empty caches"),
)

_READS = (
    Tick(IoTest.READ.value, "and reread"),
    Tick(IoTest.RANDOM_READ.value, "and random write"),
)
"""The optional tests, without write and rewrite, which create the file."""

_MOST_REPEATS = 100


class PlanForm(Dialog[Plan]):
    """Returns a plan. ``expected`` describes the time and space that a plan needs on the chosen targets."""

    DEFAULT_CSS = """
    PlanForm .line { height: 1; }
    PlanForm Label { width: 10; text-style: bold; }
    PlanForm Ticks { background: $surface; }
    PlanForm #plan-said { height: 3; margin-top: 1; }
    """

    def __init__(self, plan: Plan, expected: Callable[[Plan], str]) -> None:
        super().__init__()
        self._first = plan
        self._expected = expected

    def compose(self) -> ComposeResult:
        plan = self._first
        sizes = dict.fromkeys(human_kb(kb).lower() for kb, _ in plan.rows)
        records = dict.fromkeys(human_kb(kb).lower() for _, kb in plan.rows)
        with Vertical():
            yield Static(Text("Your own plan"), classes="question")
            for name, value in (("files", " ".join(sizes)), ("records", " ".join(records)), ("repeats", plan.repeats)):
                with Horizontal(classes="line"):
                    yield Label(name)
                    yield Line(self._take, str(value), id=f"plan-{name}")
            with Horizontal(classes="line"):
                yield Label("tests")
                yield Static("write, rewrite (always: they create the file)")
            yield Ticks(_READS, tuple(test.value for test in plan.tests), id="plan-tests")
            yield Label("modes")
            yield Ticks(_MODES, tuple(mode.value for mode in plan.modes), id="plan-modes")
            yield Static(id="plan-said")
            yield hint(("tab", "next"), ("space", "tick"), ("enter", "use this plan"), ("esc", "cancel"))

    def on_mount(self) -> None:
        self._show_estimate()

    @on(Input.Changed)
    @on(Ticks.Changed)
    def _show_estimate(self) -> None:
        status = self.query_one("#plan-said", Static)
        try:
            plan = self._plan()
            status.update(Text(printable(f"{plan.cells} numbers per target · {self._expected(plan)}")))
        except UsageError as error:
            status.update(Text(printable(str(error)), style="red"))

    def _plan(self) -> Plan:
        """Return the plan as entered; raises UsageError."""
        repeats = self._input_values("repeats")
        if len(repeats) != 1 or not repeats[0].isdecimal() or not 1 <= int(repeats[0]) <= _MOST_REPEATS:
            raise UsageError(f"repeats must be 1 to {_MOST_REPEATS}", "three are enough to show the spread")
        return custom_plan(
            tuple(parse_kb(word) for word in self._input_values("files")),
            tuple(parse_kb(word) for word in self._input_values("records")),
            (*TESTS[:2], *(IoTest(name) for name in self.query_one("#plan-tests", Ticks).ticked)),
            tuple(Mode(name) for name in self.query_one("#plan-modes", Ticks).ticked),
            int(repeats[0]),
        )

    def _input_values(self, name: str) -> list[str]:
        return list(dict.fromkeys(self.query_one(f"#plan-{name}", Input).value.replace(",", " ").split()))

    @on(OptionList.OptionSelected)
    def _take_from_list(self) -> None:
        self._take()

    def _take(self, _line: str = "") -> None:
        """Answer with the plan, if it is valid."""
        try:
            self.dismiss(self._plan())
        except UsageError:
            self.app.bell()
