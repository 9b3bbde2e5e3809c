"""How far an act is: entries, bytes and the time that is left, told by who does it and read by who shows it.

The thread that acts is being watched by at most one meter; every copy of bytes in it counts there.
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
"""Seconds of a phase before its speed says anything about the time that is left."""


class Phase(StrEnum):
    """What an act is doing, as it is shown."""

    MEASURE = "measuring"
    KEEP = "keeping a copy"
    DELETE = "deleting"
    COPY = "copying"
    RESTORE = "restoring"


class Meter:
    """Progress of one act. ``stop`` may be called by another thread; the act stops where that leaves nothing half done.

    ``told`` is called after each step, by the thread that acts.
    """

    def __init__(
        self, on_step: Callable[[Meter], None] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.phase: Phase | None = None
        self.entries = 0
        self.done = 0
        self.total = 0
        self.entries_in_all = 0
        """How many entries there are, where that is known and no bytes are copied."""
        self.final = False
        """Whether the act goes to its end from here on, whoever wants to stop it."""
        self.stopping = False
        self._path = b""
        self._on_step = on_step
        self._clock = clock
        self._began = clock()

    def begin(self, phase: Phase, total: int, entries: int, *, final: bool) -> None:
        """Begin a phase in which so many bytes are copied, of so many entries; raises Stopped."""
        self.phase, self.total, self.done, self.entries = phase, total, 0, 0
        self.entries_in_all = entries
        self._began = self._clock()
        self._report()
        self.final = final

    def step(self, count: int, path: bytes) -> None:
        """Take note of how many entries are done and which is next; raises Stopped."""
        self.entries, self._path = count, path
        self._report()

    def copied(self, size: int) -> None:
        """Take note of bytes that were copied; raises Stopped."""
        self.done += size
        self._report()

    def stop(self) -> None:
        """Ask the act to stop."""
        self.stopping = True

    def _report(self) -> None:
        if self.stopping and not self.final:
            raise Stopped("stopped", "nothing was changed")
        if self._on_step:
            self._on_step(self)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what this thread copies."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    @property
    def numbers(self) -> str:
        """How far it is, on one line: entries, bytes, percent and time left, as far as they are known."""
        parts = []
        if self.entries_in_all > 1:
            parts.append(f"{self.entries:,} of {count_of(self.entries_in_all, 'entry', 'entries')}")
        elif self.entries or not self.total:
            parts.append(count_of(self.entries, "entry", "entries"))
        done, total = self.entries, self.entries_in_all
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
        """The entry that is being worked on, to be shown."""
        return printable(self._path)

    def _time_left(self, done: int, total: int) -> list[str]:
        elapsed = self._clock() - self._began
        return [f"{_duration(round(elapsed * (total - done) / done))} left"] if done and elapsed >= _TOO_EARLY else []


def _duration(seconds: int) -> str:
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 6000 else f"{seconds // 3600} h"


_CURRENT: ContextVar[Meter | None] = ContextVar("meter", default=None)


def begin(phase: Phase, total: int = 0, *, entries: int = 0, final: bool = False) -> None:
    """Tell whoever watches this thread which phase begins and how much it copies; raises Stopped."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.begin(phase, total, entries, final=final)


def at(count: int, path: bytes) -> None:
    """Tell whoever watches this thread which entry is looked at; raises Stopped."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.step(count, path)


def copied(size: int) -> None:
    """Tell whoever watches this thread that bytes were copied; raises Stopped."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.copied(size)


def ignore_stop() -> None:
    """Let nobody stop what this thread does from here on: half of it would be neither old nor new."""
    meter = _CURRENT.get()
    if meter is not None:
        meter.final = True
