"""The charts, legend and tables of a benchmark."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Grid, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.bench.charts import charts, shown_record, table
from tui.bench.findings import findings
from tui.bench.plan import TESTS, IoTest
from tui.bench.stats import by_target
from tui.bench.tables import HOST, LEGEND, comparison_rows, host_words, mode_label, spread_words
from tui.core.text import printable
from tui.render.benchmarks import cow_bars, findings_text, heat_maps, legend_text, plan_line, rows_of_test, rows_text
from tui.ui.bench_state import BenchState
from tui.ui.widgets.chart import Chart


class BenchBoard(Vertical):
    """Draws the state of the benchmark screen."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._charts = tuple(Chart(id=f"chart-{number}", classes="pane") for number in range(len(TESTS)))
        self._legend = Static(id="legend")
        self._table = VerticalScroll(id="table", classes="pane")
        self._table_text = Static(id="table-text")

    def compose(self) -> ComposeResult:
        with Grid(id="charts"):
            yield from self._charts
        yield self._legend
        with self._table:
            yield self._table_text

    def draw(self, state: BenchState, *, narrow: bool) -> bool:
        """Draw charts and tables, only one chart if ``narrow``; return whether the tables are shown without charts."""
        result, mode, style = state.result, state.mode, state.chart_style
        targets = by_target(result.samples, mode, result.targets)
        record = shown_record(next(iter(targets.values()), {}))
        beside = targets.get(HOST) if state.relative else None
        single = state.zoomed or narrow
        tables = state.tables or (bool(result.cow) and not result.samples)  # nothing to chart, or not yet
        grid = self.query_one("#charts")
        grid.set_class(single, "-single")
        grid.display = not tables
        self._draw_legend(state)
        measured = result.plan.tests_of(mode)
        specs = charts(targets, record, style, beside)
        for number, (chart, test, spec) in enumerate(zip(self._charts, TESTS, specs, strict=True)):
            chart.display = not single or number == state.chosen_test
            chart.set_class(number == state.chosen_test, "-chosen")
            chart.without = "no numbers yet" if test in measured else f"{mode.value} does not measure this"
            chart.spec = spec
            _set_title(chart, f"{spec.title} · {spec.unit}", mode.value)
        self._draw_table(state, record, alone=tables)
        return tables

    def _draw_legend(self, state: BenchState) -> None:
        """Write the legend, and the plan of the next run unless a result or a run is shown."""
        text = legend_text(state.chart_style, digits=True)
        if not state.shown_result and not state.run:
            text.append("\n")
            text.append_text(plan_line(state.plan, state.suite, state.expected(state.plan)))
        self._legend.update(text)

    def _draw_table(self, state: BenchState, record: int, *, alone: bool) -> None:
        """Write all tables if ``alone``, else the numbers of the chosen test or of the only target."""
        result, mode, test = state.result, state.mode, TESTS[state.chosen_test]
        targets = by_target(result.samples, mode, result.targets)
        n = max((sample.repeat for sample in result.samples if sample.mode is mode), default=0)
        if alone:
            title, legend, text = f"medians of {n}, GB/s · {mode.value}", LEGEND, self._all_tables(state, test)
        elif len(targets) <= 1:
            title = f"medians of {n}, GB/s, {record} KiB records · {mode.value}"
            legend, text = "~ under 100 µs: not comparable", rows_text(table(next(iter(targets.values()), {}), record))
        else:
            title = f"{test.value} · {mode.value} · medians of {n}, GB/s, ratio to the host"
            legend, text = LEGEND, rows_text(rows_of_test(comparison_rows(result, mode, state.hidden), test))
        if not result.samples and not result.cow:
            text.append("\n enter starts the run, d chooses what to compare", style="italic")
        _set_title(self._table, title, legend)
        self._table_text.update(text)

    def _all_tables(self, state: BenchState, test: IoTest) -> Text:
        result, mode = state.result, state.mode
        text = cow_bars(result, state.chart_style, self._table.content_size.width) if result.cow else Text()
        if result.samples:
            text.append_text(rows_text(comparison_rows(result, mode, state.hidden)))
            text.append(f"\n{mode_label(result, mode)}\n{spread_words(result, mode)}\n\n", style="italic")
            text.append_text(findings_text(findings(result)))
            text.append_text(heat_maps(result, mode, test, state.hidden))
        if result.facts:
            text.append(f"\n{printable(host_words(result))}\n", style="dim")
        return text


def _set_title(widget: Widget, title: str, subtitle: str) -> None:
    widget.border_title = Content(printable(title))
    widget.border_subtitle = Content(printable(subtitle))
