"""Compare two runs, for instance on another kernel, version or host. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui.bench.plan import IoTest, Mode
from tui.bench.results import Result
from tui.bench.stats import Summary, Verdict, by_target, compare_targets, spread_in


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A number in two runs: the second relative to the first, the larger spread of the two, and the verdict."""

    target: str
    mode: Mode
    test: IoTest
    file_kb: int
    record_kb: int
    first: Summary
    second: Summary
    ratio: float
    spread: float | None
    verdict: Verdict


def compare_runs(first_run: Result, second_run: Result, targets: tuple[str, ...] = ()) -> tuple[RunComparison, ...]:
    """Compare targets of the same name, or two named targets, the second run relative to the first.

    The larger of the two runs' spreads decides, so that a difference is never based on the quieter run alone.
    """
    comparisons = []
    for mode in first_run.plan.modes:
        first, second = by_target(first_run.samples, mode), by_target(second_run.samples, mode)
        spreads = spread_in(first_run, mode), spread_in(second_run, mode)
        for first_name, second_name in _pairs(first, second, targets):
            for key in sorted(
                first[first_name].keys() & second[second_name].keys(), key=lambda key: (key[0].name, key[1:])
            ):
                measured_spreads = [spread[key[1]] for spread in spreads if key[1] in spread]
                spread = max(measured_spreads) if len(measured_spreads) == len(spreads) else None
                verdict = compare_targets(second[second_name][key], first[first_name][key], spread)
                name = first_name if first_name == second_name else f"{first_name} : {second_name}"
                pair = (first[first_name][key], second[second_name][key])
                comparisons.append(RunComparison(name, mode, *key, *pair, verdict.ratio, spread, verdict.verdict))
    return tuple(comparisons)


def _pairs(first: Iterable[str], second: Iterable[str], targets: tuple[str, ...]) -> list[tuple[str, str]]:
    if len(targets) == 2 and targets[0] in first and targets[1] in second:
        return [(targets[0], targets[1])]
    common = [name for name in first if name in second and (not targets or name in targets)]
    return [(name, name) for name in common]
