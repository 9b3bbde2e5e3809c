"""Parse IOzone's output number by number as it arrives. Pure; versions 3.489 to 3.510.

IOzone writes each value separately and unbuffered, and chunks may be split anywhere. Column positions differ between
versions, so values are assigned by the tests requested. The exit code is unreliable: an interrupted run exits with 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tui.bench.plan import TESTS, IoTest

COMPLETE = "iozone test complete."

_VERSION = re.compile(r"Version \$Revision: ([\d.]+)")
_MAX_LINE = 4096
_MAX_DIGITS = 19
"""Most digits of a number; Python refuses to parse thousands."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number: file and record size in kB (1024 B), the test, and kB/s."""

    file_kb: int
    record_kb: int
    test: IoTest
    kb_per_s: int

    @property
    def seconds(self) -> float:
        """How long the transfer took. Below 100 µs the clock's resolution dominates."""
        return self.file_kb / self.kb_per_s

    @property
    def unsure(self) -> bool:
        """Whether it was too short to compare."""
        return self.seconds < 100e-6


@dataclass(slots=True)
class Parser:
    """Takes output as it arrives and collects what it says."""

    tests: tuple[IoTest, ...] = TESTS
    version: str = ""
    unit: str = ""
    complete: bool = False
    rows: int = 0
    notices: list[str] = field(default_factory=list)
    _in_table: bool = False
    _pending: str = ""
    _values: list[int] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[Cell]:
        """Return the numbers that are complete, that is, followed by a blank or a newline."""
        cells: list[Cell] = []
        *lines, self._pending = (self._pending + chunk.decode("ascii", "replace")).split("\n")
        for line in lines:
            cells += self._read_line(line, ended=True)
            self._values = []
        if self._in_table and self._pending.strip():
            complete = self._pending.rpartition(" ")[0]
            cells += self._read_line(complete, ended=False)
        self._pending = self._pending[-_MAX_LINE:]
        return cells

    def _read_line(self, line: str, *, ended: bool) -> list[Cell]:
        columns = line.split()
        if self._in_table and columns and all(word.isdigit() and len(word) <= _MAX_DIGITS for word in columns):
            return self._new_cells([int(word) for word in columns], ended=ended)
        if ended:
            self._read_message(line.strip())
        return []

    def _new_cells(self, values: list[int], *, ended: bool) -> list[Cell]:
        previous_count, self._values = len(self._values), values
        if ended and len(values) >= 2 + len(self.tests):
            self.rows += 1
        cells = []
        for column in range(max(previous_count, 2), min(len(values), 2 + len(self.tests))):
            if values[column] > 0:  # 0 means not measured
                cells.append(Cell(values[0], values[1], self.tests[column - 2], values[column]))
        return cells

    def _read_message(self, line: str) -> None:
        if match := _VERSION.search(line):
            self.version = match.group(1)
        elif line.startswith("Output is in kBytes/sec"):
            self.unit = "kB/s"
        elif line.startswith(("OPS Mode", "Microseconds/op Mode")):
            self.unit = line
        elif line.split()[:2] == ["kB", "reclen"]:
            self._in_table = True
        elif line == COMPLETE:
            self.complete = True
        elif line.startswith("reported inaccurate") and self.notices:
            self.notices[-1] += f" {line}"  # IOzone splits this sentence over two lines
        elif line.startswith(("Timer resolution", "Error ", "iozone:")):
            self.notices.append(line)

    def failure(self, exit_code: int, expected_rows: int) -> str:
        """Return why a run failed, empty if it succeeded: exit code 0, the closing line, and all rows."""
        if self.unit and self.unit != "kB/s":
            return f"IOzone reported another unit: {self.unit}"
        if exit_code == 0 and self.complete and self.rows == expected_rows:
            return ""
        details = f": {'; '.join(self.notices)}" if self.notices and not self.complete else ""
        if not self.complete:
            return f"IOzone exited with code {exit_code} before it had finished{details}"
        return f"IOzone printed {self.rows} of {expected_rows} rows and exited with code {exit_code}{details}"
