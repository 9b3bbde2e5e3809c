"""End a verb at the second Ctrl+C even if one of its system calls never returns.

Waits for a FUSE or NFS server are killable, but a signal that Python handles does not kill: it stays pending until the
call returns. So a separate thread takes signals that stay pending, and ends the process once the main thread is idle.
The next start completes or rolls back the change in the journal, as after kill -9.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tui.core.state import release_locks
from tui.linux.descriptors import is_readable
from tui.linux.supervise import ENDED, ENDED_IN_CHANGE, STUCK_AFTER_ONE_INTERRUPT, give_up, interrupts_seen
from tui.linux.waits import KernelWait

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_INTERVAL = 0.1
"""Seconds between two checks for pending signals."""
_IDLE_SECONDS = 1.0
"""A main thread that uses at most ``_IDLE_CPU_SECONDS`` in this many seconds counts as idle."""
_IDLE_CPU_SECONDS = 0.005
_WAITING = (
    f"dtui: waiting {STUCK_AFTER_ONE_INTERRUPT:.0f} s for a file system that does not answer; "
    "Ctrl+C again ends dtui now\n"
)


@contextmanager
def ended_by_second_interrupt() -> Iterator[None]:
    """Watch the main thread, which must call this, for the duration of the context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _InterruptWatch()
    watch.start()
    try:
        yield
    finally:
        watch.end()


class _InterruptWatch:
    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._main)
        self._received: list[int] = []
        self._passed_on: list[int] = []
        self._warned = False
        self._kernel_wait = KernelWait(os.getpid(), lambda: _awaits_helper(self._main))
        self._cpu_seconds, self._idle_since = 0.0, 0.0
        self._reader = self._writer = self._old_wakeup_fd = -1
        self._thread = threading.Thread()

    def start(self) -> None:
        """Start watching."""
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._old_wakeup_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _SIGNALS:  # a signal with the default action cannot end an unkillable call: handle it
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _die)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        signal.set_wakeup_fd(self._old_wakeup_fd)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def end(self) -> None:
        """Stop watching. After an interrupt, ignore further ones, so that the verb can report how it ended."""
        if self._received:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        self.stop()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while self._take_handled() and self._take_pending():
            if self._received and self._is_idle():
                self._end_or_warn()

    def _take_handled(self) -> bool:
        """Record the signals that reached Python's handler; return whether to keep watching."""
        if not is_readable(self._reader, _POLL_INTERVAL):
            return True
        numbers = os.read(self._reader, 4096)
        for number in numbers:
            if number in self._passed_on:
                self._passed_on.remove(number)
            elif number in _SIGNALS:
                self._record(number)
        return bool(numbers)

    def _take_pending(self) -> bool:
        """Take a signal that the main thread has not taken, and send it on, because there may be a handler for it."""
        signal_info = signal.sigtimedwait(_SIGNALS, 0)
        if signal_info is not None:
            self._record(signal_info.si_signo)
            self._passed_on.append(signal_info.si_signo)
            with suppress(ProcessLookupError):
                signal.pthread_kill(self._main, signal_info.si_signo)
        return True

    def _record(self, number: int) -> None:
        if not self._received:
            self._cpu_seconds, self._idle_since = time.clock_gettime(self._clock), time.monotonic()
        self._received.append(number)

    def _is_idle(self) -> bool:
        """Return whether the main thread has hardly used the processor for a while."""
        cpu_seconds, current_time = time.clock_gettime(self._clock), time.monotonic()
        if cpu_seconds - self._cpu_seconds > _IDLE_CPU_SECONDS:
            self._cpu_seconds, self._idle_since = cpu_seconds, current_time
        return current_time - self._idle_since >= _IDLE_SECONDS

    def _end_or_warn(self) -> None:
        interrupts = max(len(self._received), interrupts_seen())  # the kernel may merge two that come at once
        seconds = self._kernel_wait.seconds()
        if interrupts == 1 and self._received[0] == signal.SIGINT and seconds < STUCK_AFTER_ONE_INTERRUPT:
            if not self._warned:
                self._warned = True
                _print(_WAITING)
            return
        _print(f"{ENDED_IN_CHANGE if release_locks() else ENDED}\n")
        give_up(128 + self._received[-1])


def _awaits_helper(thread: int) -> bool:
    from tui.linux.name_ops import awaits_helper  # only here: it costs each start 15 ms

    return awaits_helper(thread)


def _die(number: int, _frame: object) -> None:
    """Die by a signal as without a handler for it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _print(text: str) -> None:
    with suppress(OSError, ValueError):  # the process ends anyway
        os.write(sys.stderr.fileno(), text.encode())
