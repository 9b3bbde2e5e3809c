"""Give up on a call that hangs in a dead file system, so that it changes nothing if it ever returns."""

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
    """Raised in an abandoned thread as soon as its system call returns.

    Its constructor blocks forever, before any handler can run: cleanup would write as well, and the thread no longer
    holds the lock.
    """

    def __init__(self) -> None:
        super().__init__()
        threading.Event().wait()


class Abandonable:
    """One call in one thread, which another thread can abandon."""

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
        """Whether the call has not returned yet and was not abandoned."""
        return self._thread != 0 and not self._given_up

    def still_for(self) -> float:
        """Return for how many seconds the thread has used hardly any CPU time."""
        current_time = time.monotonic()
        with self._guard:
            used = time.clock_gettime(time.pthread_getcpuclockid(self._thread)) if self._thread else -1.0
        if abs(used - self._used) > _WORK:
            self._used, self._since = used, current_time
        return current_time - self._since

    def abandon(self) -> None:
        """Make the call end at its next step, and release its locks now, as if its process had been killed.

        The exception is set first: from then on the thread does nothing more, and needs no lock.
        """
        with self._guard:
            if not self._thread:
                return
            self._given_up = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(Abandoned))
            kill_helpers(self._thread)
            release_locks(self._thread)
