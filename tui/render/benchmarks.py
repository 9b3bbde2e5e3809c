"""The plan and the numbers of a benchmark as Rich text. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from tui.bench.charts import ChartStyle, gigabytes
from tui.bench.compare_runs import RunComparison
from tui.bench.findings import Finding
from tui.bench.plan import IoTest, Mode, Plan, human_kb
from tui.bench.results import Result
from tui.bench.runner import Progress
from tui.bench.stats import Summary, Verdict, by_target
from tui.bench.tables import VERDICT_SIGNS, axis_words, cold_warning, cow_medians
from tui.core.text import human_size, printable
from tui.render.chart import PALETTE

COLOURS = {
    Verdict.FASTER: "green",
    Verdict.SLOWER: "red",
    Verdict.SAME: "",
    Verdict.UNKNOWN: "dim",
    Verdict.SHORT: "dim",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run needs: seconds on a fast disk, free bytes, and how often caches are emptied."""

    seconds: float
    space: int
    drops: int


def expected_words(expected: Expected) -> str:
    """Describe what a run needs."""
    text = f"~ {duration(expected.seconds)} on all targets, {human_size(expected.space)} free"
    return text + (f"; {cold_warning(expected.drops)}" if expected.drops else "")


def duration(seconds: float) -> str:
    """Format a time to wait."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def style_of(number: int) -> tuple[str, str]:
    """Return the colour of a target as a style, and its sign."""
    (red, green, blue), sign = PALETTE[number % len(PALETTE)]
    return f"rgb({red},{green},{blue})", sign


def legend_text(chart_style: ChartStyle, *, lines: bool = False, digits: bool = False) -> Text:
    """Draw the targets with their signs and the digits that toggle them, on one line or one line each."""
    text = Text(no_wrap=lines)
    for number, name in enumerate(chart_style.order):
        colour, sign = style_of(number)
        hidden = name in chart_style.hidden
        if digits:
            text.append(f"{number + 1} " if number < DIGITS else "  ", style="dim")
        text.append("– " if hidden else f"{sign} ", style="dim" if hidden else colour)
        text.append(printable(name), style="dim" if hidden else "")
        if name in chart_style.cached:
            text.append(" (not direct)", style="yellow")
        text.append("\n" if lines else "   ")
    return text


DIGITS = 9
"""How many targets have a digit to toggle them."""


def plan_text(plan: Plan, chart_style: ChartStyle, suite: str, expected: Expected, progress: Progress | None) -> Text:
    """Draw the targets with their signs, what the run does and needs, and its progress."""
    text = legend_text(chart_style, lines=True, digits=True)
    pairs = [
        ("preset", plan.preset.value),
        ("suite", suite),
        ("mode", " ".join(mode.value for mode in plan.modes)),
        ("repeats", str(plan.repeats)),
        ("takes", f"~ {duration(expected.seconds)}"),
        ("needs", f"{human_size(expected.space)} free"),
    ]
    text.append("\n")
    for name, value in pairs:
        text.append_text(Text.assemble((f"{name:<8}", "bold"), value, "\n"))
    text.append(f"\niozone {' '.join(plan.options)}\n", style="dim")
    if plan.repeats < 3:
        text.append(
            "\n1 repeat: its error is unknown\n" if plan.repeats == 1 else "\n2 repeats: too few for a verdict\n",
            style="yellow",
        )
    if progress:
        time_left = f"{duration(progress.seconds_left)} left"
        text.append(f"\n{printable(progress.phase)}\n{progress.done}/{progress.total} · {time_left}\n", style="bold")
        text.append("esc aborts and keeps the numbers\n", style="dim")
    return text


def plan_line(plan: Plan, suite: str, expected: Expected) -> Text:
    """Describe the run on one line, for narrow screens."""
    modes = " ".join(mode.value for mode in plan.modes)
    return Text(f"{plan.preset.value} · {suite} · {modes} · {plan.repeats} times · ~ {duration(expected.seconds)}")


def rows_text(rows: Sequence[tuple[str, ...]]) -> Text:
    """Draw rows of cells in columns: titles bold, verdicts coloured next to their signs."""
    text = Text(no_wrap=True)
    if not rows:
        return text
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            padded = cell.ljust(widths[column]) if column == 0 else cell.rjust(widths[column] + 2)
            text.append(printable(padded), style="bold" if number == 0 else _style(cell))
        text.append("\n")
    return text


def _style(cell: str) -> str:
    for verdict, sign in VERDICT_SIGNS.items():
        if cell.endswith(sign) or (verdict is Verdict.SHORT and cell.startswith(sign)):
            return COLOURS[verdict]
    return ""


def rows_of_test(rows: Sequence[tuple[str, ...]], test: IoTest) -> list[tuple[str, ...]]:
    """Return the rows of one test without its name, after the titles."""
    return [row[1:] for number, row in enumerate(rows) if number == 0 or row[0] == test.value]


def run_comparison_text(comparisons: Sequence[RunComparison], first: Result, second: Result) -> Text:
    """Draw two runs side by side, with the ratio of the second to the first."""
    titles = (f"run {first.id}", f"run {second.id}", "ratio", "")
    rows: list[tuple[str, ...]] = [("target", "mode", "test", "file", *titles)]
    for comparison in comparisons:
        numbers = (
            f"{comparison.first.median * 1024 / 1e9:.2f}",
            f"{comparison.second.median * 1024 / 1e9:.2f}",
            f"{comparison.ratio:.2f}",
        )
        sign = f"{comparison.verdict.value} {VERDICT_SIGNS[comparison.verdict]}"
        rows.append(
            (
                comparison.target,
                comparison.mode.value,
                comparison.test.value,
                human_kb(comparison.file_kb),
                *numbers,
                sign,
            )
        )
    return rows_text(rows)


def findings_text(findings: Sequence[Finding]) -> Text:
    """Draw the outcome of each finding."""
    text = Text()
    for finding in findings:
        text.append_text(
            Text.assemble(f"{finding.claim}: ", (finding.outcome.value, "bold"), f" ({finding.figures})\n")
        )
    return text


_NAME, _NUMBER = 18, 10
"""Width in cells of a target's name and of a number."""

