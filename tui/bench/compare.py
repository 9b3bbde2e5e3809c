"""Two runs side by side: other kernel, other version, other host. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui.bench.plan import IoTest, Mode
from tui.bench.results import Result
from tui.bench.stats import Summary, Verdict, by_target, compare_targets, spread_in


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One number in two runs: the second by the first, the spread that either run found, and what that means."""

    target: str
    mode: Mode
    test: IoTest
    file_kb: int
    record_kb: int
    one: Summary
    other: Summary
    ratio: float
    spread: float | None
    verdict: Verdict


def compare_runs(one: Result, other: Result, targets: tuple[str, ...] = ()) -> tuple[RunComparison, ...]:
    """Compare targets of the same name, or of two runs the two that are named; the second run by the first.

    The wider of the two runs' own spreads decides, so that a difference is never told by the quieter run alone.
    """
    found = []
    for mode in one.plan.modes:
        first, second = by_target(one.samples, mode), by_target(other.samples, mode)
        spreads = spread_in(one, mode), spread_in(other, mode)
        for mine, theirs in _pairs(first, second, targets):
            for key in sorted(first[mine].keys() & second[theirs].keys(), key=lambda key: (key[0].name, key[1:])):
                known = [spread[key[1]] for spread in spreads if key[1] in spread]
                spread = max(known) if len(known) == len(spreads) else None
                verdict = compare_targets(second[theirs][key], first[mine][key], spread)
                name = mine if mine == theirs else f"{mine} : {theirs}"
                pair = (first[mine][key], second[theirs][key])
                found.append(RunComparison(name, mode, *key, *pair, verdict.ratio, spread, verdict.verdict))
    return tuple(found)


def _pairs(first: Iterable[str], second: Iterable[str], targets: tuple[str, ...]) -> list[tuple[str, str]]:
    if len(targets) == 2 and targets[0] in first and targets[1] in second:
        return [(targets[0], targets[1])]
    common = [name for name in first if name in second and (not targets or name in targets)]
    return [(name, name) for name in common]
