"""Progress of a change: entries, bytes and time left, reported by the thread that works and read by the one that shows
it.

A context variable holds the meter of the current thread, so that code deep below, such as a copy loop, can report
without having it passed down through every call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum

from tui.core.errors import Stopped
from tui.core.text import count_of, human_size, printable

_TOO_EARLY = 1.0
"""Seconds into a phase before its speed is a usable estimate of the time left."""


class Phase(StrEnum):
    """What a change is doing, in the word shown to the user."""

    MEASURE = "measuring"
    KEEP = "keeping a copy"
    DELETE = "deleting"
    COPY = "copying"
    RESTORE = "restoring"


class Meter:
    """Progress of one change.

    ``on_step`` is called after every step, on the working thread. ``stop`` may be called from any thread; the change
    stops at the next point that leaves nothing half done.
    """

    def __init__(
        self, on_step: Callable[[Meter], None] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.phase: Phase | None = None
        self.entries = 0
        self.done = 0
        self.total = 0
        self.total_entries = 0
        """Number of entries in all if it is known and no bytes are copied, else 0."""
        self.final = False
        """True once the change can no longer be stopped: stopping half-way through a rollback would be worse."""
        self.stopping = False
        self._path = b""
        self._on_step = on_step
        self._clock = clock
        self._started_at = clock()

    def begin(self, phase: Phase, total: int, entries: int, *, final: bool) -> None:
        """Start a phase that copies ``total`` bytes in ``entries`` entries; raises Stopped."""
        self.phase, self.total, self.done, self.entries = phase, total, 0, 0
        self.total_entries = entries
        self._started_at = self._clock()
        self._report()
        self.final = final

    def step(self, count: int, path: bytes) -> None:
        """Record how many entries are done and which one is next; raises Stopped."""
        self.entries, self._path = count, path
        self._report()

    def copied(self, size: int) -> None:
        """Record that ``size`` bytes were copied; raises Stopped."""
        self.done += size
        self._report()

    def stop(self) -> None:
        """Ask the change to stop."""
        self.stopping = True

    def _report(self) -> None:
        if self.stopping and not self.final:
            raise Stopped("stopped", "nothing was changed")
        if self._on_step:
            self._on_step(self)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Make this the meter of the current thread for the duration of the context."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    @property
    def numbers(self) -> str:
        """Entries, bytes, percent and time left on one line, as far as they are known."""
        parts = []
        if self.total_entries > 1:
            parts.append(f"{self.entries:,} of {count_of(self.total_entries, 'entry', 'entries')}")
        elif self.entries or not self.total:
            parts.append(count_of(self.entries, "entry", "entries"))
        done, total = self.entries, self.total_entries
        if self.total:
            done, total = min(self.done, self.total), self.total
            parts.append(f"{human_size(done)} of {human_size(total)}")
        if total:
            parts.append(f"{100 * done // total} %")
            parts += self._time_left(done, total)
        phase = f"{self.phase}: " if self.phase else ""
        return phase + " · ".join(parts)

    @property
    def path(self) -> str:
        """The entry being worked on, safe to print."""
        return printable(self._path)

    def _time_left(self, done: int, total: int) -> list[str]:
        elapsed = self._clock() - self._started_at
        return [f"{_duration(round(elapsed * (total - done) / done))} left"] if done and elapsed >= _TOO_EARLY else []


def _duration(seconds: int) -> str:
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 6000 else f"{seconds // 3600} h"


_CURRENT: ContextVar[Meter | None] = ContextVar("meter", default=None)


def begin(phase: Phase, total: int = 0, *, entries: int = 0, final: bool = False) -> None:
    """Report that a phase begins that copies ``total`` bytes; raises Stopped."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.begin(phase, total, entries, final=final)


def step(count: int, path: bytes) -> None:
    """Report the entry that comes next; raises Stopped."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.step(count, path)


def copied(size: int) -> None:
    """Report that ``size`` bytes were copied; raises Stopped."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.copied(size)


def ignore_stop() -> None:
    """Ignore requests to stop from here on: half of what follows would be neither the old state nor the new."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.final = True
