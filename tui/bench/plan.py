"""What a benchmark run does: which IOzone commands, how often, and what must come out of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from tui.core.errors import UsageError
from tui.core.text import printable


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
    """What a number is of: the page cache, with the flush in it (-c -e), past the cache (-I), or an emptied cache."""

    CACHED = "CACHED"
    FLUSHED = "FLUSHED"
    DIRECT = "DIRECT"
    COLD = "COLD"


MODE_OPTIONS = {Mode.CACHED: (), Mode.FLUSHED: ("-c", "-e"), Mode.DIRECT: ("-I",), Mode.COLD: ()}

COLD_TESTS = (IoTest.READ, IoTest.RANDOM_READ)
"""What an emptied cache is felt by: the first of each pair; rereads find the cache full again, writes never need it."""

_COLD_RECORDS, _COLD_KB = 8, 1024
"""The least file for COLD, in records and in kB.

IOzone reads the first record before its clock starts (system calls of 3.489), and the kernel reads 128 KiB ahead:
smaller files are warm by then.
"""

_SECONDS_A_MB = {Mode.CACHED: 0.0034, Mode.FLUSHED: 0.005, Mode.DIRECT: 0.012, Mode.COLD: 0.006}
"""What a megabyte of file takes for all six tests on a fast disk, measured: the estimate before the first number."""

_SECONDS_A_RUN = 0.5
"""A container's creation, start and end."""

_SECONDS_A_DROP = 0.3
"""Emptying the host's caches once, dirty pages written first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One IOzone process: the tests that it prints, those whose numbers count, and how many rows it must give.

    ``cold`` asks for empty caches before it.
    """

    argv: tuple[str, ...]
    prints: tuple[IoTest, ...]
    counts: tuple[IoTest, ...]
    rows: int
    cold: bool = False


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

    def tests_of(self, mode: Mode) -> tuple[IoTest, ...]:
        """Return the tests whose numbers a mode gives."""
        return tuple(test for test in self.tests if mode is not Mode.COLD or test in COLD_TESTS)

    def rows_of(self, mode: Mode) -> tuple[tuple[int, int], ...]:
        """Return the rows whose numbers a mode gives."""
        return tuple(row for row in self.rows if mode is not Mode.COLD or is_cold(*row))

    @property
    def cells(self) -> int:
        """How many numbers all repeats on one target give."""
        return self.repeats * sum(len(self.rows_of(mode)) * len(self.tests_of(mode)) for mode in self.modes)

    @property
    def drops(self) -> int:
        """How often the host's caches are emptied for one target."""
        cold = self.steps("", Mode.COLD) if Mode.COLD in self.modes else ()
        return self.repeats * sum(step.cold for step in cold)

    @property
    def seconds(self) -> float:
        """What one target takes on a fast disk, all repeats and modes."""
        return self.repeats * sum(
            self.seconds_of(mode, kb) * len(self.tests_of(mode)) for mode in self.modes for kb, _ in self.rows_of(mode)
        )

    def seconds_of(self, mode: Mode, file_kb: int) -> float:
        """Return what one number takes on a fast disk, its share of the container's time in it."""
        transfer = file_kb / 1024 * _SECONDS_A_MB[mode] * len(self.tests) / len(TESTS)
        row = _SECONDS_A_RUN / len(self.rows_of(mode)) + transfer
        return row / len(self.tests_of(mode)) + (_SECONDS_A_DROP if mode is Mode.COLD else 0.0)

    @property
    def space(self) -> int:
        """Bytes that must be free: twice the largest file and 1 GiB."""
        return 2 * max(kb for kb, _ in self.rows) * 1024 + (1 << 30)

    def argv(self, file: str, mode: Mode = Mode.CACHED) -> tuple[str, ...]:
        """Return the command; ``file`` is deleted and made anew by IOzone, so it must be nobody's."""
        report = ("-Rb", f"{file}.xls") if self.preset is Preset.ARTICLE else ()
        return ("iozone", *self.options, *MODE_OPTIONS[mode], "-f", file, *report)

    def steps(self, file: str, mode: Mode) -> tuple[Step, ...]:
        """Return the processes of one turn: one for all rows, or for empty caches several a row.

        A file is then written and kept (-w), and each read of it is a process of its own after the caches were emptied.
        """
        if mode is not Mode.COLD:
            return (Step(self.argv(file, mode), self.tests, self.tests, len(self.rows)),)
        steps = []
        for kb, record in self.rows_of(mode):
            size = ("-s", f"{kb}k", "-r", f"{record}k", "-f", file)
            steps.append(Step(("iozone", "-i", "0", "-w", *size), _FAMILIES[0], (), 1))
            cold = self.tests_of(mode)
            for test in cold:
                number, family = next((n, family) for n, family in enumerate(_FAMILIES) if test in family)
                keep = ("-w",) if test is not cold[-1] else ()
                steps.append(Step(("iozone", "-i", str(number), *keep, *size), family, (test,), 1, cold=True))
        return tuple(steps)


