"""What the parts of the benchmark screen share: what is chosen, what is measured, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tui.bench.charts import ChartStyle, chart_style_of
from tui.bench.cow_suite import QUICK, STANDARD, CowPlan, CowSample
from tui.bench.plan import Mode, Plan, Preset, make_plan
from tui.bench.results import Result, Sample
from tui.bench.runner import BenchRun, expected_seconds, expected_space
from tui.engine.endpoint import Endpoint
from tui.render.bench import Expected
from tui.services.bench_targets import HOST, VOLUME
from tui.ui.host import Host

IOZONE, COPY_ON_WRITE, BOTH = "iozone", "copy-on-write", "both"
SUITES = (IOZONE, COPY_ON_WRITE, BOTH)

_NOTHING: frozenset[str] = frozenset()


class BenchState:
    """The state of the benchmark screen. Whoever changes it calls ``changed``, which shows it."""

    def __init__(self, host: Callable[[], Host], endpoint: Endpoint, changed: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.changed = changed
        self._host = host
        # what would be run
        self.plan: Plan = make_plan(Preset.QUICK)
        self.suite = IOZONE
        self.names: tuple[str, ...] = (endpoint.name,)
        # what is run, or was
        self.run: BenchRun | None = None
        self.shown_result: Result | None = None
        self.samples: list[Sample] = []
        self.cow_samples: list[CowSample] = []
        # how it is shown
        self.relative = False
        self.tables = False
        self.zoomed = False
        self.chosen_test = 0
        self.hidden = _NOTHING
        self._mode_number = 0

    @property
    def all_names(self) -> tuple[str, ...]:
        """The targets that take part or took part, the controls among them."""
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
        """The plan that is run, was run, or would be."""
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
        """The copy-on-write suite that is chosen."""
        if self.suite == IOZONE:
            return None
        return STANDARD if self.plan.preset is Preset.STANDARD else QUICK

    @property
    def runs_iozone(self) -> bool:
        """Whether IOzone takes part in what is chosen."""
        return self.suite != COPY_ON_WRITE

    def expected(self, plan: Plan) -> Expected:
        """Return what a run of a plan takes and needs on the targets that are chosen."""
        iozone = plan if self.runs_iozone else None
        images = sum(name not in (HOST, VOLUME) for name in self.all_names)
        seconds = expected_seconds(iozone, self.cow, len(self.all_names), images)
        drops = iozone.drops * len(self.all_names) if iozone else 0
        own = sum(name not in (HOST, VOLUME) for name in self.names)
        return Expected(seconds, expected_space(iozone, self.cow, own), drops)

    @property
    def result(self) -> Result:
        """What is shown, as a result: of the run under way as far as it is."""
        if self.shown_result:
            return self.shown_result
        targets: dict[str, dict[str, str]] = {name: {} for name in self.all_names}
        started = datetime.now(UTC)
        return Result(self.shown_plan, started, {}, targets, tuple(self.samples), (), "", cow=tuple(self.cow_samples))

    @property
    def chart_style(self) -> ChartStyle:
        """Which target has which colour, and which are not drawn."""
        return chart_style_of(self.result, self.mode, self.hidden)

    def forget(self) -> None:
        """Show no run any more, but what would be run."""
        self.shown_result, self.samples, self.cow_samples = None, [], []
        self.hidden, self._mode_number = _NOTHING, 0
        self.changed()

    def show_result(self, result: Result) -> None:
        """Show a run that ended, just now or long ago; its targets are those of the next run."""
        self.shown_result = result
        self.names = tuple(name for name, target in result.targets.items() if not target.get("control")) or self.names
        self.hidden, self._mode_number = _NOTHING, 0
        self.changed()

    def toggle(self, number: int) -> bool:
        """Take a target, counted from 1, out of the charts or put it back; say whether one is left.

        0 puts all back.
        """
        names = self.all_names
        hidden = self.hidden ^ {names[number - 1]} if 0 < number <= len(names) else self.hidden
        if len(hidden) == len(names):
            return False
        self.hidden = hidden if number else _NOTHING
        return True
