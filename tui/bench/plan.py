"""What a benchmark run does: which IOzone commands, how often, and what must come out of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from tui.core.errors import UsageError


class IoTest(Enum):
    """The six tests, in IOzone's column order (-i 0: write, rewrite; -i 1: read, reread; -i 2: random)."""

    WRITE = "write"
    REWRITE = "rewrite"
    READ = "read"
    REREAD = "reread"
    RANDOM_READ = "random read"
    RANDOM_WRITE = "random write"


TESTS = tuple(IoTest)

_FAMILIES = (TESTS[0:2], TESTS[2:4], TESTS[4:6])
"""What IOzone's -i 0, -i 1 and -i 2 measure."""


class Preset(StrEnum):
    """The plans a person chooses from."""

    QUICK = "quick"
    STANDARD = "standard"
    ARTICLE = "article"
    CUSTOM = "custom"


class Mode(StrEnum):
    """What a number is of: the page cache, with the flush in it (-c -e), or past the cache (-I)."""

    CACHED = "CACHED"
    FLUSHED = "FLUSHED"
    DIRECT = "DIRECT"


MODE_OPTIONS = {Mode.CACHED: (), Mode.FLUSHED: ("-c", "-e"), Mode.DIRECT: ("-I",)}

_SECONDS_A_MB = {Mode.CACHED: 0.0034, Mode.FLUSHED: 0.005, Mode.DIRECT: 0.012}
"""What a megabyte of file takes for all six tests on a fast disk, measured: the estimate before the first number."""

_SECONDS_A_RUN = 0.5
"""A container's creation, start and end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """IOzone commands, one a mode, their repeats and the (file kB, record kB) rows that each must give.

    ``options`` are IOzone's without mode and file.
    """

    preset: Preset
    options: tuple[str, ...]
    rows: tuple[tuple[int, int], ...]
    repeats: int
    modes: tuple[Mode, ...] = (Mode.CACHED,)
    tests: tuple[IoTest, ...] = TESTS

    @property
    def cells(self) -> int:
        """How many numbers all repeats on one target give."""
        return len(self.rows) * len(self.tests) * self.repeats * len(self.modes)

    @property
    def seconds(self) -> float:
        """What one target takes on a fast disk, all repeats and modes."""
        megabytes = sum(kb for kb, _ in self.rows) / 1024 * len(self.tests) / len(TESTS)
        return sum(_SECONDS_A_RUN + megabytes * _SECONDS_A_MB[mode] for mode in self.modes) * self.repeats

    @property
    def space(self) -> int:
        """Bytes that must be free: twice the largest file and 1 GiB."""
        return 2 * max(kb for kb, _ in self.rows) * 1024 + (1 << 30)

    def argv(self, file: str, mode: Mode = Mode.CACHED) -> tuple[str, ...]:
        """Return the command; ``file`` is deleted and made anew by IOzone, so it must be nobody's."""
        report = ("-Rb", f"{file}.xls") if self.preset is Preset.ARTICLE else ()
        return ("iozone", *self.options, *MODE_OPTIONS[mode], "-f", file, *report)


_SIZES = {Preset.QUICK: (64, 1024, 16384, 65536), Preset.STANDARD: (64, 256, 1024, 4096, 16384, 65536, 262144)}
_RECORD = 64
_REPEATS = {Preset.QUICK: 3, Preset.STANDARD: 5, Preset.ARTICLE: 1, Preset.CUSTOM: 3}
_LARGEST = 1 << 24
"""Largest file in kB that may be asked for: 16 GiB."""


def automatic_rows(smallest: int, largest: int) -> tuple[tuple[int, int], ...]:
    """Return the rows of ``iozone -a`` in kB: records 4 to 16384 up to the file's size, both doubling.

    From files of 32 MiB on, records below 64 kB are skipped (IOzone's crossover, measured on 489 to 510).
    """
    rows = []
    size = smallest
    while size <= largest:
        record = 4 if size < 32768 else 64
        while record <= min(size, 16384):
            rows.append((size, record))
            record *= 2
        size *= 2
    return tuple(rows)


def make_plan(preset: Preset, repeats: int | None = None) -> Plan:
    """Return a preset's plan; quick is a few sizes three times, article the article's own command once."""
    if preset is Preset.ARTICLE:
        sweep = ("-a", "-n", "4k", "-g", "1g", *_which(TESTS))
        return Plan(preset, sweep, automatic_rows(4, 1 << 20), repeats or 1)
    if preset is Preset.CUSTOM:
        return custom_plan(repeats=repeats)
    plan = custom_plan(_SIZES[preset], (_RECORD,), repeats=repeats or _REPEATS[preset])
    modes = (Mode.CACHED, Mode.FLUSHED) if preset is Preset.STANDARD else (Mode.CACHED,)
    return replace(plan, preset=preset, modes=modes)


def custom_plan(
    sizes: tuple[int, ...] = _SIZES[Preset.QUICK],
    records: tuple[int, ...] = (_RECORD,),
    tests: tuple[IoTest, ...] = TESTS,
    modes: tuple[Mode, ...] = (Mode.CACHED,),
    repeats: int | None = None,
) -> Plan:
    """Return a plan of one's own, sizes in kB; raises UsageError for what IOzone cannot measure or a host not hold.

    Both tests of a pair are run where one is asked for: IOzone knows only pairs, and reads need a file written before.
    """
    if not sizes or not records or not modes:
        raise UsageError("a plan needs a file size, a record size and a mode", "dtui bench run --help")
    if bad := [kb for kb in (*sizes, *records) if not 1 <= kb <= _LARGEST]:
        raise UsageError(f"{bad[0]}k is no size from 1k to 16g", "64k, 16m and 1g are sizes")
    rows = tuple((size, record) for size in sizes for record in records if record <= size)
    if not rows:
        raise UsageError("every record is larger than every file", "take smaller records or larger files")
    wanted = {test for family in _FAMILIES for test in family if set(family) & set(tests)} | set(_FAMILIES[0])
    measured = tuple(test for test in TESTS if test in wanted)
    options = [*_which(measured)]
    for word, values in (("-s", sizes), ("-r", records)):
        for kb in values:
            options += [word, f"{kb}k"]
    return Plan(Preset.CUSTOM, tuple(options), rows, repeats or _REPEATS[Preset.CUSTOM], modes, measured)


def _which(tests: tuple[IoTest, ...]) -> tuple[str, ...]:
    numbers = [str(number) for number, family in enumerate(_FAMILIES) if set(family) & set(tests)]
    return tuple(word for number in numbers for word in ("-i", number))


@dataclass(frozen=True, slots=True)
class Turn:
    """One IOzone process: which repeat (from 1) on which target in which mode."""

    repeat: int
    target: str
    mode: Mode


def schedule(plan: Plan, targets: tuple[str, ...], seed: int) -> tuple[Turn, ...]:
    """Return every turn of a run, targets and modes interleaved and shuffled anew within each repeat.

    What changes on the host in the course of a run then meets all targets alike.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    turns = []
    for repeat in range(1, plan.repeats + 1):
        lot = [Turn(repeat, target, mode) for target in targets for mode in plan.modes]
        chance.shuffle(lot)
        turns += lot
    return tuple(turns)


def cow_order(repeats: int, targets: list[str], seed: int) -> Iterator[tuple[int, str]]:
    """Yield (repeat, target) of the copy-on-write suite, the targets shuffled anew within each repeat."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    for repeat in range(1, repeats + 1):
        for target in chance.sample(targets, len(targets)):
            yield repeat, target