_SIZES = {Preset.QUICK: (64, 1024, 16384, 65536), Preset.STANDARD: (64, 256, 1024, 4096, 16384, 65536, 262144)}
_RECORD = 64
_REPEATS = {Preset.QUICK: 3, Preset.STANDARD: 5, Preset.ARTICLE: 1, Preset.CUSTOM: 3}
LARGEST = 1 << 24
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
    if bad := [kb for kb in (*sizes, *records) if not 1 <= kb <= LARGEST]:
        raise UsageError(f"{bad[0]}k is no size from 1k to 16g", "64k, 16m and 1g are sizes")
    rows = tuple((size, record) for size in sizes for record in records if record <= size)
    if not rows:
        raise UsageError("every record is larger than every file", "take smaller records or larger files")
    needed = {test for family in _FAMILIES for test in family if set(family) & set(tests)} | set(_FAMILIES[0])
    measured = tuple(test for test in TESTS if test in needed)
    options = [*_which(measured)]
    for word, values in (("-s", sizes), ("-r", records)):
        for kb in values:
            options += [word, f"{kb}k"]
    plan = Plan(Preset.CUSTOM, tuple(options), rows, repeats or _REPEATS[Preset.CUSTOM], modes, measured)
    if Mode.COLD in modes and not plan.tests_of(Mode.COLD):
        raise UsageError("COLD measures reads, and no read is asked for", "add the test read or random read")
    if Mode.COLD in modes and not plan.rows_of(Mode.COLD):
        raise UsageError("COLD needs files of 1m and more, and of 8 records and more", "add the size 16m")
    return plan


def is_cold(file_kb: int, record_kb: int) -> bool:
    """Say whether a file is large enough for empty caches to be felt."""
    return file_kb >= max(_COLD_KB, _COLD_RECORDS * record_kb)


_UNITS = {"k": 1, "m": 1 << 10, "g": 1 << 20}


def kilobytes(word: str) -> int:
    """Return a size such as ``64k``, ``16m`` or ``1g`` in kB; raises UsageError."""
    number, unit = word[:-1], word[-1:].lower()
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise UsageError(f"{printable(word)} is no size", "64k, 16m and 1g are sizes")
    return int(number) * _UNITS[unit]


def human_kb(kb: int) -> str:
    """Return a size in IOzone's own steps: ``64K``, ``16M``, ``1G``."""
    for limit, unit in ((1 << 20, "G"), (1 << 10, "M")):
        if kb >= limit:
            return f"{kb // limit}{unit}"
    return f"{kb}K"


def _which(tests: tuple[IoTest, ...]) -> tuple[str, ...]:
    numbers = [str(number) for number, family in enumerate(_FAMILIES) if set(family) & set(tests)]
    return tuple(word for number in numbers for word in ("-i", number))


@dataclass(frozen=True, slots=True)
class Trial:
    """One IOzone process: which repeat (from 1) on which target in which mode."""

    repeat: int
    target: str
    mode: Mode


def schedule(plan: Plan, targets: tuple[str, ...], seed: int) -> tuple[Trial, ...]:
    """Return every turn of a run, targets and modes interleaved and shuffled anew within each repeat.

    What changes on the host in the course of a run then meets all targets alike.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    trials = []
    for repeat in range(1, plan.repeats + 1):
        lot = [Trial(repeat, target, mode) for target in targets for mode in plan.modes]
        chance.shuffle(lot)
        trials += lot
    return tuple(trials)


def cow_order(repeats: int, targets: list[str], seed: int) -> Iterator[tuple[int, str]]:
    """Yield (repeat, target) of the copy-on-write suite, the targets shuffled anew within each repeat."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    for repeat in range(1, repeats + 1):
        for target in chance.sample(targets, len(targets)):
            yield repeat, target
