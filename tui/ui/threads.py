"""A thread for each call that may block, which neither keeps another from its turn nor the app from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThreads(ThreadPoolExecutor):
    """What asyncio runs blocking calls in; it takes no other type.

    A pool has few threads, so that a handful of calls to a file system that does not answer would use them up, and
    Python waits for all of them at its exit.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self._running: set[threading.Thread] = set()
        self._ended = threading.Condition()
        self._needed = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function in a thread of its own."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    _settle(future, lambda: fn(*args, **kwargs))
            finally:
                self._running.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True)
        self._running.add(thread)
        thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nobody."""
        del wait, cancel_futures

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Mark the current call as one whose end :meth:`finish` waits for: it clears something away."""
        with self._ended:
            self._needed += 1
        try:
            yield
        finally:
            with self._ended:
                self._needed -= 1
                self._ended.notify_all()

    def finish(self) -> None:
        """Wait for the calls that are marked as needed."""
        with self._ended:
            self._ended.wait_for(lambda: not self._needed)

    @property
    def busy(self) -> bool:
        """Whether a call has not come back."""
        return bool(self._running)


def _settle(future: Future[T], call: Callable[[], T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it goes to whoever waits for the future
        future.set_exception(error)
    else:
        future.set_result(result)
