"""One daemon thread per blocking call, so that no call delays another or keeps the app from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThreads(ThreadPoolExecutor):
    """The executor for asyncio, which accepts only a ThreadPoolExecutor.

    A pool has few threads: a handful of calls to a hung file system would use them all up, and Python waits for
    them when it exits.
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
        """Return without waiting for any thread."""
        del wait, cancel_futures

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Have :meth:`finish` wait for the current call, because it cleans something up."""
        with self._ended:
            self._needed += 1
        try:
            yield
        finally:
            with self._ended:
                self._needed -= 1
                self._ended.notify_all()

    def finish(self) -> None:
        """Wait for the calls marked as needed."""
        with self._ended:
            self._ended.wait_for(lambda: not self._needed)

    @property
    def busy(self) -> bool:
        """Whether a call is still running."""
        return bool(self._running)


def _settle(future: Future[T], call: Callable[[], T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - passed on through the future
        future.set_exception(error)
    else:
        future.set_result(result)
