"""Give up on a call that hangs in a dead file system, so that it changes nothing if it ever returns."""

from __future__ import annotations

import _thread
import ctypes
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from tui.core.errors import NotReachable
from tui.core.state import release_locks
from tui.linux.name_ops import kill_helpers
from tui.linux.supervise import mark_stuck
from tui.linux.waits import is_syncing

T = TypeVar("T")

_WORK = 0.005
_LOOK = 0.05
"""Seconds between two looks at a call that is waited for."""


class Abandoned(BaseException):
    """Raised in an abandoned thread as soon as its system call returns.

    Its constructor blocks forever, before any handler can run: cleanup would write as well, and the thread no longer
    holds the lock.
    """

    def __init__(self) -> None:
        super().__init__()
        threading.Event().wait()


class Unanswered(NotReachable):
    """A file system did not answer in time."""


class Abandonable:
    """One call in one thread, which another thread can abandon."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._thread = 0
        self._task = 0
        self._given_up = False
        self._used, self._since = 0.0, time.monotonic()

    def run(self, call: Callable[[], T]) -> T:
        """Make the call in this thread and return its result."""
        with self._guard:
            self._thread, self._task = threading.get_ident(), threading.get_native_id()
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

    @property
    def is_syncing(self) -> bool:
        """Whether the thread waits for a disk to write what it was given."""
        return is_syncing(self._task)

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


def answered(
    call: Callable[[], T], seconds: float, subject: str, hint: str = "try again once it answers", *, sync: float = 0.0
) -> T:
    """Return what a call returns, which runs in a thread of its own. May be called in a signal handler.

    Raises Unanswered if the call makes no progress for ``seconds``, or for ``sync`` seconds while it waits for a disk
    to write; the call is abandoned then.
    """
    job, outcomes = Abandonable(), queue.SimpleQueue[Future[T]]()

    def run() -> None:
        outcome: Future[T] = Future()
        try:
            outcome.set_result(job.run(call))
        except BaseException as error:  # noqa: BLE001 - passed on through the future
            outcome.set_exception(error)
        outcomes.put(outcome)

    # not threading.Thread: starting one takes a lock that the code interrupted by a signal may hold
    _thread.start_new_thread(run, ())
    try:
        while True:
            with suppress(queue.Empty):
                outcome = outcomes.get(timeout=_LOOK)
                break
            if job.still_for() >= (max(seconds, sync) if job.is_syncing else seconds):
                raise Unanswered(f"{subject} does not answer", hint)
    finally:
        if job.runs:
            job.abandon()
            mark_stuck()
    return outcome.result()
