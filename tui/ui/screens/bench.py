"""The benchmark: real IOzone on this endpoint's storage driver, six charts that grow as the numbers come."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Horizontal, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import ProgressBar, Static

from tui.bench.charts import ChartSpec, charts, shown_record, table
from tui.bench.plan import TESTS, Plan, Preset, make_plan
from tui.bench.results import Result, Sample
from tui.bench.runner import Progress, Run
from tui.bench.stats import summarise
from tui.core.errors import DtuiError, NotReachable
from tui.core.text import human_size, printable
from tui.engine.endpoint import Endpoint
from tui.ui.actions import bindings
from tui.ui.dialogs.choose import Choice, Choose
from tui.ui.screens.base import Frame, set_title
from tui.ui.widgets.chart import Chart

if TYPE_CHECKING:
    from tui.engine.workshop import EndpointTarget

_LONG_RUN = 30
"""Seconds from which a run is asked for first."""


class Advanced(Message):
    """A run came further."""

    def __init__(self, run: Run, progress: Progress) -> None:
        super().__init__()
        self.run = run
        self.progress = progress


class Ended(Message):
    """A run ended: whole, aborted or failed."""

    def __init__(self, run: Run, result: Result | None) -> None:
        super().__init__()
        self.run = run
        self.result = result


class BenchScreen(Frame):
    """Plan on the left, charts and table on the right."""

    scope = "bench"
    CSS_PATH = "bench.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("bench")

    preset: reactive[Preset] = reactive(Preset.QUICK, init=False)
    chosen: reactive[int] = reactive(0, init=False)
    zoomed: reactive[bool] = reactive(False, init=False)

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._run: Run | None = None
        self._samples: list[Sample] = []
        self._problem = ""
        self._label = endpoint.name

    def body(self) -> ComposeResult:
        """Compose plan, charts, table."""
        with Horizontal(id="main"):
            with Vertical(id="plan", classes="pane"):
                yield Static(id="plan-text")
                yield ProgressBar(id="progress", show_eta=False)
            with Vertical(id="right"):
                with Grid(id="charts"):
                    for number, _ in enumerate(TESTS):
                        yield Chart(id=f"chart-{number}", classes="pane")
                yield Static(id="table", classes="pane")

    def on_mount(self) -> None:
        """Show the empty charts."""
        self.title_line.left = Text.assemble(("dtui", "bold"), " ▸ containers ▸ bench")
        source = next((s for s in self.dtui.feed.sources if s.name == self._endpoint.name), None)
        if source and source.facts:
            facts = source.facts
            self._label = facts.driver.name
            words = f"{facts.product} {facts.version} · {facts.driver.name}" + (
                f" on {facts.backing}" * bool(facts.backing)
            )
            self.title_line.middle = Text(printable(words))
        set_title(self.query_one("#plan"), "plan")
        set_title(self.query_one("#table"), "table")
        self.query_one("#progress").display = False
        self._show_plan()
        self._draw()

    def _target(self) -> EndpointTarget:
        from tui.engine.live import LiveEndpoint
        from tui.engine.workshop import EndpointTarget

        if not isinstance(self._endpoint, LiveEndpoint):
            raise NotReachable("a benchmark needs a running Engine", "start dockerd, then open dtui on it")
        return EndpointTarget(self._endpoint)

    # what is shown -----------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan that is chosen."""
        return make_plan(self.preset)

    def _show_plan(self, progress: Progress | None = None) -> None:
        plan = self._run.plan if self._run else self.plan
        pairs = [
            ("preset", plan.preset.value),
            ("mode", "CACHED"),
            ("repeats", str(plan.repeats)),
            ("rows", f"{len(plan.rows)} × 6 tests"),
            ("takes", f"~ {plan.seconds:.0f} s"),
            ("needs", f"{human_size(plan.space)} free"),
        ]
        text = Text()
        for name, value in pairs:
            text.append_text(Text.assemble((f"{name:<8}", "bold"), value, "\n"))
        text.append(f"\niozone {' '.join(plan.options)}\n", style="dim")
        if plan.repeats < 3:
            text.append("\n1 run: its error is not known\n", style="yellow")
        if progress:
            left = f"{progress.seconds_left:.0f} s left" if progress.seconds_left is not None else "…"
            text.append(f"\n{progress.phase}\n{progress.done}/{progress.total} · {left}\n", style="bold")
        self.query_one("#plan-text", Static).update(text)

    def _draw(self) -> None:
        summaries = summarise(self._samples)
        record = shown_record(summaries)
        specs = charts({self._label: summaries}, record)
        narrow = self.has_class("-narrow") or self.has_class("-short")
        single = self.zoomed or narrow
        self.query_one("#charts").set_class(single, "-single")
        for number, spec in enumerate(specs):
            self._draw_chart(number, spec, shown=not single or number == self.chosen)
        self._draw_table(table(summaries, record), record)

    def _draw_chart(self, number: int, spec: ChartSpec, *, shown: bool) -> None:
        chart = self.query_one(f"#chart-{number}", Chart)
        chart.display = shown
        chart.set_class(number == self.chosen, "-chosen")
        chart.spec = spec
        legend = " ".join(f"● {series.label}" for series in spec.series)
        set_title(chart, f"{spec.title} · {spec.unit}", legend)

    def _draw_table(self, rows: list[tuple[str, ...]], record: int) -> None:
        n = max((int(row[-1]) for row in rows[1:]), default=0)
        set_title(
            self.query_one("#table"),
            f"medians of {n}, GB/s, {record} KiB records · CACHED",
            "~ under 100 µs: not comparable",
        )
        text = Text(no_wrap=True)
        for number, row in enumerate(rows):
            line = "".join(cell.rjust({0: 6, 7: 4}.get(column, 11)) for column, cell in enumerate(row))
            text.append(line + "\n", style="bold" if number == 0 else "")
        if len(rows) == 1:
            text.append("\n enter starts the run", style="italic")
        self.query_one("#table", Static).update(text)

    def on_resize(self) -> None:
        """One chart or six, as there is room."""
        self.call_after_refresh(self._draw)

    def watch_preset(self) -> None:
        """Show another plan."""
        self._show_plan()

    def watch_chosen(self) -> None:
        """Show another chart."""
        self._draw()

    def watch_zoomed(self) -> None:
        """Show one chart or all."""
        self._draw()

    # running -----------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now."""
        if action in ("run", "preset") and self._run is not None:
            return "a run is under way: esc aborts it"
        if action == "run" and not self._endpoint.live:
            return "a benchmark needs a running Engine: a data-root alone cannot run anything"
        return ""

    def action_run(self) -> None:
        """Start, after a question when it takes long."""
        plan = self.plan
        if plan.seconds < _LONG_RUN:
            self._start(plan)
            return
        question = f"Run {' '.join(plan.argv('FILE')[:12])} for about {plan.seconds:.0f} s?"
        choices = (Choice("enter", "run", "run it"),)
        self.app.push_screen(Choose(question, choices), lambda answer: self._start(plan) if answer else None)

    def _start(self, plan: Plan) -> None:
        run = Run(plan, [self._target()])
        self._run = run
        self._samples = []
        self._draw()
        bar = self.query_one("#progress", ProgressBar)
        bar.display = True
        bar.update(total=plan.cells, progress=0)
        self.tell("running…")
        self.refresh_bindings()
        self.run_worker(lambda: self._work(run), thread=True, group="bench")

    def _work(self, run: Run) -> None:
        for progress in run:
            self.post_message(Advanced(run, progress))
        self.post_message(Ended(run, run.result))

    @on(Advanced)
    def _advanced(self, event: Advanced) -> None:
        if event.run is not self._run:
            return
        self._show_plan(event.progress)
        progress = event.progress
        left = f" · {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
        self.tell(f"{progress.done}/{progress.total} · {progress.phase}{left}")
        self.query_one("#progress", ProgressBar).update(progress=event.progress.done)
        if event.progress.sample:
            self._samples.append(event.progress.sample)
            if event.progress.done % len(TESTS) == 0:
                self._draw()

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        self._run = None
        self.query_one("#progress").display = False
        result = event.result
        if result:
            self._samples = list(result.samples)
            self._draw()
            self._show_plan()
            facts = result.facts
            self.title_line.right = Text(printable(f"{result.started:%H:%M} · iozone {facts.get('iozone', '?')}"))
            if result.problem:
                self.tell(f"{result.problem}: {len(result.samples)} numbers are kept", "bad")
            else:
                note = f" · {' '.join(result.notices)}" if result.notices else ""
                self.tell(f"done: {len(result.samples)} numbers{note}", "good")
        self.refresh_bindings()

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
        self.tell("aborting: iozone has 3 s to end…")
        self.run_worker(lambda: self._abort(run), thread=True, group="abort")

    @staticmethod
    def _abort(run: Run) -> None:
        try:
            run.abort()
        except DtuiError:
            return  # the Engine is gone: the run itself ends with that and says so

    def action_preset(self) -> None:
        """Choose the other preset."""
        self.preset = Preset.ARTICLE if self.preset is Preset.QUICK else Preset.QUICK

    def action_next_chart(self) -> None:
        """Choose the next test."""
        self.chosen = (self.chosen + 1) % len(TESTS)

    def action_previous_chart(self) -> None:
        """Choose the test before."""
        self.chosen = (self.chosen - 1) % len(TESTS)

    def action_zoom(self) -> None:
        """One chart large, or all six."""
        self.zoomed = not self.zoomed
