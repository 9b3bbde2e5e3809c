"""The benchmark screen: compares storage drivers and engines with IOzone, in charts that fill as it runs."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import ProgressBar, Static

from tui.bench.results import Result
from tui.bench.runner import Progress
from tui.core.text import printable
from tui.engine.endpoint import Endpoint
from tui.render.benchmarks import plan_text
from tui.ui.actions import screen_bindings
from tui.ui.bench_state import BenchState
from tui.ui.commands.base import Commands
from tui.ui.commands.bench_choices import BenchChoices, ChartChoices
from tui.ui.commands.bench_runner import BenchRunner, RunAdvanced, RunEnded
from tui.ui.commands.bench_runs import BenchRuns
from tui.ui.screens.base import BaseScreen, set_title
from tui.ui.widgets.bench_board import BenchBoard


class BenchScreen(BaseScreen):
    """Plan on the left, charts and table on the right."""

    scope = "bench"
    CSS_PATH = "bench.tcss"
    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("bench")

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.board = BenchBoard(id="right")
        self.progress_bar = ProgressBar(id="progress", show_eta=False)
        self.state = BenchState(lambda: self.host, endpoint, self._show_state)
        self.runner = BenchRunner(self, self.state)
        self._commands = (
            self.runner,
            BenchChoices(self, self.state),
            ChartChoices(self, self.state),
            BenchRuns(self, self.state, self._show_result),
        )

    @property
    def commands(self) -> tuple[Commands, ...]:
        """The command sets of the screen."""
        return self._commands

    def body(self) -> ComposeResult:
        with Horizontal(id="main"):
            with Vertical(id="plan", classes="pane"):
                with VerticalScroll(can_focus=False):
                    yield Static(id="plan-text")
                yield self.progress_bar
            yield self.board

    def on_mount(self) -> None:
        """Show the title, the plan and empty charts."""
        self.title_line.left = Text.assemble(("dtui", "bold"), " ▸ containers ▸ bench")
        source = next((s for s in self.host.feed.sources if s.name == self.state.endpoint.name), None)
        if source and source.facts:
            facts = source.facts
            backing = f" on {facts.backing}" if facts.backing else ""
            self.title_line.middle = Text(printable(f"{facts.product} {facts.version} · {facts.driver.name}{backing}"))
        set_title(self.query_one("#plan"), "plan")
        self.progress_bar.display = False
        self._show_state()

    def on_resize(self) -> None:
        """Show one chart or six, depending on the width."""
        self.call_after_refresh(self._draw)

    def on_unmount(self) -> None:
        """End the run, so that no container stays at work."""
        self.runner.end()

    def _show_state(self) -> None:
        self._show_plan()
        self._draw()

    def _show_plan(self, progress: Progress | None = None) -> None:
        """Show the plan, the targets and the progress."""
        state = self.state
        plan = state.shown_plan
        text = plan_text(plan, state.chart_style, state.suite, state.expected(plan), progress)
        self.query_one("#plan-text", Static).update(text)

    def _draw(self) -> None:
        narrow = self.has_class("-narrow") or self.has_class("-short")
        self.set_class(self.board.draw(self.state, narrow=narrow), "-tables")

    @on(RunAdvanced)
    def _run_advanced(self, event: RunAdvanced) -> None:
        if event.run is not self.state.run:
            return
        self.progress_bar.display = True
        self.progress_bar.update(total=event.run.total, progress=event.progress.done)
        if self.runner.advance(event):
            self._draw()
        self._show_plan(event.progress)

    @on(RunEnded)
    def _run_ended(self, event: RunEnded) -> None:
        self.state.run = None
        self.progress_bar.display = False
        if event.result:
            self._show_result(event.result)
        else:
            self.tell(event.problem, "bad")
        self.refresh_bindings()

    def _show_result(self, result: Result) -> None:
        """Show a finished run, new or old."""
        self.state.show_result(result)
        when = f"{result.started:%Y-%m-%d %H:%M}"
        self.title_line.right = Text(printable(f"run {result.id} · {when} · iozone {result.facts.get('iozone', '?')}"))
        count = len(result.samples) + len(result.cow)
        if result.problem:
            self.tell(f"{result.problem}: {count} numbers kept", "bad")
        else:
            self.tell(" · ".join((f"done: {count} numbers", *result.notices)), "good")

    def action_abort(self) -> None:
        """Abort the run, or go back if none is running."""
        if not self.runner.abort():
            self.dismiss()
