"""What is chosen on the benchmark screen: targets, plan, suite, and the way numbers are shown."""

from __future__ import annotations

import asyncio

from textual.reactive import reactive

from tui.bench.cow_suite import QUICK, STANDARD, CowPlan, CowSample
from tui.bench.plan import Mode, Plan, Preset, make_plan
from tui.bench.results import Result, Sample
from tui.bench.runner import Progress, expected_seconds, expected_space
from tui.lab.abilities import abilities
from tui.render.bench import Expected, expected_words
from tui.services.bench_targets import HOST, VOLUME
from tui.ui.dialogs.plan_form import PlanForm
from tui.ui.dialogs.targets import ChooseTargets
from tui.ui.screens.base import BaseScreen, flow
from tui.ui.widgets.ticks import Tick

IOZONE, COPY_ON_WRITE, BOTH = "iozone", "copy-on-write", "both"

_PRESETS = (Preset.QUICK, Preset.STANDARD, Preset.ARTICLE)
_NOTHING: frozenset[str] = frozenset()


class BenchChoices(BaseScreen):
    """The benchmark screen's state and its choices; drawing and running are the screen's own."""

    plan: reactive[Plan] = reactive(make_plan(Preset.QUICK), init=False)
    suite: reactive[str] = reactive(IOZONE, init=False)
    relative: reactive[bool] = reactive(False, init=False)
    tables: reactive[bool] = reactive(False, init=False)
    hidden: reactive[frozenset[str]] = reactive(_NOTHING, init=False)
    mode_number: reactive[int] = reactive(0, init=False)

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.shown_result: Result | None = None
        self.samples: list[Sample] = []
        self.cow_samples: list[CowSample] = []

    def show_plan(self, progress: Progress | None = None) -> None:
        """Write the plan, who takes part, and how far it is."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw charts and tables of what is shown."""
        raise NotImplementedError

    @property
    def all_names(self) -> tuple[str, ...]:
        """The targets that take part or took part, the controls among them."""
        if self.shown_result:
            return tuple(self.shown_result.targets)
        engines = {endpoint.name for endpoint in self.host.endpoints}
        twin = (f"{self.names[0]} again",) if self.names[0] not in (HOST, VOLUME) else ()
        more = (*twin, *(HOST,) * (HOST not in self.names))
        return self.names if set(self.names) <= engines else (*self.names, *more)

    @property
    def cow(self) -> CowPlan | None:
        """The copy-on-write suite that is chosen."""
        if self.suite == IOZONE:
            return None
        return STANDARD if self.plan.preset is Preset.STANDARD else QUICK

    def expected(self, plan: Plan) -> Expected:
        """Return what a run of a plan takes and needs on the targets that are chosen."""
        iozone = plan if self.suite != COPY_ON_WRITE else None
        images = sum(name not in (HOST, VOLUME) for name in self.all_names)
        seconds = expected_seconds(iozone, self.cow, len(self.all_names), images)
        drops = iozone.drops * len(self.all_names) if iozone else 0
        own = sum(name not in (HOST, VOLUME) for name in self.names)
        return Expected(seconds, expected_space(iozone, self.cow, own), drops)

    def forget(self) -> None:
        """Show no run any more, but what would be run."""
        self.shown_result, self.samples, self.cow_samples = None, [], []
        self.hidden, self.mode_number = _NOTHING, 0
        self.show_plan()
        self.draw()

    def action_preset(self) -> None:
        """Choose the next preset; after a plan of one's own the first."""
        preset = self.plan.preset
        self.plan = make_plan(
            _PRESETS[(_PRESETS.index(preset) + 1) % len(_PRESETS)] if preset in _PRESETS else _PRESETS[0]
        )
        self.forget()

    @flow
    async def action_own_plan(self) -> None:
        """Write a plan of one's own."""
        plan = await self.app.push_screen_wait(PlanForm(self.plan, lambda plan: expected_words(self.expected(plan))))
        if plan:
            self.plan = plan
            self.forget()

    def action_suite(self) -> None:
        """Choose IOzone, the copy-on-write suite, or both."""
        suites = (IOZONE, COPY_ON_WRITE, BOTH)
        self.suite = suites[(suites.index(self.suite) + 1) % len(suites)]
        self.forget()

    def action_relative(self) -> None:
        """Numbers as they are, or beside the host's."""
        self.relative = not self.relative

    def action_table(self) -> None:
        """The tables alone, or the charts with them."""
        self.tables = not self.tables

    def action_mode(self) -> None:
        """Show the next mode that the plan measures."""
        self.mode_number += 1

    def mode_of(self, plan: Plan) -> Mode:
        """Return the mode of a plan that is shown."""
        return plan.modes[self.mode_number % len(plan.modes)]

    def action_pick(self, digit: str) -> None:
        """Take a target out of the charts and tables or put it back; 0 puts all back."""
        names = self.all_names
        number = int(digit)
        if number == 0:
            self.hidden = _NOTHING
        elif number <= len(names):
            hidden = self.hidden ^ {names[number - 1]}
            if len(hidden) == len(names):
                self.tell("that is the last one", "bad")
            else:
                self.hidden = hidden

    @flow
    async def action_targets(self) -> None:
        """Choose what is compared."""
        able = await asyncio.to_thread(abilities)
        engines = [Tick(e.name, "a running engine, as it is") for e in self.host.endpoints if e.live]
        labs = [Tick(ability.driver.name, "an engine of its own, gone afterwards", ability.missing) for ability in able]
        more = (Tick(VOLUME, "a directory of the host, mounted into containers"),)
        answer = await self.app.push_screen_wait(ChooseTargets((*engines, *labs, *more), self.names))
        if answer:
            self.names = answer
            self.forget()
            self.refresh_bindings()
