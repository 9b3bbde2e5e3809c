"""What a benchmark run does: the IOzone commands, how often to run them, and the rows they must print."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from tui.core.errors import UsageError
from tui.core.text import printable


class IoTest(Enum):
    """The six tests in the order of IOzone's columns (-i 0: write, rewrite; -i 1: read, reread; -i 2: random)."""

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
    """The plans to choose from."""

    QUICK = "quick"
    STANDARD = "standard"
    ARTICLE = "article"
    CUSTOM = "custom"


class Mode(StrEnum):
    """What a number measures: the page cache, including the flush (-c -e), bypassing the cache (-I), or a cold
    cache."""

    CACHED = "CACHED"
    FLUSHED = "FLUSHED"
    DIRECT = "DIRECT"
    COLD = "COLD"


MODE_OPTIONS = {Mode.CACHED: (), Mode.FLUSHED: ("-c", "-e"), Mode.DIRECT: ("-I",), Mode.COLD: ()}

COLD_TESTS = (IoTest.READ, IoTest.RANDOM_READ)
"""The tests that a cold cache affects: rereads find the cache warm again, and writes do not need it."""

_COLD_RECORDS, _COLD_KB = 8, 1024
"""Smallest file for COLD, in records and in kB.

IOzone reads the first record before starting its clock (system calls of 3.489), and the kernel reads 128 KiB ahead, so
smaller files are warm by then.
"""

_SECONDS_PER_MB = {Mode.CACHED: 0.0034, Mode.FLUSHED: 0.005, Mode.DIRECT: 0.012, Mode.COLD: 0.006}
"""Measured seconds per megabyte of file for all six tests on a fast disk, for the first estimate."""

_SECONDS_PER_RUN = 0.5
"""Seconds to create, start and end a container."""

_SECONDS_PER_DROP = 0.3
"""Seconds to drop the host's caches once, including flushing dirty pages."""


