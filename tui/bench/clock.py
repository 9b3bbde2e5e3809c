"""How much longer a run takes: by a guess before the first number, then by how the guess has fared so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """``guess`` is what a whole run takes on a fast disk, in seconds; each number is told with its own share of it."""

    guess: float
    _done: float = 0.0
    _began: float | None = field(default=None)

    def begin(self) -> None:
        """Measuring begins now; what makes ready does not count."""
        if self._began is None:
            self._began = time.monotonic()

    def add_done(self, seconds: float) -> None:
        """Take note of a number that was guessed to take so long."""
        self._done += seconds

    @property
    def left(self) -> float:
        """Return the seconds that are left."""
        todo = max(0.0, self.guess - self._done)
        if self._began is None or not self._done:
            return todo
        return todo * (time.monotonic() - self._began) / self._done
