"""Leaves a call that waits for a file system that does not answer, so that it changes nothing should it come back."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tui.core.state import release_locks
from tui.linux.name_ops import kill_helpers

T = TypeVar("T")

_WORK = 0.005


class Abandoned(BaseException):
    """Raised in an abandoned thread as soon as its system call has come back.

    Python makes the exception before the first handler runs, and there the thread rests for ever: what would clean up
    after the call writes as well, and must not without the lock.
    """

    def __init__(self) -> None:
        super().__init__()
        threading.Event().wait()


class Abandonable:
    """One call in one thread, which another thread may give up."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._thread = 0
        self._given_up = False
        self._used, self._since = 0.0, time.monotonic()

    def run(self, call: Callable[[], T]) -> T:
        """Make the call in this thread and return its result."""
        with self._guard:
            self._thread = threading.get_ident()
        try:
            return call()
        finally:
            with self._guard:
                self._thread = 0

    @property
    def runs(self) -> bool:
        """Whether the call was made, has not come back, and was not given up."""
        return self._thread != 0 and not self._given_up

    def still_for(self) -> float:
        """Return for how many seconds the thread has hardly run."""
        current_time = time.monotonic()
        with self._guard:
            used = time.clock_gettime(time.pthread_getcpuclockid(self._thread)) if self._thread else -1.0
        if abs(used - self._used) > _WORK:
            self._used, self._since = used, current_time
        return current_time - self._since

    def abandon(self) -> None:
        """Have the call end at its next step and give its lock back now, as if its process had been killed.

        The exception comes first: from then on the thread does nothing more, so that the lock is not needed.
        """
        with self._guard:
            if not self._thread:
                return
            self._given_up = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(Abandoned))
            kill_helpers(self._thread)
            release_locks(self._thread)
