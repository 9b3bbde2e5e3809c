"""Estimate the remaining time of a run: first by a guess, then by how the guess has compared with reality so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """``expected`` is the expected duration of the run on a fast disk in seconds; each number has a share of it."""

    expected: float
    _done: float = 0.0
    _started_at: float | None = field(default=None)

    def begin(self) -> None:
        """Start the clock; preparation does not count."""
        if self._started_at is None:
            self._started_at = time.monotonic()

    def add_done(self, seconds: float) -> None:
        """Record a number that was expected to take ``seconds``."""
        self._done += seconds

    @property
    def seconds_left(self) -> float:
        """The estimated seconds left."""
        remaining = max(0.0, self.expected - self._done)
        if self._started_at is None or not self._done:
            return remaining
        return remaining * (time.monotonic() - self._started_at) / self._done
