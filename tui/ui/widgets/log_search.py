"""Searches what a log pane has not loaded: from the first line of the log to the first line of the pane."""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from textual.message import Message

from tui.core.errors import DtuiError
from tui.core.text import count_of
from tui.engine.endpoint import LogLine, LogStream

CONTEXT = 2
"""Lines shown before and after each match."""

_EXCERPT = 10_000
"""Maximum lines of matches and context that are kept; the oldest are dropped."""

_PROGRESS_SECONDS = 0.2

GAP = "⋯"
"""Start of a row that stands for omitted lines."""


@dataclass(frozen=True, slots=True)
class LogMatches:
    """Progress of a search: lines read, lines that match, and the rows to show."""

    read: int
    matches: int
    rows: tuple[str, ...] = ()
    ended: bool = False
    problem: str = ""


class LogSearch:
    """One search in its own thread, which posts :class:`Progress` until it ends or is closed."""

    class Progress(Message):
        """The search made progress or ended."""

        def __init__(self, search: LogSearch, log_matches: LogMatches) -> None:
            super().__init__()
            self.search = search
            self.log_matches = log_matches

    def __init__(
        self,
        open_stream: Callable[[], LogStream],
        post: Callable[[Message], object],
        needle: str,
        shown_lines: tuple[LogLine, ...],
        text_of: Callable[[LogLine], str],
    ) -> None:
        """Prepare a search for ``needle``, ignoring case, in the lines before ``shown_lines``."""
        self._open = open_stream
        self._post = post
        self._needle = needle.lower()
        self._first = shown_lines[0] if shown_lines else None
        self._shown_count = len(shown_lines)
        self._text_of = text_of
        self._closed = threading.Event()
        self._stream: LogStream | None = None
        self._read = 0
        self._matches: array[int] = array("Q")
        self._excerpt: deque[tuple[int, str]] = deque(maxlen=_EXCERPT)

    def start(self) -> None:
        threading.Thread(target=self._run, name="log search", daemon=True).start()

    def close(self) -> None:
        """Stop searching and posting."""
        self._closed.set()
        if self._stream:
            self._stream.close()

    def _run(self) -> None:
        problem, reached_pane = "", False
        try:
            self._stream = self._open()
            reached_pane = self._search(self._stream)
        except DtuiError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - if the thread died, the screen would search forever
            problem = f"{type(error).__name__}: {error}"[:300]
        # if the pane's first line did not come, because it was rotated away, the pane's lines are subtracted instead
        last = self._read if reached_pane or problem else max(0, self._read - self._shown_count)
        matches = sum(1 for number in self._matches if number <= last)
        excerpt = [(number, text) for number, text in self._excerpt if number <= last]
        if not self._closed.is_set():
            log_matches = LogMatches(last, matches, _rows(excerpt, last), ended=True, problem=problem)
            self._post(self.Progress(self, log_matches))

    def _search(self, stream: LogStream) -> bool:
        """Read up to the first line of the pane; return False if the log ended without it."""
        before: deque[str] = deque(maxlen=CONTEXT)
        after, reported_at = 0, monotonic()
        for line in stream:
            if self._closed.is_set():
                return True
            if line == self._first:
                return True
            self._read += 1
            text = self._text_of(line)
            if self._needle in text[1:].lower():
                self._matches.append(self._read)
                first = self._read - len(before)
                self._excerpt.extend(zip(range(first, self._read), before, strict=True))
                before.clear()
                self._excerpt.append((self._read, text))
                after = CONTEXT
            elif after:
                self._excerpt.append((self._read, text))
                after -= 1
            else:
                before.append(text)
            if monotonic() - reported_at > _PROGRESS_SECONDS:
                reported_at = monotonic()
                self._post(self.Progress(self, LogMatches(self._read, len(self._matches))))
        return False


def _rows(excerpt: list[tuple[int, str]], last: int) -> tuple[str, ...]:
    """Return the lines in order, with a row for each gap between them and before the pane's first line."""
    rows: list[str] = []
    expected = 1
    for number, text in excerpt:
        if number > expected:
            rows.append(gap_row(number - expected))
        rows.append(text)
        expected = number + 1
    if expected <= last:
        rows.append(gap_row(last + 1 - expected))
    return tuple(rows)


def gap_row(count: int) -> str:
    """Return the row that stands for ``count`` omitted lines."""
    return f"{GAP} {count_of(count, 'line')} not shown"
