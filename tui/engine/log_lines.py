"""Split the chunks of a log into bounded lines and read their timestamps. Pure."""

from __future__ import annotations

from tui.engine.endpoint import LogLine
from tui.engine.live.parse import parse_time

_MAX_LINE = 64 << 10
"""Longest line in bytes that is kept whole; a container may write gigabytes without a newline."""


class LogParser:
    """Takes chunks as they arrive, split anywhere, and returns whole lines, each with the Engine's timestamp."""

    def __init__(self, *, error: bool = False) -> None:
        self._buffer = bytearray()
        self._error = error

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that a chunk completes."""
        first, *segments = chunk.split(b"\n")
        self._buffer += first  # bytearray, extended in place: chunks may be as small as a byte
        complete_lines = []
        for segment in segments:
            complete_lines.append(bytes(self._buffer))
            self._buffer = bytearray(segment)
        if len(self._buffer) > _MAX_LINE:
            complete_lines.append(bytes(self._buffer))
            self._buffer = bytearray()
        return [_line(line, self._error) for line in complete_lines]

    def end(self) -> list[LogLine]:
        """Return the last line if it had no newline."""
        return [_line(bytes(self._buffer), self._error)] if self._buffer else []


def _line(line: bytes, error: bool) -> LogLine:
    timestamp, _, text = line.partition(b" ")
    time = parse_time(timestamp.decode("ascii", "replace")) if len(timestamp) > 18 else None
    return LogLine((text if time else line)[:_MAX_LINE], time, error)
