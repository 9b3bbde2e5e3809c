"""From the chunks of a log to lines: joined, bounded, their times read. Pure."""

from __future__ import annotations

from tui.engine.endpoint import LogLine
from tui.engine.live.parse import parse_time

_LONGEST = 64 << 10
"""Bytes of one line that are kept; a stranger may write gigabytes without a newline."""


class LogParser:
    """Fed with chunks as they arrive, split anywhere; gives whole lines, each led by the Engine's timestamp."""

    def __init__(self, *, error: bool = False) -> None:
        self._rest = bytearray()
        self._error = error

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that a chunk completes."""
        first, *segments = chunk.split(b"\n")
        self._rest += first  # in place: chunks may have a byte each
        complete_lines = []
        for segment in segments:
            complete_lines.append(bytes(self._rest))
            self._rest = bytearray(segment)
        if len(self._rest) > _LONGEST:
            complete_lines.append(bytes(self._rest))
            self._rest = bytearray()
        return [_line(line, self._error) for line in complete_lines]

    def end(self) -> list[LogLine]:
        """Return what came without a final newline."""
        return [_line(bytes(self._rest), self._error)] if self._rest else []


def _line(line: bytes, error: bool) -> LogLine:
    stamp, _, text = line.partition(b" ")
    time = parse_time(stamp.decode("ascii", "replace")) if len(stamp) > 18 else None
    return LogLine((text if time else line)[:_LONGEST], time, error)
