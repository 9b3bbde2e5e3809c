"""Runs blocking calls in threads, shows their progress, and lets the user leave one that hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
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


def finish_jobs() -> None:
    """Wait for calls that the user left, as long as they make progress."""
    while any(job.runs and job.still_for() < _STILL for job in _jobs):
        time.sleep(_LOOK)


_jobs: WeakSet[Abandonable] = WeakSet()
_STILL, _LOOK = 2.0, 0.05


def _ignore_outcome(task: asyncio.Future[T]) -> None:
    with suppress(Abandoned, Exception, asyncio.CancelledError):
        task.result()
