"""The benchmark: storage drivers and engines compared by real IOzone, six charts that grow as the numbers come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import ProgressBar, Static

from tui.bench.charts import ChartStyle, chart_style_of, charts, shown_record, table
from tui.bench.findings import findings
from tui.bench.lock import benchmark_lock
from tui.bench.plan import TESTS, IoTest, Mode, Plan
from tui.bench.protocols import Target
from tui.bench.results import Result
from tui.bench.runner import BenchRun, Progress
from tui.bench.stats import by_target
from tui.bench.store import Store
from tui.bench.tables import HOST, LEGEND, cold_warning, comparison_rows, host_words, label_of, spread_words
from tui.core.errors import DtuiError
from tui.core.state import state_dir
from tui.core.text import count_of, printable
from tui.engine.endpoint import Endpoint
from tui.render.bench import (
    cow_bars,
    duration,
    findings_text,
    heat_maps,
    legend_text,
    of_test,
    plan_line,
    plan_text,
    rows_text,
)
from tui.services.bench_targets import lab_home, lab_targets, with_controls
from tui.ui.actions import bindings
from tui.ui.dialogs.choose import ChooseDialog, confirm
from tui.ui.screens.base import flow, set_title
from tui.ui.screens.bench_choices import COPY_ON_WRITE
from tui.ui.screens.bench_history import BenchHistory
from tui.ui.widgets.chart import Chart

_LONG_RUN = 120
"""Seconds from which a run is asked for first."""


class RunAdvanced(Message):
    """A run came further."""

    def __init__(self, run: BenchRun, progress: Progress) -> None:
        super().__init__()
        self.run = run
        self.progress = progress


class RunEnded(Message):
    """A run ended: whole, aborted or failed."""

    def __init__(self, run: BenchRun, result: Result | None, problem: str = "") -> None:
        super().__init__()
        self.run = run
        self.result = result
        self.problem = problem


class BenchScreen(BenchHistory):
    """Plan on the left, charts and table on the right."""

    scope = "bench"
    CSS_PATH = "bench.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("bench")

    chosen: reactive[int] = reactive(0, init=False)
    zoomed: reactive[bool] = reactive(False, init=False)

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__((endpoint.name,))
        self._endpoint = endpoint
        self._run: BenchRun | None = None

    def body(self) -> ComposeResult:
        """Compose plan, charts, table."""
        with Horizontal(id="main"):
            with Vertical(id="plan", classes="pane"):
                with VerticalScroll(can_focus=False):
                    yield Static(id="plan-text")
                yield ProgressBar(id="progress", show_eta=False)
            with Vertical(id="right"):
                with Grid(id="charts"):
                    for number, _ in enumerate(TESTS):
                        yield Chart(id=f"chart-{number}", classes="pane")
                yield Static(id="legend")
                with VerticalScroll(id="table", classes="pane"):
                    yield Static(id="table-text")

    def on_mount(self) -> None:
        """Show the empty charts."""
        self.title_line.left = Text.assemble(("dtui", "bold"), " ▸ containers ▸ bench")
        source = next((s for s in self.host.feed.sources if s.name == self._endpoint.name), None)
        if source and source.facts:
            facts = source.facts
            engine_label = f"{facts.product} {facts.version} · {facts.driver.name}" + (
                f" on {facts.backing}" * bool(facts.backing)
            )
            self.title_line.middle = Text(printable(engine_label))
        set_title(self.query_one("#plan"), "plan")
        set_title(self.query_one("#table"), "table")
        self.query_one("#progress").display = False
        self.show_plan()
        self.draw()

    # what is shown -----------------------------------------------------------------------------------------

    @property
    def all_names(self) -> tuple[str, ...]:
        """The targets that take part or took part, the controls among them."""
        return tuple(target.name for target in self._run.targets) if self._run else super().all_names

    def show_plan(self, progress: Progress | None = None) -> None:
        """Write the plan, who takes part, and how far it is."""
        plan = self._run.plan if self._run else self.shown_result.plan if self.shown_result else self.plan
        text = plan_text(plan, self._chart_style(), self.suite, self.expected(plan), progress)
        self.query_one("#plan-text", Static).update(text)

    def _result(self) -> Result:
        """Return what is shown as a result: of the run under way as far as it is."""
        if self.shown_result:
            return self.shown_result
        targets: dict[str, dict[str, str]] = {name: {} for name in self.all_names}
        plan = self._run.plan if self._run else self.plan
        started = datetime.now(UTC)
        return Result(plan, started, {}, targets, tuple(self.samples), (), "", cow=tuple(self.cow_samples))

    def _chart_style(self) -> ChartStyle:
        result = self._result()
        return chart_style_of(result, self.mode_of(result.plan), self.hidden)

    def draw(self) -> None:
        """Draw charts and tables of what is shown."""
        result = self._result()
        mode = self.mode_of(result.plan)
        targets = by_target(result.samples, mode, result.targets)
        record = shown_record(next(iter(targets.values()), {}))
        beside = targets.get(HOST) if self.relative else None
        narrow = self.has_class("-narrow") or self.has_class("-short")
        single = self.zoomed or narrow
        self.query_one("#charts").set_class(single, "-single")
        tables = self.tables or (bool(result.cow) and not result.samples)  # nothing to chart, or not yet
        self.set_class(tables, "-tables")
        self.query_one("#charts").display = not tables
        chart_style = self._chart_style()
        self._draw_legend(chart_style)
        measured = result.plan.tests_of(mode)
        for number, (test, spec) in enumerate(zip(TESTS, charts(targets, record, chart_style, beside), strict=True)):
            chart = self.query_one(f"#chart-{number}", Chart)
            chart.display = not single or number == self.chosen
            chart.set_class(number == self.chosen, "-chosen")
            chart.without = "no numbers yet" if test in measured else f"{mode.value} does not measure this"
            chart.spec = spec
            set_title(chart, f"{spec.title} · {spec.unit}", mode.value)
        self._draw_table(result, mode, record, alone=tables)

    def _draw_legend(self, chart_style: ChartStyle) -> None:
        """Write who is who and, before a run, what would be run: where the plan has no pane of its own."""
        text = legend_text(chart_style, digits=True)
        if not self.shown_result and not self._run:
            text.append("\n")
            text.append_text(plan_line(self.plan, self.suite, self.expected(self.plan)))
        self.query_one("#legend", Static).update(text)

    def _draw_table(self, result: Result, mode: Mode, record: int, *, alone: bool) -> None:
        """Write the numbers: of the chosen test beside charts, all of them where they stand alone."""
        test = TESTS[self.chosen]
        targets = by_target(result.samples, mode, result.targets)
        single = len(targets) <= 1
        n = max((sample.repeat for sample in result.samples if sample.mode is mode), default=0)
        if alone:
            title, legend, text = f"medians of {n}, GB/s · {mode.value}", LEGEND, self._all_tables(result, mode, test)
        elif single:
            title = f"medians of {n}, GB/s, {record} KiB records · {mode.value}"
            legend, text = "~ under 100 µs: not comparable", rows_text(table(next(iter(targets.values()), {}), record))
        else:
            title = f"{test.value} · {mode.value} · medians of {n}, GB/s, ratio to the host"
            legend, text = LEGEND, rows_text(of_test(comparison_rows(result, mode, self.hidden), test))
        if not result.samples and not result.cow:
            text.append("\n enter starts the run, d chooses what is compared", style="italic")
        set_title(self.query_one("#table"), title, legend)
        self.query_one("#table-text", Static).update(text)

    def _all_tables(self, result: Result, mode: Mode, test: IoTest) -> Text:
        text = (
            cow_bars(result, self._chart_style(), self.query_one("#table").content_size.width) if result.cow else Text()
        )
        if result.samples:
            text.append_text(rows_text(comparison_rows(result, mode, self.hidden)))
            text.append(f"\n{label_of(result, mode)}\n{spread_words(result, mode)}\n\n", style="italic")
            text.append_text(findings_text(findings(result)))
            text.append_text(heat_maps(result, mode, test, self.hidden))
        if result.facts:
            text.append(f"\n{printable(host_words(result))}\n", style="dim")
        return text

    def on_resize(self) -> None:
        """One chart or six, as there is room."""
        self.call_after_refresh(self.draw)

    def watch_chosen(self) -> None:
        """Show another chart."""
        self.draw()

    def watch_zoomed(self) -> None:
        """Show one chart or all."""
        self.draw()

    def watch_relative(self) -> None:
        """Show numbers, or ratios to the host."""
        self.draw()

    def watch_tables(self) -> None:
        """Show charts, or tables alone."""
        self.draw()

    def watch_hidden(self) -> None:
        """Draw with other targets in it."""
        self.show_plan()
        self.draw()

    def watch_mode_number(self) -> None:
        """Draw another mode."""
        self.show_plan()
        self.draw()

    # running -----------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now."""
        if action in ("run", "preset", "own_plan", "targets", "suite", "history") and self._run is not None:
            return "a run is under way: esc aborts it"
        if action == "run" and self._endpoint.name in self.names and not self._endpoint.live:
            return "a data-root alone cannot run anything: d chooses storage drivers"
        if action == "relative" and HOST not in self.all_names:
            return "the host took no part: d chooses storage drivers, the host comes with them"
        if action == "mode" and len((self.shown_result.plan if self.shown_result else self.plan).modes) < 2:
            return "only one mode is measured: P makes a plan with more"
        if action == "export" and self.shown_result is None:
            return "no run is shown: enter makes one, h opens one"
        return ""

    @flow
    async def action_run(self) -> None:
        """Start, after a question when it takes long or slows the host down."""
        plan = self.plan
        expected = self.expected(plan)
        if expected.seconds >= _LONG_RUN or expected.drops:
            run_description = f"the {plan.preset.value} plan on {count_of(len(self.all_names), 'target')}"
            question = f"Run {run_description} for about {duration(expected.seconds)}?"
            warning = Text(cold_warning(expected.drops)) if expected.drops else None
            choices = (confirm("run it"),)
            if await self.app.push_screen_wait(ChooseDialog(question, choices, warning)) is None:
                return
        try:
            targets = await asyncio.to_thread(self._targets)
        except DtuiError as error:
            self.tell_error(error)
            return
        self._start(plan, targets)

    def _targets(self) -> tuple[Target, ...]:
        from tui.engine.live.endpoint import LiveEndpoint
        from tui.lab.engine_host import EndpointTarget

        engines = {e.name: e for e in self.host.endpoints if isinstance(e, LiveEndpoint)}
        if self.names == (self._endpoint.name,):
            return tuple(EndpointTarget(engines[name]) for name in self.names)
        live_targets: list[Target] = [EndpointTarget(engines[name]) for name in self.names if name in engines]
        lab = lab_targets([name for name in self.names if name not in engines], controls=False)
        return with_controls([*live_targets, *lab])

    def _start(self, plan: Plan, targets: tuple[Target, ...]) -> None:
        store = Store(state_dir("bench") / "runs.sqlite")
        iozone = self.suite != COPY_ON_WRITE
        run = BenchRun(plan, targets, store.record(), cow=self.cow, iozone=iozone, scratch=lab_home())
        self._run = run
        self.forget()
        bar = self.query_one("#progress", ProgressBar)
        bar.display = True
        bar.update(total=run.total, progress=0)
        self.tell("running…")
        self.refresh_bindings()
        self.run_worker(lambda: self._work(run), thread=True, group="bench")

    def _work(self, run: BenchRun) -> None:
        try:
            with self.host.threads.needed(), benchmark_lock(state_dir("bench")):
                for progress in run:
                    self.post_message(RunAdvanced(run, progress))
        except DtuiError as error:
            self.post_message(RunEnded(run, None, str(error)))
        else:
            self.post_message(RunEnded(run, run.result))

    @on(RunAdvanced)
    def _advanced(self, event: RunAdvanced) -> None:
        if event.run is not self._run:
            return
        self.show_plan(event.progress)
        progress = event.progress
        self.tell(f"{progress.done}/{progress.total} · {progress.phase} · {duration(progress.seconds_left)} left")
        self.query_one("#progress", ProgressBar).update(progress=event.progress.done)
        if progress.sample:
            self.samples.append(progress.sample)
        if progress.cow:
            self.cow_samples.append(progress.cow)
        if (progress.sample or progress.cow) and progress.done % len(TESTS) == 0:
            self.draw()

    @on(RunEnded)
    def _ended(self, event: RunEnded) -> None:
        self._run = None
        self.query_one("#progress").display = False
        if event.result:
            self.show_result(event.result)
        else:
            self.tell(event.problem, "bad")
        self.refresh_bindings()

    def show_result(self, result: Result) -> None:
        """Show a run that ended, just now or long ago."""
        self.shown_result = result
        self.names = tuple(name for name, target in result.targets.items() if not target.get("control")) or self.names
        self.hidden, self.mode_number = frozenset(), 0
        self.draw()
        self.show_plan()
        when = f"{result.started:%Y-%m-%d %H:%M}"
        summary = f"run {result.id} · {when} · iozone {result.facts.get('iozone', '?')}"
        self.title_line.right = Text(printable(summary))
        count = len(result.samples) + len(result.cow)
        if result.problem:
            self.tell(f"{result.problem}: {count} numbers are kept", "bad")
        else:
            self.tell(" · ".join((f"done: {count} numbers", *result.notices)), "good")

    def on_unmount(self) -> None:
        """Never leave a container at work behind."""
        if self._run:
            self._run.abort()

    def action_abort(self) -> None:
        """Abort the run; without one, go back."""
        run = self._run
        if run is None:
            self.dismiss()
            return
        self.tell("aborting: what is finished is kept…")
        self.run_worker(run.abort, thread=True, group="abort")

    def action_next_chart(self) -> None:
        """Choose the next test."""
        self.chosen = (self.chosen + 1) % len(TESTS)

    def action_previous_chart(self) -> None:
        """Choose the test before."""
        self.chosen = (self.chosen - 1) % len(TESTS)

    def action_zoom(self) -> None:
        """One chart large, or all six."""
        self.zoomed = not self.zoomed
