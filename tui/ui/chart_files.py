"""The charts of a run as a picture in a file."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import Literal

from rich.console import Console
from rich.text import Text

from tui.bench.charts import charts, shown_record
from tui.bench.plan import Mode
from tui.bench.results import Result
from tui.bench.stats import by_target
from tui.core.errors import BenchError
from tui.core.text import printable
from tui.ui.widgets.chart import draw, legend

_WIDTH, _HEIGHT = 100, 20
_INK, _PAPER = (0xE0, 0xE0, 0xE0), (0x12, 0x12, 0x12)


def chart_file(result: Result, kind: str) -> bytes:
    """Return the six charts of a run's first mode as an SVG or PNG; raises BenchError where no converter is."""
    svg = _svg(result)
    if kind == "svg":
        return svg.encode()
    converter = shutil.which("rsvg-convert")
    if converter is None:
        raise BenchError("rsvg-convert is not installed", "apt-get install librsvg2-bin, or take --format svg")
    done = subprocess.run([converter], input=svg.encode(), capture_output=True, check=False, env={"LC_ALL": "C.UTF-8"})  # noqa: S603 - an absolute path, no shell
    if done.returncode:
        raise BenchError("rsvg-convert cannot draw the chart", "take --format svg")
    return done.stdout


def chart_text(result: Result, mode: Mode, width: int, *, plain: bool) -> str:
    """Return the six charts of a mode for a terminal of so many columns; ``plain`` leaves the colours out."""
    targets = by_target(result.samples, mode, result.targets)
    record = shown_record(next(iter(targets.values()), {}))
    colours: Literal["truecolor"] | None = None if plain else "truecolor"
    console = Console(width=width, file=io.StringIO(), force_terminal=not plain, color_system=colours)
    for spec in charts(targets, record):
        console.print(Text(f"{spec.title} · {spec.unit} · {mode.value} · {record} KiB records", style="bold"))
        console.print(Text.from_ansi(draw(spec, width, _HEIGHT - 4, _INK, _PAPER)))
    console.print(legend(targets))
    assert isinstance(console.file, io.StringIO)  # noqa: S101 - it was made above
    return console.file.getvalue()


def _svg(result: Result) -> str:
    mode = result.plan.modes[0]
    targets = by_target(result.samples, mode, result.targets)
    record = shown_record(next(iter(targets.values()), {}))
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for spec in charts(targets, record):
        console.print(Text(f"{spec.title} · {spec.unit} · {mode.value} · {record} KiB records", style="bold"))
        console.print(Text.from_ansi(draw(spec, _WIDTH, _HEIGHT, _INK, _PAPER)))
    console.print(legend(targets))
    facts = result.facts
    name = result.name or f"{result.plan.preset.value} {result.started:%Y-%m-%d %H:%M}"
    return console.export_svg(title=printable(f"{name} · Linux {facts.get('kernel', '?')}"))
