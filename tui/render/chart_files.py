"""The charts of a run as a picture file, or as text for a terminal."""

from __future__ import annotations

import io
from typing import Literal

from rich.console import Console
from rich.text import Text

from tui.bench.charts import chart_style_of, charts, shown_record
from tui.bench.plan import Mode
from tui.bench.results import Result
from tui.bench.stats import by_target
from tui.bench.tables import mode_label
from tui.core.text import printable
from tui.render.benchmarks import cow_bars, legend_text
from tui.render.chart import draw
from tui.render.picture import png_of

_WIDTH, _HEIGHT = 100, 20
_INK, _PAPER = (0xE0, 0xE0, 0xE0), (0x12, 0x12, 0x12)


def chart_file(result: Result, kind: str) -> bytes:
    """Return the charts of a run as SVG or PNG; raises BenchError without a converter."""
    svg = _svg(result)
    return svg.encode() if kind == "svg" else png_of(svg)


def chart_text(result: Result, mode: Mode, width: int, *, plain: bool) -> str:
    """Return the charts of a mode as text ``width`` columns wide; ``plain`` omits colours."""
    colours: Literal["truecolor"] | None = None if plain else "truecolor"
    console = Console(width=width, file=io.StringIO(), force_terminal=not plain, color_system=colours)
    _print_charts(console, result, mode, width, _HEIGHT - 4)
    assert isinstance(console.file, io.StringIO)  # noqa: S101 - it was made above
    return console.file.getvalue()


def _print_charts(console: Console, result: Result, mode: Mode, width: int, height: int) -> None:
    """Print the chart of each test that a mode measures, and the legend."""
    targets = by_target(result.samples, mode, result.targets)
    record = shown_record(next(iter(targets.values()), {}))
    chart_style = chart_style_of(result, mode)
    for spec in charts(targets, record, chart_style):
        if any(series.points for series in spec.series):
            console.print(Text(f"{spec.title} · {spec.unit} · {mode.value} · {record} KiB records", style="bold"))
            console.print(Text.from_ansi(draw(spec, width, height, _INK, _PAPER)))
    console.print(legend_text(chart_style))


def _svg(result: Result) -> str:
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for mode in result.plan.modes if result.samples else ():
        console.print(Text(mode_label(result, mode), style="bold"))
        _print_charts(console, result, mode, _WIDTH, _HEIGHT)
    if result.cow:
        console.print(Text("copy-on-write, medians", style="bold"))
        console.print(cow_bars(result, chart_style_of(result, Mode.CACHED), _WIDTH))
    facts = result.facts
    name = result.name or f"{result.plan.preset.value} {result.started:%Y-%m-%d %H:%M}"
    return console.export_svg(title=printable(f"{name} · Linux {facts.get('kernel', '?')}"))
