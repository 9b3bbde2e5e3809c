"""Comparisons as rows of text: medians, ratios to the host, and verdicts. Pure."""

from __future__ import annotations

import statistics

from tui.bench.charts import gigabytes
from tui.bench.cow_suite import CowTest
from tui.bench.plan import TESTS, Mode, human_kb
from tui.bench.results import Result
from tui.bench.stats import Comparison, Summary, Verdict, by_target, compare_targets, not_direct, spread_in
from tui.core.text import count_of

VERDICT_SIGNS = {
    Verdict.FASTER: "▲",
    Verdict.SLOWER: "▼",
    Verdict.SAME: "=",
    Verdict.UNKNOWN: "?",
    Verdict.SHORT: "~",
}
"""A sign for each verdict, readable without colour."""

LEGEND = "compared with the host: ▲ faster  ▼ slower  = no measurable difference  ? not enough repeats  ~ under 100 µs"

HOST = "host"


def compare_to_host(result: Result, mode: Mode) -> dict[tuple[str, str, int, int], tuple[Summary, Comparison | None]]:
    """Return each number of a mode by (target, test, file kB, record kB), with its comparison to the host's."""
    targets = by_target(result.samples, mode, result.targets)
    spread = spread_in(result, mode)
    host = targets.get(HOST, {})
    comparisons = {}
    for name, summaries in targets.items():
        for key, summary in summaries.items():
            control = host.get(key) if name != HOST else None
            comparison = compare_targets(summary, control, spread.get(key[1])) if control else None
            comparisons[name, key[0].value, key[1], key[2]] = (summary, comparison)
    return comparisons


def comparison_rows(result: Result, mode: Mode, hidden: frozenset[str] = frozenset()) -> list[tuple[str, ...]]:
    """Return titles, then a row per test and file size: each target's median in GB/s and its ratio to the host."""
    targets = tuple(name for name in by_target(result.samples, mode, result.targets) if name not in hidden)
    comparisons = compare_to_host(result, mode)
    sizes = sorted({(file, record) for _, _, file, record in comparisons})
    one_record = len({record for _, record in sizes}) == 1
    rows: list[tuple[str, ...]] = [("test", "file", *targets)]
    for test in TESTS:
        for file, record in sizes:
            cells = [comparisons.get((name, test.value, file, record)) for name in targets]
            if any(cells):
                size = human_kb(file) if one_record else f"{human_kb(file)}/{human_kb(record)}"
                rows.append((test.value, size, *(_cell(cell) for cell in cells)))
    return rows


def _cell(cell: tuple[Summary, Comparison | None] | None) -> str:
    if cell is None:
        return "–"
    summary, comparison = cell
    number = f"{gigabytes(summary.median):.2f}"
    if comparison is None:
        return ("~" if summary.unsure else "") + number
    if comparison.verdict is Verdict.SHORT:
        return f"{number} ~"
    return f"{number} {comparison.ratio:.2f}{VERDICT_SIGNS[comparison.verdict]}"


def spread_words(result: Result, mode: Mode) -> str:
    """Say how much the target that was measured twice differs from itself."""
    spread = spread_in(result, mode)
    if not spread:
        return "no target was measured twice, so the spread is unknown"
    sizes = ", ".join(f"{human_kb(kb)} {share * 100:.0f} %" for kb, share in sorted(spread.items()))
    return f"one target measured twice differs from itself by {sizes}"


def mode_label(result: Result, mode: Mode) -> str:
    """Say what the numbers of a mode measure, and which targets do not comply."""
    label = {
        Mode.CACHED: "CACHED: through the page cache, without waiting for the disk",
        Mode.FLUSHED: "FLUSHED: including close and fsync (-c -e)",
        Mode.DIRECT: "DIRECT: bypassing the page cache (-I)",
        Mode.COLD: "COLD: with the host's caches dropped before each read",
    }[mode]
    ignoring = not_direct(result) if mode is Mode.DIRECT else ()
    return label + (f"; ignored by {', '.join(ignoring)}" if ignoring else "")


def cold_warning(drops: int) -> str:
    """Warn what COLD does to the host."""
    return f"COLD drops the caches of the whole host {count_of(drops, 'time')}, which slows down everything on it"


_HOST_WORDS = (("load", "load", ""), ("available", "memory free", ""), ("io_pressure", "waiting for the disk", " %"))


def host_words(result: Result) -> str:
    """Say how busy the host was at the start and at the end of a run, and what the hypervisor took."""
    facts = result.facts
    parts = [
        f"{title} {facts[name]}{unit} → {facts.get(f'{name}_after', '?')}{unit}"
        for name, title, unit in _HOST_WORDS
        if name in facts
    ]
    return " · ".join([*parts, *([f"steal {facts['steal']} %"] if "steal" in facts else [])])


Medians = dict[int, dict[str, float]]
"""Medians by what the measure varies (file kB, layers, or 0), then by target."""


def cow_medians(result: Result) -> dict[CowTest, Medians]:
    """Return the medians of the copy-on-write suite, starting with the measures that distinguish drivers most."""
    values: dict[CowTest, dict[int, dict[str, list[float]]]] = {}
    for sample in result.cow:
        values.setdefault(sample.test, {}).setdefault(sample.x, {}).setdefault(sample.target, []).append(sample.value)
    return {
        test: {
            x: {name: statistics.median(numbers) for name, numbers in targets.items()}
            for x, targets in sorted(values[test].items())
        }
        for test in CowTest
        if test in values
    }


def axis_words(test: CowTest, x: int) -> str:
    """Format what a number was measured over: ``64M``, ``20 layers``, or nothing."""
    return {"file": human_kb(x), "layers": f"{x} layer{'s' * (x != 1)}"}.get(test.axis, "")


def cow_rows(result: Result) -> list[tuple[str, ...]]:
    """Return titles, then a row per measure of the copy-on-write suite with the medians of each target."""
    medians = cow_medians(result)
    measured = {name for test in medians.values() for target_medians in test.values() for name in target_medians}
    targets = [name for name in result.targets if name in measured]
    rows: list[tuple[str, ...]] = [("measure", "over", *targets)]
    for test, by_value in medians.items():
        for x, target_medians in by_value.items():
            cells = [f"{target_medians[name]:.2f}" if name in target_medians else "–" for name in targets]
            rows.append((f"{test.title}, {test.unit}", axis_words(test, x), *cells))
    return rows
