"""Charts and tables as data: what to draw, not how. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui.bench.plan import TESTS, IoTest, Mode, human_kb
from tui.bench.results import Result
from tui.bench.stats import Key, Summaries, Summary, not_direct

_SHOWN_RECORD = 64
"""Record size in kB to draw if a run has several: every file from 64 kB to 1 GiB has it."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: label, number of its colour and sign, and (x, y) points.

    ``unsure`` are the points that are too short to compare.
    """

    label: str
    style: int
    points: tuple[tuple[float, float], ...]
    unsure: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ChartSpec:
    """A chart: title, unit of y, lines, and ticks as (position, label)."""

    title: str
    unit: str
    series: tuple[Series, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class ChartStyle:
    """Which targets to draw. ``order`` gives each its colour and sign; ``hidden`` ones are left out.

    ``cached`` are targets whose numbers come from the page cache although they should bypass it.
    """

    order: tuple[str, ...]
    hidden: frozenset[str] = frozenset()
    cached: frozenset[str] = frozenset()

    @property
    def shown(self) -> tuple[str, ...]:
        """The targets to draw."""
        return tuple(name for name in self.order if name not in self.hidden)

    def style(self, name: str) -> int:
        """Return the number of a target's colour and sign."""
        return self.order.index(name) if name in self.order else 0


def chart_style_of(result: Result, mode: Mode, hidden: frozenset[str] = frozenset()) -> ChartStyle:
    """Return the style for a mode of a run."""
    return ChartStyle(tuple(result.targets), hidden, frozenset(not_direct(result) if mode is Mode.DIRECT else ()))


def gigabytes(kb_per_s: float) -> float:
    """Convert kB/s (1024 B) to GB/s (10^9 B)."""
    return kb_per_s * 1024 / 1e9


def record_sizes(summaries: Summaries) -> tuple[int, ...]:
    """Return the record sizes of a run in kB."""
    return tuple(sorted({record for _, _, record in summaries}))


def shown_record(summaries: Summaries) -> int:
    """Return the record size to draw: 64 kB, or the nearest to it."""
    sizes = record_sizes(summaries)
    return min(sizes, key=lambda kb: abs(math.log2(kb / _SHOWN_RECORD))) if sizes else _SHOWN_RECORD


def _top(value: float) -> float:
    """Return a round number not below ``value``, for the top of an axis."""
    if value <= 0:
        return 1.0
    step = math.pow(10, math.floor(math.log10(value)))
    return next(step * factor for factor in (1, 2, 3, 4, 5, 6, 8, 10) if step * factor >= value)


def chart(
    test: IoTest, targets: dict[str, Summaries], record: int, style: ChartStyle, control: Summaries | None = None
) -> ChartSpec:
    """Return the chart of a test over log2 of the file size, a line per target: GB/s, or the ratio to ``control``."""
    series = []
    sizes: set[int] = set()
    for label, summaries in targets.items():
        cells = sorted((key[1], key, s) for key, s in summaries.items() if key[0] is test and key[2] == record)
        values = [(kb, _height(s, control, key), s.unsure) for kb, key, s in cells]
        sizes |= {kb for kb, _, _ in values}
        if label in style.hidden:
            continue
        points = tuple((math.log2(kb), value) for kb, value, _ in values if value is not None)
        unsure_points = tuple((math.log2(kb), value) for kb, value, unsure in values if value is not None and unsure)
        series.append(Series(label, style.style(label), points, unsure_points))
    top = _top(max((y for s in series for _, y in s.points), default=0.0))
    labels = sorted(sizes)
    step = max(1, -(-len(labels) // 6))
    return ChartSpec(
        title=test.value,
        unit="× host" if control is not None else "GB/s",
        series=tuple(series),
        x_ticks=tuple((math.log2(kb), human_kb(kb)) for kb in labels[::step]),
        y_ticks=tuple((value, f"{value:g}") for value in (0.0, top / 2, top)),
    )


def _height(summary: Summary, control: Summaries | None, key: Key) -> float | None:
    if control is None:
        return gigabytes(summary.median)
    return summary.median / control[key].median if key in control else None


def charts(
    targets: dict[str, Summaries], record: int, style: ChartStyle, control: Summaries | None = None
) -> tuple[ChartSpec, ...]:
    """Return the charts of all six tests."""
    return tuple(chart(test, targets, record, style, control) for test in TESTS)


def table(summaries: Summaries, record: int) -> list[tuple[str, ...]]:
    """Return the rows of the table next to the charts: titles, then a row per file size with medians in GB/s.

    ``~`` precedes numbers that are too short to compare; a dash means not measured.
    """
    rows: list[tuple[str, ...]] = [("file", *(test.value.replace("random", "rnd") for test in TESTS), "n")]
    for kb in sorted({size for _, size, r in summaries if r == record}):
        cells = [summaries.get((test, kb, record)) for test in TESTS]
        n = max((cell.n for cell in cells if cell), default=0)
        rows.append((human_kb(kb), *(_cell(cell) for cell in cells), str(n)))
    return rows


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "–"
    return ("~" if summary.unsure else "") + f"{gigabytes(summary.median):.2f}"
