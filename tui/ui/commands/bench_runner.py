"""Runs a benchmark from the screen: asks before a long run, reports progress, aborts cleanly."""

from __future__ import annotations

from rich.text import Text
from textual.message import Message

from tui.bench.lock import benchmark_lock
from tui.bench.plan import TESTS, Plan
from tui.bench.protocols import Target
from tui.bench.results import Result
from tui.bench.runner import BenchRun, Progress
from tui.bench.store import Store
from tui.bench.tables import cold_warning
from tui.core.errors import DtuiError
from tui.core.state import state_dir
from tui.core.text import count_of
from tui.render.benchmarks import duration
from tui.services.bench_targets import lab_home, lab_targets, with_controls
from tui.ui.bench_state import BenchState
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.dialogs.choose import ChooseDialog, confirm

_LONG_RUN = 120
"""Expected seconds from which a run must be confirmed."""

_PATIENCE = 2.0
"""Seconds after which the preparation of a run shows that it takes long."""


class RunAdvanced(Message):
    """A run made progress."""

    def __init__(self, run: BenchRun, progress: Progress) -> None:
        super().__init__()
        self.run = run
        self.progress = progress


class RunEnded(Message):
    """A run is complete, was aborted, or failed with ``problem``."""

    def __init__(self, run: BenchRun, result: Result | None, problem: str = "") -> None:
        super().__init__()
        self.run = run
        self.result = result
        self.problem = problem


class BenchRunner(Commands):
    """Starts and aborts runs in a worker, which posts :class:`RunAdvanced` and :class:`RunEnded`."""

    def __init__(self, surface: Surface, state: BenchState) -> None:
        super().__init__(surface)
        self._state = state

    def disabled_reason(self, action: str) -> str:
        state = self._state
        if action != "run":
            return ""
        if state.run is not None:
            return "a run is under way: esc aborts it"
        if state.endpoint.name in state.names and not state.endpoint.live:
            return "a data-root cannot run containers without its daemon: d chooses storage drivers"
        return ""

    @flow
    async def action_run(self) -> None:
        """Start a run; ask first if it takes long or drops the host's caches."""
        state = self._state
        plan, expected = state.plan, state.expected(state.plan)
        if expected.seconds >= _LONG_RUN or expected.drops:
            run_description = f"the {plan.preset.value} plan on {count_of(len(state.all_names), 'target')}"
            question = f"Run {run_description} for about {duration(expected.seconds)}?"
            warning = Text(cold_warning(expected.drops)) if expected.drops else None
            if await self.surface.choose(ChooseDialog(question, (confirm("run"),), warning)) is None:
                return
        try:
            run = await self.surface.call("Preparing the run", lambda: self._prepare(plan), _PATIENCE)
        except DtuiError as error:
            self.surface.tell_error(error)
            return
        state.run = run
        state.forget()
        self.surface.tell("running…")
        self.surface.refresh_bindings()
        self.surface.run_worker(lambda: self._measure(run), thread=True, group="bench")

    def _prepare(self, plan: Plan) -> BenchRun:
        state, targets = self._state, self._targets()
        record = Store(state_dir("bench") / "runs.sqlite").record()
        return BenchRun(plan, targets, record, cow=state.cow, iozone=state.runs_iozone, scratch=lab_home())

    def _targets(self) -> tuple[Target, ...]:
        from tui.engine.live.live_endpoint import LiveEndpoint
        from tui.lab.engine_host import EndpointTarget

        names, endpoints = self._state.names, self.surface.host.endpoints
        engines = {endpoint.name: endpoint for endpoint in endpoints if isinstance(endpoint, LiveEndpoint)}
        if names == (self._state.endpoint.name,):
            return tuple(EndpointTarget(engines[name]) for name in names)
        live_targets: list[Target] = [EndpointTarget(engines[name]) for name in names if name in engines]
        labs = lab_targets([name for name in names if name not in engines], controls=False)
        return with_controls([*live_targets, *labs])

    def _measure(self, run: BenchRun) -> None:
        try:
            with self.surface.host.threads.needed(), benchmark_lock(state_dir("bench")):
                for progress in run:
                    self.surface.post_message(RunAdvanced(run, progress))
        except DtuiError as error:
            self.surface.post_message(RunEnded(run, None, str(error)))
        else:
            self.surface.post_message(RunEnded(run, run.result))

    def advance(self, event: RunAdvanced) -> bool:
        """Report and store the progress of a run; return whether the charts must be drawn again."""
        state, progress = self._state, event.progress
        self.surface.tell(
            f"{progress.done}/{progress.total} · {progress.phase} · {duration(progress.seconds_left)} left"
        )
        if progress.sample:
            state.samples.append(progress.sample)
        if progress.cow:
            state.cow_samples.append(progress.cow)
        return bool(progress.sample or progress.cow) and progress.done % len(TESTS) == 0

    def end(self) -> None:
        """Abort the run, if there is one, so that no container keeps working."""
        if self._state.run:
            self._state.run.abort()

    def abort(self) -> bool:
        """Abort the run in a worker; return whether there was one."""
        run = self._state.run
        if run is not None:
            self.surface.tell("aborting; finished numbers are kept…")
            self.surface.run_worker(run.abort, thread=True, group="abort")
        return run is not None
