"""What the benchmark screen writes: the plan, and tables of numbers, as Rich text. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from tui.bench.charts import gigabytes
from tui.bench.claims import Finding
from tui.bench.compare import RunComparison
from tui.bench.plan import IoTest, Mode, Plan
from tui.bench.results import Result
from tui.bench.runner import Progress, human_kb
from tui.bench.stats import Summary, Verdict, by_target
from tui.bench.tables import MARKS, cow_rows
from tui.core.text import human_size, printable
from tui.ui.widgets.chart import PALETTE

COLOURS = {
    Verdict.FASTER: "green",
    Verdict.SLOWER: "red",
    Verdict.SAME: "",
    Verdict.UNKNOWN: "dim",
    Verdict.SHORT: "dim",
}


def duration(seconds: float) -> str:
    """Return a time to wait in words."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def plan_text(plan: Plan, targets: Sequence[str], suite: str, progress: Progress | None) -> Text:
    """Write what a run does and needs, who takes part under which mark, and how far it is."""
    text = Text()
    for number, name in enumerate(targets):
        (red, green, blue), sign = PALETTE[number % len(PALETTE)]
        text.append(f"{sign} ", style=f"rgb({red},{green},{blue})")
        text.append(f"{printable(name)}\n")
    pairs = [
        ("preset", plan.preset.value),
        ("suite", suite),
        ("mode", " ".join(mode.value for mode in plan.modes)),
        ("repeats", str(plan.repeats)),
        ("takes", f"~ {duration(plan.seconds * len(targets))}"),
        ("needs", f"{human_size(plan.space)} free"),
    ]
    text.append("\n")
    for name, value in pairs:
        text.append_text(Text.assemble((f"{name:<8}", "bold"), value, "\n"))
    text.append(f"\niozone {' '.join(plan.options)}\n", style="dim")
    if plan.repeats < 3:
        text.append("\n1 run: its error is not known\n", style="yellow")
    if progress:
        left = f"{duration(progress.seconds_left)} left" if progress.seconds_left is not None else "…"
        text.append(f"\n{printable(progress.phase)}\n{progress.done}/{progress.total} · {left}\n", style="bold")
    return text


def rows_text(rows: Sequence[tuple[str, ...]]) -> Text:
    """Write rows of cells in columns, the titles bold, verdicts in colour beside their signs."""
    text = Text(no_wrap=True)
    if not rows:
        return text
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            shown = cell.ljust(widths[column]) if column == 0 else cell.rjust(widths[column] + 2)
            text.append(printable(shown), style="bold" if number == 0 else _style(cell))
        text.append("\n")
    return text


def _style(cell: str) -> str:
    for verdict, sign in MARKS.items():
        if cell.endswith(sign) or (verdict is Verdict.SHORT and cell.startswith(sign)):
            return COLOURS[verdict]
    return ""


def of_test(rows: Sequence[tuple[str, ...]], test: IoTest) -> list[tuple[str, ...]]:
    """Return the rows of one test without its name, the titles first."""
    return [row[1:] for number, row in enumerate(rows) if number == 0 or row[0] == test.value]


def compared_text(found: Sequence[RunComparison], one: Result, other: Result) -> Text:
    """Write two runs side by side, the second by the first."""
    titles = (f"run {one.id}", f"run {other.id}", "ratio", "")
    rows: list[tuple[str, ...]] = [("target", "mode", "test", "file", *titles)]
    for row in found:
        numbers = (f"{row.one.median * 1024 / 1e9:.2f}", f"{row.other.median * 1024 / 1e9:.2f}", f"{row.ratio:.2f}")
        sign = f"{row.verdict.value} {MARKS[row.verdict]}"
        rows.append((row.target, row.mode.value, row.test.value, human_kb(row.file_kb), *numbers, sign))
    return rows_text(rows)


def findings_text(found: Sequence[Finding]) -> Text:
    """Write what became of each finding here."""
    text = Text()
    for one in found:
        text.append_text(Text.assemble(f"{one.claim}: ", (one.outcome.value, "bold"), f" ({one.figures})\n"))
    return text


_BAR = 40
"""Cells of the longest bar."""


def cow_bars(result: Result) -> Text:
    """Draw the copy-on-write suite: a group a measure, a bar a target, on a scale on which each cell is so much more.

    The drivers differ by up to a thousand times, so the bars grow with the logarithm; the numbers stand beside them.
    """
    text = Text(no_wrap=True)
    titles, *rows = cow_rows(result)
    names = titles[2:]
    for measure, over, *cells in rows:
        values = [float(cell) if cell != "–" else None for cell in cells]
        known = [value for value in values if value]
        text.append(f"{measure} {over}".rstrip() + "\n", style="bold")
        for number, (name, value) in enumerate(zip(names, values, strict=True)):
            if value is None:
                continue
            (red, green, blue), sign = PALETTE[number % len(PALETTE)]
            text.append(f"  {printable(name):<18}")
            text.append(f"{sign}{'━' * _length(value, known)}", style=f"rgb({red},{green},{blue})")
            text.append(f" {value:.2f}\n")
    return text


def _length(value: float, known: list[float]) -> int:
    if not value or not known:
        return 0
    low, high = min(known), max(known)
    decades = max(1.0, math.log10(high / low))
    return max(1, round(_BAR * (1 + math.log10(value / low) / decades * 3) / 4))


_SHADES = " ░▒▓█"


def heat_maps(result: Result, mode: Mode, test: IoTest) -> Text:
    """Draw record size by file size for each target: GB/s, denser the faster it is, ``~`` where it was too short."""
    text = Text(no_wrap=True)
    for name, summaries in by_target(result.samples, mode, result.targets).items():
        found = {(record, file): summary for (t, file, record), summary in summaries.items() if t is test}
        records, files = sorted({key[0] for key in found}), sorted({key[1] for key in found})
        if len(records) < 2:
            continue
        top = max((one.median for one in found.values() if not one.unsure), default=1.0)
        text.append(f"\n{printable(name)} · {test.value} · GB/s, records down, files across\n", style="bold")
        text.append(" " * 7 + "".join(f"{human_kb(file):>8}" for file in files) + "\n", style="bold")
        for record in records:
            text.append(f"{human_kb(record):>6} ")
            for file in files:
                text.append(_heat(found.get((record, file)), top))
            text.append("\n")
    return text


def _heat(summary: Summary | None, top: float) -> str:
    if summary is None:
        return " " * 8
    shade = "~ " if summary.unsure else 2 * _SHADES[min(4, int(summary.median / top * 5))]
    return f"{gigabytes(summary.median):>6.2f}{shade}"
