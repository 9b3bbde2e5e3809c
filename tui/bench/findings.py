"""Four findings about storage drivers, published for one host, checked against this host's numbers. Pure.

Each compares one driver with the median of the other drivers for the same test, file and record size; ratios are
combined by their geometric mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tui.bench.plan import IoTest
from tui.bench.results import Result
from tui.bench.stats import Key, Summaries, by_target

_LARGE_KB = 512 << 10
"""File size in kB that counts as large: 512 MiB."""

_WELL_BELOW = 0.67
_LESS, _MORE = 0.9, 1.1
"""Ratios beyond which the findings say *slower* and *faster*; in between is no difference. *Well below* is
``_WELL_BELOW``."""

_READS = (IoTest.READ, IoTest.REREAD, IoTest.RANDOM_READ)
_WRITES = (IoTest.WRITE, IoTest.REWRITE, IoTest.RANDOM_WRITE)


class FindingOutcome(Enum):
    """Whether a finding holds on this host."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    NOT_MEASURABLE = "not measurable here"


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim, whether it holds, and the figures or what is missing."""

    claim: str
    outcome: FindingOutcome
    figures: str


Ratios = Callable[[tuple[IoTest, ...], Callable[[int], bool]], float | None]
"""Returns the geometric mean of a driver's ratios in some tests and file sizes, None if nothing was measured."""


def findings(result: Result) -> tuple[Finding, ...]:
    """Check the four findings against a run's first mode."""
    claims = (
        ("aufs", "aufs reads slower than the overlay drivers, but writes faster", _reads_slower_writes_faster),
        ("devicemapper", "devicemapper reads and writes well below the others from 512 MiB on", _badly_when_large),
        ("btrfs", "btrfs is very good from 512 MiB on, and worse than the others below", _good_when_large),
        ("zfs", "zfs is slower than the others throughout", _slower_throughout),
    )
    return tuple(_judge(result, driver, claim, judge) for driver, claim, judge in claims)


def _judge(result: Result, driver: str, claim: str, judge: Callable[[Ratios], tuple[bool, str] | str]) -> Finding:
    targets = by_target(result.samples, result.plan.modes[0], result.targets)
    drivers = {
        name: summaries
        for name, summaries in targets.items()
        if name not in result.controls and result.targets[name].get("driver") not in ("volume", "host")
    }
    judged_name = next((n for n in drivers if result.targets[n].get("driver") == driver), None)
    peers = [summaries for name, summaries in drivers.items() if name != judged_name]
    if judged_name is None:
        return Finding(claim, FindingOutcome.NOT_MEASURABLE, f"{driver} was not measured")
    if not peers:
        return Finding(claim, FindingOutcome.NOT_MEASURABLE, "no other driver was measured")
    verdict = judge(_ratios(drivers[judged_name], peers))
    if isinstance(verdict, str):
        return Finding(claim, FindingOutcome.NOT_MEASURABLE, verdict)
    repeats = min(result.plan.repeats, max((s.repeat for s in result.samples), default=0))
    caveat = "" if repeats > 2 else f"; from {repeats} repeat{'s' * (repeats != 1)}, so the error is unknown"
    return Finding(claim, FindingOutcome.HOLDS if verdict[0] else FindingOutcome.DOES_NOT_HOLD, verdict[1] + caveat)


def _ratios(judged: Summaries, peers: list[Summaries]) -> Ratios:
    def ratio(key: Key) -> float | None:
        peer_medians = [summaries[key].median for summaries in peers if key in summaries]
        return judged[key].median / statistics.median(peer_medians) if peer_medians else None

    def mean(tests: tuple[IoTest, ...], size: Callable[[int], bool]) -> float | None:
        keys = [key for key in judged if key[0] in tests and size(key[1]) and not judged[key].unsure]
        ratios = [value for key in keys if (value := ratio(key)) is not None]
        return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None

    return mean


def _any_size(size: int) -> bool:
    return size > 0


def _large(size: int) -> bool:
    return size >= _LARGE_KB


def _small(size: int) -> bool:
    return size < _LARGE_KB


_NO_LARGE = "no file of 512 MiB or more was measured; the article preset has them"


def _reads_slower_writes_faster(ratios: Ratios) -> tuple[bool, str] | str:
    reads, writes = ratios(_READS, _any_size), ratios(_WRITES, _any_size)
    if reads is None or writes is None:
        return "reads or writes were not measured"
    return reads < _LESS and writes > _MORE, f"reads {reads:.2f}, writes {writes:.2f} of the others"


def _badly_when_large(ratios: Ratios) -> tuple[bool, str] | str:
    reads, writes = ratios(_READS, _large), ratios(_WRITES, _large)
    if reads is None or writes is None:
        return _NO_LARGE
    return max(reads, writes) < _WELL_BELOW, f"reads {reads:.2f}, writes {writes:.2f} of the others from 512 MiB on"


def _good_when_large(ratios: Ratios) -> tuple[bool, str] | str:
    large, small = ratios((*_READS, *_WRITES), _large), ratios((*_READS, *_WRITES), _small)
    if large is None or small is None:
        return _NO_LARGE
    return large > _MORE and small < _LESS, f"{large:.2f} of the others from 512 MiB on, {small:.2f} below"


def _slower_throughout(ratios: Ratios) -> tuple[bool, str] | str:
    means = {test: value for test in (*_READS, *_WRITES) if (value := ratios((test,), _any_size)) is not None}
    if not means:
        return "nothing was measured long enough to compare"
    best = max(means, key=lambda test: means[test])
    figures = f"at best {means[best]:.2f} of the others ({best.value})"
    return means[best] < _LESS, figures
