"""The choices on the benchmark screen: what to measure on which targets, and how to show the numbers."""

from __future__ import annotations

from tui.bench.plan import TESTS, Preset, make_plan
from tui.bench.tables import HOST
from tui.core.errors import DtuiError
from tui.lab.abilities import abilities
from tui.render.benchmarks import expected_words
from tui.services.bench_targets import VOLUME
from tui.ui.bench_state import SUITES, BenchState
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.dialogs.plan_form import PlanForm
from tui.ui.dialogs.targets import ChooseTargets
from tui.ui.widgets.ticks import Tick

_PRESETS = (Preset.QUICK, Preset.STANDARD, Preset.ARTICLE)

_PATIENCE = 2.0
"""Seconds after which the search for storage drivers shows that it takes long."""


class BenchChoices(Commands):
    """Chooses the plan, the suite and the targets of the next run."""

    def __init__(self, surface: Surface, state: BenchState) -> None:
        super().__init__(surface)
        self._state = state

    def disabled_reason(self, action: str) -> str:
        is_choice = action in ("preset", "own_plan", "targets", "suite")
        return "a run is under way: esc aborts it" if is_choice and self._state.run else ""

    def action_preset(self) -> None:
        """Choose the next preset; after a custom plan, the first."""
        preset = self._state.plan.preset
        number = _PRESETS.index(preset) + 1 if preset in _PRESETS else 0
        self._state.plan = make_plan(_PRESETS[number % len(_PRESETS)])
        self._state.forget()

    @flow
    async def action_own_plan(self) -> None:
        """Edit a custom plan."""
        state = self._state
        plan = await self.surface.choose(PlanForm(state.plan, lambda plan: expected_words(state.expected(plan))))
        if plan:
            state.plan = plan
            state.forget()

    def action_suite(self) -> None:
        """Choose the next suite: IOzone, copy-on-write, or both."""
        self._state.suite = SUITES[(SUITES.index(self._state.suite) + 1) % len(SUITES)]
        self._state.forget()

    @flow
    async def action_targets(self) -> None:
        """Choose the targets to compare."""
        try:
            able = await self.surface.call("Looking for storage drivers", abilities, _PATIENCE)
        except DtuiError as error:
            self.surface.tell_error(error)
            return
        endpoints = self.surface.host.endpoints
        engines = [Tick(endpoint.name, "a running engine, as it is") for endpoint in endpoints if endpoint.live]
        labs = [Tick(ability.driver.name, "a throwaway engine", ability.missing) for ability in able]
        more = (Tick(VOLUME, "a directory of the host, mounted into containers"),)
        answer = await self.surface.choose(ChooseTargets((*engines, *labs, *more), self._state.names))
        if answer:
            self._state.names = answer
            self._state.forget()
            self.surface.refresh_bindings()


class ChartChoices(Commands):
    """Chooses how the numbers are shown."""

    def __init__(self, surface: Surface, state: BenchState) -> None:
        super().__init__(surface)
        self._state = state

    def disabled_reason(self, action: str) -> str:
        if action == "relative" and HOST not in self._state.all_names:
            return "the host was not measured: it is when d chooses storage drivers"
        if action == "mode" and len(self._state.shown_plan.modes) < 2:
            return "only one mode is measured: P makes a plan with more"
        return ""

    def action_relative(self) -> None:
        """Show absolute numbers, or numbers relative to the host's."""
        self._state.relative = not self._state.relative
        self._state.changed()

    def action_table(self) -> None:
        """Show the tables with or without the charts."""
        self._state.tables = not self._state.tables
        self._state.changed()

    def action_mode(self) -> None:
        """Show the next mode that the plan measures."""
        self._state.next_mode()
        self._state.changed()

    def action_pick(self, digit: str) -> None:
        """Hide or show a target in charts and tables, counted from 1; 0 shows all."""
        if self._state.toggle(int(digit)):
            self._state.changed()
        else:
            self.surface.tell("at least one target must stay visible", "bad")

    def action_next_chart(self) -> None:
        """Choose the next test."""
        self._choose(1)

    def action_previous_chart(self) -> None:
        """Choose the previous test."""
        self._choose(-1)

    def _choose(self, step: int) -> None:
        self._state.chosen_test = (self._state.chosen_test + step) % len(TESTS)
        self._state.changed()

    def action_zoom(self) -> None:
        """Show one large chart, or all six."""
        self._state.zoomed = not self._state.zoomed
        self._state.changed()
