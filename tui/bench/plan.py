"""What a benchmark run does: which IOzone command, how often, and what must come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class IoTest(Enum):
    """The six tests, in IOzone's column order (-i 0: write, rewrite; -i 1: read, reread; -i 2: random)."""

    WRITE = "write"
    REWRITE = "rewrite"
    READ = "read"
    REREAD = "reread"
    RANDOM_READ = "random read"
    RANDOM_WRITE = "random write"


TESTS = tuple(IoTest)


class Preset(StrEnum):
    """The plans a person chooses from."""

    QUICK = "quick"
    ARTICLE = "article"


@dataclass(frozen=True, slots=True)
class Plan:
    """One IOzone command, its repeats and its expected (file kB, record kB) rows.

    ``options`` are IOzone's without the file; ``seconds`` is what one run took on a fast disk.
    """

    preset: Preset
    options: tuple[str, ...]
    rows: tuple[tuple[int, int], ...]
    repeats: int
    seconds: float

    @property
    def cells(self) -> int:
        """How many numbers all repeats give."""
        return len(self.rows) * len(TESTS) * self.repeats

    @property
    def space(self) -> int:
        """Bytes that must be free: twice the largest file and 1 GiB."""
        return 2 * max(kb for kb, _ in self.rows) * 1024 + (1 << 30)

    def argv(self, file: str) -> tuple[str, ...]:
        """Return the command; ``file`` is deleted and made anew by IOzone, so it must be nobody's."""
        report = ("-Rb", f"{file}.xls") if self.preset is Preset.ARTICLE else ()
        return ("iozone", *self.options, "-f", file, *report)


_QUICK_SIZES = (64, 1024, 16384, 65536)
_QUICK_RECORD = 64


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
    """Return a preset's plan: quick is a few sizes three times, article the article's own command once."""
    which = ("-i", "0", "-i", "1", "-i", "2")
    if preset is Preset.ARTICLE:
        sweep = ("-a", "-n", "4k", "-g", "1g", *which)
        return Plan(preset, sweep, automatic_rows(4, 1 << 20), repeats or 1, 48.0)
    sizes = tuple(word for kb in _QUICK_SIZES for word in ("-s", f"{kb}k"))
    options = (*which, *sizes, "-r", f"{_QUICK_RECORD}k")
    return Plan(preset, options, tuple((kb, _QUICK_RECORD) for kb in _QUICK_SIZES), repeats or 3, 1.2)
