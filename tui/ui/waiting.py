"""Runs blocking calls in threads, shows their progress, notices one that hangs, and lets the user leave it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar
from weakref import WeakSet

from textual.app import App

from tui.core.errors import Stopped
from tui.files import Abandonable, Abandoned
from tui.ui.dialogs.working import ProgressDialog

T = TypeVar("T")


async def run_with_progress(app: App[int], dialog: ProgressDialog, call: Callable[[], T], patience: float) -> T:
    """Run a call in a thread and return its result; show the dialog if it takes longer than ``patience`` seconds.

    Raises Stopped when the user leaves a call that waits for a file system.
    """
    job = dialog.job = Abandonable()
    _jobs.add(job)
    task = asyncio.ensure_future(asyncio.to_thread(job.run, call))
    await asyncio.wait({task}, timeout=patience)
    if task.done():
        return await task
    app.push_screen(dialog)
    abandoned = asyncio.ensure_future(dialog.left.wait())
    try:
        await asyncio.wait({task, abandoned}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return await task
        job.abandon()
        task.add_done_callback(_ignore_outcome)
        raise Stopped("left: the file system did not answer", "the next start of dtui finishes or undoes the change")
    finally:
        abandoned.cancel()
        dialog.dismiss()


class _Read:
    """One call that reads something in a thread."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.reported = False
        self.ended = threading.Event()
        self._job = Abandonable()

    def run(self, call: Callable[[], T]) -> T:
        """Make the call in this thread and return its result."""
        try:
            return self._job.run(call)
        finally:
            self.ended.set()

    @property
    def is_silent(self) -> bool:
        """Whether the call makes no progress."""
        return self._job.runs and self._job.still_for() >= _SILENCE


class Reads:
    """What a screen reads in threads, by group, to report what does not answer.

    A read that hangs is left alone: it holds no lock, its thread ends with the process, and others go on beside it.
    """

    def __init__(self) -> None:
        self._reads: list[tuple[str, _Read]] = []

    def watched(self, subject: str, group: str, call: Callable[[], T], *, alone: bool) -> Callable[[], T]:
        """Return the call for a worker to make; ``alone`` forgets the earlier reads of the group."""
        if alone:
            self._reads = [(other, read) for other, read in self._reads if other != group]
        read = _Read(subject)
        self._reads.append((group, read))
        return partial(read.run, call)

    def look(self) -> tuple[str | None, tuple[str, ...]]:
        """Return what newly does not answer, None for nothing, and what was reported and has ended since."""
        ended = tuple(read.subject for _, read in self._reads if read.ended.is_set() and read.reported)
        self._reads = [(group, read) for group, read in self._reads if not read.ended.is_set()]
        for _, read in self._reads:
            if not read.reported and read.is_silent:
                read.reported = True
                return read.subject, ended
        return None, ended


def finish_jobs() -> None:
    """Wait for calls that the user left, as long as they make progress."""
    while any(job.runs and job.still_for() < _STILL for job in _jobs):
        time.sleep(_LOOK)


_jobs: WeakSet[Abandonable] = WeakSet()
_STILL, _LOOK = 2.0, 0.05

_SILENCE = 3.0
"""Seconds without progress after which a read is reported as not answering."""


def _ignore_outcome(task: asyncio.Future[T]) -> None:
    with suppress(Abandoned, Exception, asyncio.CancelledError):
        task.result()
