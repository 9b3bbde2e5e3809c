"""Comparisons as rows of words: medians, ratios to the host, and what they mean. Pure."""

from __future__ import annotations

import statistics

from tui.bench.charts import gigabytes
from tui.bench.copyup import CowTest
from tui.bench.plan import TESTS, Mode
from tui.bench.results import Result
from tui.bench.runner import human_kb
from tui.bench.stats import Comparison, Summary, Verdict, by_target, compare, not_direct, spread_in

MARKS = {
    Verdict.FASTER: "▲",
    Verdict.SLOWER: "▼",
    Verdict.SAME: "=",
    Verdict.UNKNOWN: "?",
    Verdict.SHORT: "~",
}
"""One sign a verdict, readable without colour."""

LEGEND = "beside the host: ▲ faster  ▼ slower  = no measurable difference  ? not enough repeats  ~ under 100 µs"

HOST = "host"


def compared(result: Result, mode: Mode) -> dict[tuple[str, str, int, int], tuple[Summary, Comparison | None]]:
    """Return each number of a mode by (target, test, file kB, record kB), beside the host's where there is one."""
    targets = by_target(result.samples, mode, result.targets)
    spread = spread_in(result, mode)
    host = targets.get(HOST, {})
    found = {}
    for name, summaries in targets.items():
        for key, summary in summaries.items():
            control = host.get(key) if name != HOST else None
            beside = compare(summary, control, spread.get(key[1])) if control else None
            found[name, key[0].value, key[1], key[2]] = (summary, beside)
    return found


def comparison_rows(result: Result, mode: Mode) -> list[tuple[str, ...]]:
    """Return titles, then a row a test and file size: the median in GB/s of each target, and the ratio to the host."""
    targets = tuple(by_target(result.samples, mode, result.targets))
    found = compared(result, mode)
    sizes = sorted({(file, record) for _, _, file, record in found})
    one_record = len({record for _, record in sizes}) == 1
    rows: list[tuple[str, ...]] = [("test", "file", *targets)]
    for test in TESTS:
        for file, record in sizes:
            cells = [found.get((name, test.value, file, record)) for name in targets]
            if any(cells):
                size = human_kb(file) if one_record else f"{human_kb(file)}/{human_kb(record)}"
                rows.append((test.value, size, *(_cell(cell) for cell in cells)))
    return rows


def _cell(found: tuple[Summary, Comparison | None] | None) -> str:
    if found is None:
        return "–"
    summary, beside = found
    number = f"{gigabytes(summary.median):.2f}"
    if beside is None:
        return ("~" if summary.unsure else "") + number
    if beside.verdict is Verdict.SHORT:
        return f"{number} ~"
    return f"{number} {beside.ratio:.2f}{MARKS[beside.verdict]}"


def spread_words(result: Result, mode: Mode) -> str:
    """Say how far one target measured twice differs from itself."""
    spread = spread_in(result, mode)
    if not spread:
        return "no target was measured twice: nothing can be told apart"
    sizes = ", ".join(f"{human_kb(kb)} {share * 100:.0f} %" for kb, share in sorted(spread.items()))
    return f"one target measured twice differs from itself by {sizes}"


def label_of(result: Result, mode: Mode) -> str:
    """Say what the numbers of a mode are of, and who does not keep to it."""
    words = {
        Mode.CACHED: "CACHED: of the page cache; the disk is not waited for",
        Mode.FLUSHED: "FLUSHED: with close and fsync in the time (-c -e)",
        Mode.DIRECT: "DIRECT: past the page cache (-I)",
    }[mode]
    cheats = not_direct(result) if mode is Mode.DIRECT else ()
    return words + (f"; not honoured by {', '.join(cheats)}" if cheats else "")


def cow_rows(result: Result) -> list[tuple[str, ...]]:
    """Return titles, then a row a measure of the copy-on-write suite and what it is over: medians of each target."""
    values: dict[tuple[CowTest, int], dict[str, list[float]]] = {}
    for one in result.cow:
        values.setdefault((one.test, one.x), {}).setdefault(one.target, []).append(one.value)
    targets = [name for name in result.targets if any(name in found for found in values.values())]
    rows: list[tuple[str, ...]] = [("measure", "over", *targets)]
    order = {test: number for number, test in enumerate(CowTest)}
    for (test, x), found in sorted(values.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        over = {"file": human_kb(x), "layers": f"{x} layer{'s' * (x != 1)}"}.get(test.over, "")
        cells = [f"{statistics.median(found[name]):.2f}" if name in found else "–" for name in targets]
        rows.append((f"{test.title}, {test.unit}", over, *cells))
    return rows
