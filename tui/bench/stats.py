"""From samples to what is shown: medians with their spread. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tui.bench.plan import IoTest
from tui.bench.runner import Sample


@dataclass(frozen=True, slots=True)
class Summary:
    """The repeats of one number: median, quartiles, extremes in kB/s, how many, and whether too short to trust."""

    median: float
    low: float
    high: float
    smallest: int
    largest: int
    n: int
    unsure: bool


Key = tuple[IoTest, int, int]
"""IoTest, file kB, record kB."""


def summarise(samples: Iterable[Sample]) -> dict[Key, Summary]:
    """Summarise the samples of one target by test, file and record size."""
    values: dict[Key, list[int]] = defaultdict(list)
    unsure: dict[Key, bool] = defaultdict(bool)
    for sample in samples:
        cell = sample.cell
        key = (cell.test, cell.file_kb, cell.record_kb)
        values[key].append(cell.kb_per_s)
        unsure[key] |= cell.unsure
    return {key: _summary(sorted(found), unsure[key]) for key, found in values.items()}


def _summary(found: list[int], unsure: bool) -> Summary:
    if len(found) > 1:
        low, _, high = statistics.quantiles(found, n=4, method="inclusive")
    else:
        low = high = found[0]
    return Summary(statistics.median(found), low, high, found[0], found[-1], len(found), unsure)
