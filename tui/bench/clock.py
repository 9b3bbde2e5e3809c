"""Estimate the remaining time of a run: first by a guess, then by how the guess has compared with reality so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """``guess`` is the expected duration of the run on a fast disk in seconds; each number has a share of it."""

    guess: float
    _done: float = 0.0
    _began: float | None = field(default=None)

    def begin(self) -> None:
        """Start the clock; preparation does not count."""
        if self._began is None:
            self._began = time.monotonic()

    def add_done(self, seconds: float) -> None:
        """Record a number that was expected to take ``seconds``."""
        self._done += seconds

    @property
    def left(self) -> float:
        """The estimated seconds left."""
        todo = max(0.0, self.guess - self._done)
        if self._began is None or not self._done:
            return todo
        return todo * (time.monotonic() - self._began) / self._done