@dataclass(frozen=True, slots=True)
class Step:
    """One IOzone process: the tests it prints, those whose numbers count, and the number of rows it must print.

    ``cold`` asks to drop the caches first.
    """

    argv: tuple[str, ...]
    printed: tuple[IoTest, ...]
    counted: tuple[IoTest, ...]
    rows: int
    cold: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """IOzone commands, one per mode, with repeats and the (file kB, record kB) rows each must print.

    ``options`` are IOzone's, without mode and file.
    """

    preset: Preset
    options: tuple[str, ...]
    rows: tuple[tuple[int, int], ...]
    repeats: int
    modes: tuple[Mode, ...] = (Mode.CACHED,)
    tests: tuple[IoTest, ...] = TESTS

    def tests_of(self, mode: Mode) -> tuple[IoTest, ...]:
        """Return the tests that a mode measures."""
        return tuple(test for test in self.tests if mode is not Mode.COLD or test in COLD_TESTS)

    def rows_of(self, mode: Mode) -> tuple[tuple[int, int], ...]:
        """Return the rows that a mode measures."""
        return tuple(row for row in self.rows if mode is not Mode.COLD or is_cold(*row))

    @property
    def cells(self) -> int:
        """How many numbers all repeats on one target yield."""
        return self.repeats * sum(len(self.rows_of(mode)) * len(self.tests_of(mode)) for mode in self.modes)

    @property
    def drops(self) -> int:
        """How often the host's caches are dropped for one target."""
        cold = self.steps("", Mode.COLD) if Mode.COLD in self.modes else ()
        return self.repeats * sum(step.cold for step in cold)

    @property
    def seconds(self) -> float:
        """Expected seconds per target on a fast disk, for all repeats and modes."""
        return self.repeats * sum(
            self.seconds_of(mode, kb) * len(self.tests_of(mode)) for mode in self.modes for kb, _ in self.rows_of(mode)
        )

    def seconds_of(self, mode: Mode, file_kb: int) -> float:
        """Return the expected seconds for one number on a fast disk, with its share of the container's time."""
        transfer = file_kb / 1024 * _SECONDS_PER_MB[mode] * len(self.tests) / len(TESTS)
        row = _SECONDS_PER_RUN / len(self.rows_of(mode)) + transfer
        return row / len(self.tests_of(mode)) + (_SECONDS_PER_DROP if mode is Mode.COLD else 0.0)

    @property
    def space(self) -> int:
        """Bytes that must be free: twice the largest file, plus 1 GiB."""
        return 2 * max(kb for kb, _ in self.rows) * 1024 + (1 << 30)

    def argv(self, file: str, mode: Mode = Mode.CACHED) -> tuple[str, ...]:
        """Return the command. IOzone deletes and recreates ``file``, so it must be nobody else's."""
        report = ("-Rb", f"{file}.xls") if self.preset is Preset.ARTICLE else ()
        return ("iozone", *self.options, *MODE_OPTIONS[mode], "-f", file, *report)

    def steps(self, file: str, mode: Mode) -> tuple[Step, ...]:
        """Return the processes of one trial: one for all rows or, with a cold cache, several per row.

        There the file is written and kept (-w), and each read is a process of its own after dropping the caches.
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
                keep_file = ("-w",) if test is not cold[-1] else ()
                steps.append(Step(("iozone", "-i", str(number), *keep_file, *size), family, (test,), 1, cold=True))
        return tuple(steps)


_SIZES = {Preset.QUICK: (64, 1024, 16384, 65536), Preset.STANDARD: (64, 256, 1024, 4096, 16384, 65536, 262144)}
_RECORD = 64
_REPEATS = {Preset.QUICK: 3, Preset.STANDARD: 5, Preset.ARTICLE: 1, Preset.CUSTOM: 3}
MAX_FILE_KB = 1 << 24
"""Largest file size in kB: 16 GiB."""


def automatic_rows(smallest: int, largest: int) -> tuple[tuple[int, int], ...]:
    """Return the rows of ``iozone -a`` in kB: records from 4 to 16384 up to the file's size, both doubling.

    For files of 32 MiB or more, records below 64 kB are skipped (IOzone's crossover, measured on 489 to 510).
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
    """Return a preset's plan: quick measures a few sizes three times, article runs the article's own command once."""
    if preset is Preset.ARTICLE:
        sweep = ("-a", "-n", "4k", "-g", "1g", *_test_options(TESTS))
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
    """Return a custom plan, sizes in kB; raises UsageError for what IOzone or the host cannot do.

    If one test of a pair is requested, both run: IOzone knows only pairs, and reads need a file written before.
    """
    if not sizes or not records or not modes:
        raise UsageError("a plan needs a file size, a record size and a mode", "dtui bench run --help")
    if invalid := [kb for kb in (*sizes, *records) if not 1 <= kb <= MAX_FILE_KB]:
        raise UsageError(f"{invalid[0]}k is not a size from 1k to 16g", "for example 64k, 16m or 1g")
    rows = tuple((size, record) for size in sizes for record in records if record <= size)
    if not rows:
        raise UsageError("every record is larger than every file", "use smaller records or larger files")
    needed = {test for family in _FAMILIES for test in family if set(family) & set(tests)} | set(_FAMILIES[0])
    measured = tuple(test for test in TESTS if test in needed)
    options = [*_test_options(measured)]
    for word, values in (("-s", sizes), ("-r", records)):
        for kb in values:
            options += [word, f"{kb}k"]
    plan = Plan(Preset.CUSTOM, tuple(options), rows, repeats or _REPEATS[Preset.CUSTOM], modes, measured)
    if Mode.COLD in modes and not plan.tests_of(Mode.COLD):
        raise UsageError("COLD measures reads, but no read is selected", "add the test read or random read")
    if Mode.COLD in modes and not plan.rows_of(Mode.COLD):
        raise UsageError("COLD needs files of at least 1m and 8 records", "add the size 16m")
    return plan


def is_cold(file_kb: int, record_kb: int) -> bool:
    """Return whether a file is large enough for a cold cache to matter."""
    return file_kb >= max(_COLD_KB, _COLD_RECORDS * record_kb)


_UNITS = {"k": 1, "m": 1 << 10, "g": 1 << 20}


def parse_kb(text: str) -> int:
    """Parse a size such as ``64k``, ``16m`` or ``1g`` into kB; raises UsageError."""
    number, unit = text[:-1], text[-1:].lower()
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise UsageError(f"{printable(text)} is not a size", "for example 64k, 16m or 1g")
    return int(number) * _UNITS[unit]


def human_kb(kb: int) -> str:
    """Format a size in IOzone's steps: ``64K``, ``16M``, ``1G``."""
    for limit, unit in ((1 << 20, "G"), (1 << 10, "M")):
        if kb >= limit:
            return f"{kb // limit}{unit}"
    return f"{kb}K"


def _test_options(tests: tuple[IoTest, ...]) -> tuple[str, ...]:
    numbers = [str(number) for number, family in enumerate(_FAMILIES) if set(family) & set(tests)]
    return tuple(word for number in numbers for word in ("-i", number))


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of IOzone: repeat (from 1), target and mode."""

    repeat: int
    target: str
    mode: Mode


def schedule(plan: Plan, targets: tuple[str, ...], seed: int) -> tuple[Trial, ...]:
    """Return all trials of a run, with targets and modes shuffled anew within each repeat.

    What changes on the host in the course of a run then affects all targets alike.
    """
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    trials = []
    for repeat in range(1, plan.repeats + 1):
        batch = [Trial(repeat, target, mode) for target in targets for mode in plan.modes]
        rng.shuffle(batch)
        trials += batch
    return tuple(trials)


def cow_order(repeats: int, targets: list[str], seed: int) -> Iterator[tuple[int, str]]:
    """Yield (repeat, target) of the copy-on-write suite, the targets shuffled anew within each repeat."""
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    for repeat in range(1, repeats + 1):
        for target in rng.sample(targets, len(targets)):
            yield repeat, target