_LEAST_BAR, _MOST_BAR = 8, 40


def cow_bars(result: Result, chart_style: ChartStyle, width: int) -> Text:
    """Draw the copy-on-write suite: a group per measure, a line per target with its medians, a bar for the last of
    them.

    Drivers differ by up to a thousand times, so bars are logarithmic: every cell is the same factor.
    """
    text = Text(no_wrap=True)
    for test, by_value in cow_medians(result).items():
        xs = tuple(by_value)
        text.append(f"{test.title}, {test.unit}".ljust(_NAME + 2), style="bold")
        text.append("".join(axis_words(test, x).rjust(_NUMBER) for x in xs) + "\n", style="bold dim")
        last = {name: value for name, value in by_value[xs[-1]].items() if name in chart_style.shown}
        bar_width = max(_LEAST_BAR, min(_MOST_BAR, width - _NAME - 4 - _NUMBER * len(xs)))
        for name in (target for target in chart_style.shown if any(target in medians for medians in by_value.values())):
            colour, sign = style_of(chart_style.style(name))
            text.append(f"{sign} ", style=colour)
            text.append(printable(name)[:_NAME].ljust(_NAME))
            text.append("".join(_number(by_value[x].get(name)).rjust(_NUMBER) for x in xs))
            text.append(f"  {'━' * _bar_length(last.get(name, 0.0), list(last.values()), bar_width)}\n", style=colour)
        text.append("\n")
    return text


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _bar_length(value: float, values: list[float], width: int) -> int:
    """Return the length of a bar in cells: a quarter for the smallest value, full for the largest, logarithmic
    between."""
    positive = [number for number in values if number > 0]
    if value <= 0 or not positive:
        return 0
    low, high = min(positive), max(positive)
    decades = max(1.0, math.log10(high / low))
    return max(1, round(width * (1 + 3 * math.log10(value / low) / decades) / 4))


_SHADES = " ░▒▓█"


def heat_maps(result: Result, mode: Mode, test: IoTest, hidden: frozenset[str] = frozenset()) -> Text:
    """Draw record size by file size for each target: GB/s, denser if faster, ``~`` if too short to compare."""
    text = Text(no_wrap=True)
    for name, summaries in by_target(result.samples, mode, result.targets).items():
        by_size = {(record, file): summary for (t, file, record), summary in summaries.items() if t is test}
        records, files = sorted({key[0] for key in by_size}), sorted({key[1] for key in by_size})
        if len(records) < 2 or name in hidden:
            continue
        top = max((cell.median for cell in by_size.values() if not cell.unsure), default=1.0)
        text.append(f"\n{printable(name)} · {test.value} · GB/s, records down, files across\n", style="bold")
        text.append(" " * 7 + "".join(f"{human_kb(file):>8}" for file in files) + "\n", style="bold")
        for record in records:
            text.append(f"{human_kb(record):>6} ")
            for file in files:
                text.append(_heat(by_size.get((record, file)), top))
            text.append("\n")
    return text


def _heat(summary: Summary | None, top: float) -> str:
    if summary is None:
        return " " * 8
    shade = "~ " if summary.unsure else 2 * _SHADES[min(4, int(summary.median / top * 5))]
    return f"{gigabytes(summary.median):>6.2f}{shade}"
