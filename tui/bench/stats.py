"""Summarise samples: medians with their spread, ratios to a control, and verdicts. Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tui.bench.plan import IoTest, Mode
from tui.bench.results import Result, Sample

MIN_SPREAD = 0.10
"""Smallest relative difference that can count: what was measured between two identical ext4 directories."""

_MIN_REPEATS = 3
"""With fewer repeats there is no verdict."""

_MAX_DIRECT_RATIO = 1.5
"""A target that bypasses the cache but is this many times faster than the host does not really bypass it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The repeats of a number: median, quartiles and extremes in kB/s, their count, and whether too short to
    compare."""

    median: float
    low: float
    high: float
    smallest: int
    largest: int
    n: int
    unsure: bool


Key = tuple[IoTest, int, int]
"""Test, file kB, record kB."""

Summaries = dict[Key, Summary]


class Verdict(Enum):
    """How a target compares with its control."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no measurable difference"
    UNKNOWN = "not enough repeats"
    SHORT = "too short to compare"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The ratio of a target's number to the control's, and the verdict."""

    ratio: float
    verdict: Verdict


def summarise(samples: Iterable[Sample]) -> Summaries:
    """Summarise the samples of one target and mode by test, file and record size."""
    values: dict[Key, list[int]] = defaultdict(list)
    unsure: dict[Key, bool] = defaultdict(bool)
    for sample in samples:
        cell = sample.cell
        key = (cell.test, cell.file_kb, cell.record_kb)
        values[key].append(cell.kb_per_s)
        unsure[key] |= cell.unsure
    return {key: _summary(sorted(rates), unsure[key]) for key, rates in values.items()}


def _summary(rates: list[int], unsure: bool) -> Summary:
    if len(rates) > 1:
        low, _, high = statistics.quantiles(rates, n=4, method="inclusive")
    else:
        low = high = rates[0]
    return Summary(statistics.median(rates), low, high, rates[0], rates[-1], len(rates), unsure)


def by_target(samples: Iterable[Sample], mode: Mode, order: Iterable[str] = ()) -> dict[str, Summaries]:
    """Summarise the samples of each target in one mode: targets in ``order`` first, then as they first appear."""
    by_name: dict[str, list[Sample]] = {target: [] for target in order}
    for sample in samples:
        if sample.mode is mode:
            by_name.setdefault(sample.target, []).append(sample)
    return {target: summarise(target_samples) for target, target_samples in by_name.items() if target_samples}


def spread_of(first: Summaries, second: Summaries) -> dict[int, float]:
    """Return how much a target differs from itself by file size in kB: the largest ratio of medians, minus one.

    Small files vary much more than large ones, so each size has its own; numbers that are too short do not count.
    """
    worst: dict[int, float] = {}
    for key in first.keys() & second.keys():
        first_summary, second_summary = first[key], second[key]
        if not first_summary.unsure and not second_summary.unsure:
            difference = math.exp(abs(math.log(first_summary.median / second_summary.median))) - 1
            worst[key[1]] = max(worst.get(key[1], MIN_SPREAD), difference)
    return worst


def spread_in(result: Result, mode: Mode) -> dict[int, float]:
    """Return the spread by file size of the target that a run measured twice; empty if none was."""
    targets = by_target(result.samples, mode, result.targets)
    for name, summaries in targets.items():
        if f"{name} again" in targets:
            return spread_of(summaries, targets[f"{name} again"])
    return {}


def compare_targets(target: Summary, control: Summary, spread: float | None) -> Comparison:
    """Return whether two numbers differ by more than the measurement's own spread; without a spread it is unknown."""
    ratio = target.median / control.median
    if target.unsure or control.unsure:
        return Comparison(ratio, Verdict.SHORT)
    if min(target.n, control.n) < _MIN_REPEATS or spread is None:
        return Comparison(ratio, Verdict.UNKNOWN)
    if 1 / (1 + spread) <= ratio <= 1 + spread:
        return Comparison(ratio, Verdict.SAME)
    return Comparison(ratio, Verdict.FASTER if ratio > 1 else Verdict.SLOWER)


def not_direct(result: Result) -> tuple[str, ...]:
    """Return the targets that ignore O_DIRECT: much faster than the host itself although bypassing the cache."""
    targets = by_target(result.samples, Mode.DIRECT)
    host = targets.get("host")
    if host is None:
        return ()
    ignoring = []
    for name, summaries in targets.items():
        ratios = [summaries[key].median / host[key].median for key in summaries.keys() & host.keys()]
        if ratios and statistics.median(ratios) > _MAX_DIRECT_RATIO:
            ignoring.append(name)
    return tuple(ignoring)
