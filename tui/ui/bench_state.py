"""The state that the parts of the benchmark screen share: choices, measurements and display options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tui.bench.charts import ChartStyle, chart_style_of
from tui.bench.cow_suite import QUICK, STANDARD, CowPlan, CowSample
from tui.bench.plan import Mode, Plan, Preset, make_plan
from tui.bench.results import Result, Sample
from tui.bench.runner import BenchRun, expected_seconds, expected_space
from tui.engine.endpoint import Endpoint
from tui.render.benchmarks import Expected
from tui.services.bench_targets import HOST, VOLUME
from tui.ui.host import Host

IOZONE, COPY_ON_WRITE, BOTH = "iozone", "copy-on-write", "both"
SUITES = (IOZONE, COPY_ON_WRITE, BOTH)

_NOTHING: frozenset[str] = frozenset()


class BenchState:
    """The state of the benchmark screen. Call ``changed`` after changing it, to redraw."""

    def __init__(self, host: Callable[[], Host], endpoint: Endpoint, changed: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.changed = changed
        self._host = host
        # the next run
        self.plan: Plan = make_plan(Preset.QUICK)
        self.suite = IOZONE
        self.names: tuple[str, ...] = (endpoint.name,)
        # the current or last run
        self.run: BenchRun | None = None
        self.shown_result: Result | None = None
        self.samples: list[Sample] = []
        self.cow_samples: list[CowSample] = []
        # display options
        self.relative = False
        self.tables = False
        self.zoomed = False
        self.chosen_test = 0
        self.hidden = _NOTHING
        self._mode_number = 0

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names of all targets of the current or next run, including the controls."""
        if self.run:
            return tuple(target.name for target in self.run.targets)
        if self.shown_result:
            return tuple(self.shown_result.targets)
        engines = {endpoint.name for endpoint in self._host().endpoints}
        if set(self.names) <= engines:
            return self.names
        twin = (f"{self.names[0]} again",) if self.names[0] not in (HOST, VOLUME) else ()
        return (*self.names, *twin, *(HOST,) * (HOST not in self.names))

    @property
    def shown_plan(self) -> Plan:
        """The plan of the run that is shown, else of the next one."""
        return self.run.plan if self.run else self.shown_result.plan if self.shown_result else self.plan

    @property
    def mode(self) -> Mode:
        """The mode whose numbers are shown."""
        modes = self.shown_plan.modes
        return modes[self._mode_number % len(modes)]

    def next_mode(self) -> None:
        """Show the next mode that the plan measures."""
        self._mode_number += 1

    @property
    def cow(self) -> CowPlan | None:
        """The chosen copy-on-write suite; None if it is not part of the run."""
        if self.suite == IOZONE:
            return None
        return STANDARD if self.plan.preset is Preset.STANDARD else QUICK

    @property
    def runs_iozone(self) -> bool:
        """Whether the chosen suite includes IOzone."""
        return self.suite != COPY_ON_WRITE

    def expected(self, plan: Plan) -> Expected:
        """Return the time and space that a plan needs on the chosen targets."""
        iozone = plan if self.runs_iozone else None
        images = sum(name not in (HOST, VOLUME) for name in self.all_names)
        seconds = expected_seconds(iozone, self.cow, len(self.all_names), images)
        drops = iozone.drops * len(self.all_names) if iozone else 0
        own = sum(name not in (HOST, VOLUME) for name in self.names)
        return Expected(seconds, expected_space(iozone, self.cow, own), drops)

    @property
    def result(self) -> Result:
        """The result to show; of a run in progress, its numbers so far."""
        if self.shown_result:
            return self.shown_result
        targets: dict[str, dict[str, str]] = {name: {} for name in self.all_names}
        started = datetime.now(UTC)
        return Result(self.shown_plan, started, {}, targets, tuple(self.samples), (), "", cow=tuple(self.cow_samples))

    @property
    def chart_style(self) -> ChartStyle:
        """The colour of each target, and which are hidden."""
        return chart_style_of(self.result, self.mode, self.hidden)

    def forget(self) -> None:
        """Show the next run's plan instead of a result."""
        self.shown_result, self.samples, self.cow_samples = None, [], []
        self.hidden, self._mode_number = _NOTHING, 0
        self.changed()

    def show_result(self, result: Result) -> None:
        """Show a finished run, new or old, and choose its targets for the next run."""
        self.shown_result = result
        self.names = tuple(name for name, target in result.targets.items() if not target.get("control")) or self.names
        self.hidden, self._mode_number = _NOTHING, 0
        self.changed()

    def toggle(self, number: int) -> bool:
        """Hide or show a target in the charts, counted from 1; return False if it was the last one visible.

        0 shows all of them.
        """
        names = self.all_names
        hidden = self.hidden ^ {names[number - 1]} if 0 < number <= len(names) else self.hidden
        if len(hidden) == len(names):
            return False
        self.hidden = hidden if number else _NOTHING
        return True
