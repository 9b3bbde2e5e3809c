"""Ends a verb at the second Ctrl+C although a system call of it never returns.

Waits for a FUSE or NFS server are killable, but a signal that Python handles does not kill: it stays pending until the
call returns. A thread of its own therefore takes what stays pending, and ends the process when the main thread does
nothing more. The next start puts right what the journal holds, as after kill -9.
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
_LOOK = 0.1
"""Seconds between two looks at what is pending."""
_STILL = 1.0
"""Seconds in which a main thread that does something runs for longer than ``_WORK``."""
_WORK = 0.005
_WAITING = (
    f"dtui: waiting {STUCK_AFTER_ONE_INTERRUPT:.0f} s for a file system that does not answer; "
    "Ctrl+C again ends dtui now\n"
)


@contextmanager
def ended_by_second_interrupt() -> Iterator[None]:
    """Watch the main thread, from which this is called, for as long as the context lasts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch()
    watch.start()
    try:
        yield
    finally:
        watch.end()


class _Watch:
    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._main)
        self._received: list[int] = []
        self._passed_on: list[int] = []
        self._warned = False
        self._wait = KernelWait(os.getpid(), lambda: _awaits_helper(self._main))
        self._used, self._since = 0.0, 0.0
        self._reader = self._writer = self._before = -1
        self._thread = threading.Thread()

    def start(self) -> None:
        """Watch from now on."""
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _SIGNALS:  # what kills at once cannot end a call that is not killable: it is to be seen here
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _die)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        signal.set_wakeup_fd(self._before)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def end(self) -> None:
        """Watch no more; a verb that was interrupted tells its end undisturbed."""
        if self._received:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        self.stop()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while self._take_handled() and self._take_pending():
            if self._received and self._is_still():
                self._end_or_warn()

    def _take_handled(self) -> bool:
        """Note the signals that reached Python's handler; say whether the watch goes on."""
        if not is_readable(self._reader, _LOOK):
            return True
        numbers = os.read(self._reader, 4096)
        for number in numbers:
            if number in self._passed_on:
                self._passed_on.remove(number)
            elif number in _SIGNALS:
                self._note(number)
        return bool(numbers)

    def _take_pending(self) -> bool:
        """Take a signal that the main thread has not taken, and pass it on, for there may be a handler for it."""
        signal_info = signal.sigtimedwait(_SIGNALS, 0)
        if signal_info is not None:
            self._note(signal_info.si_signo)
            self._passed_on.append(signal_info.si_signo)
            with suppress(ProcessLookupError):
                signal.pthread_kill(self._main, signal_info.si_signo)
        return True

    def _note(self, number: int) -> None:
        if not self._received:
            self._used, self._since = time.clock_gettime(self._clock), time.monotonic()
        self._received.append(number)

    def _is_still(self) -> bool:
        """Say whether the main thread has hardly run for a while."""
        used, current_time = time.clock_gettime(self._clock), time.monotonic()
        if used - self._used > _WORK:
            self._used, self._since = used, current_time
        return current_time - self._since >= _STILL

    def _end_or_warn(self) -> None:
        times = max(len(self._received), interrupts_seen())  # two that come soon after another are one to this process
        seconds = self._wait.seconds()
        if times == 1 and self._received[0] == signal.SIGINT and seconds < STUCK_AFTER_ONE_INTERRUPT:
            if not self._warned:
                self._warned = True
                _say(_WAITING)
            return
        _say(f"{ENDED_IN_CHANGE if release_locks() else ENDED}\n")
        give_up(128 + self._received[-1])


def _awaits_helper(thread: int) -> bool:
    from tui.linux.name_ops import awaits_helper  # only here: it costs each start 15 ms

    return awaits_helper(thread)


def _die(number: int, _frame: object) -> None:
    """Die by a signal as without a handler for it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # whoever ends does not need to be heard
        os.write(sys.stderr.fileno(), text.encode())
