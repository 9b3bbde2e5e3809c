"""Let dtui end although its work hangs in a system call that nothing can interrupt, such as a call to a FUSE server.

A process lasts until the last of its threads has returned from the kernel, even after kill -9. So the work runs in a
child, and this process waits for it, passes signals on, and ends when the child ends or is given up. A child gives
itself up; the parent does it for a child that was asked to end while its main thread stays in one wait.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

from tui.linux.terminal_state import TerminalState
from tui.linux.waits import KernelWait

ENDING_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGALRM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""Signals that end a process by default.

The parent passes them on instead of dying, because its own end would kill the child before it has saved unsaved text.
"""
ENDED = "dtui: ended while a file system did not answer"
ENDED_IN_CHANGE = f"{ENDED}; the next start puts right what was under way"
_LISTENED_TO = {*ENDING_SIGNALS, signal.SIGCHLD, signal.SIGCONT}
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG (linux/prctl.h)
_PIDFD_GETFD = 438  # asm-generic/unistd.h, and so everywhere
_LOOK = 0.5
"""Seconds between two looks at a child that was asked to end."""
_STUCK_AFTER = 3.0
"""Seconds in one wait after which a child that was asked to end is given up; mostly it gives itself up sooner."""
STUCK_AFTER_ONE = 10.0
"""The same after one interrupt: two that come at once are one to the kernel."""
_END = 0.3
"""Seconds that a child which is killed has to end, with all its descriptors; only the kernel's waits take longer."""
_RELEASE = 1.0
"""Seconds that the release of a child's locks may take: they may lie on the file system that does not answer."""


class _Link:
    """What parent and child tell each other: an exit code through a pipe, the number of interrupts in shared memory."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._interrupts = mmap.mmap(-1, 1)

    @property
    def interrupts(self) -> int:
        """How many interrupts the parent has seen; of those that a busy child has not taken, the kernel keeps one."""
        return self._interrupts[0]

    def count_interrupt(self) -> None:
        """Note an interrupt for the child."""
        self._interrupts[0] = min(self._interrupts[0] + 1, 255)


_link: _Link | None = None
"""In a child: the line to its parent."""
_stuck = False


def go_on_in_child() -> None:
    """Go on in a child process; the caller's process ends as the child does, and returns from here no more.

    The calling thread must be the only one that matters: no other goes on in the child. Idempotent.
    """
    global _link  # noqa: PLW0603 - of a process there is one
    if _link is not None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever writes to it next is told
            stream.flush()
    terminal = TerminalState.current()
    link = _Link(os.getpid())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LISTENED_TO)
    child = os.fork()
    if child:
        os.close(link.writer)
        _Supervisor(child, link, terminal).run()
    os.close(link.reader)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != link.parent:
        os._exit(1)
    _link = link
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def give_up(code: int) -> NoReturn:
    """End with an exit code, from any thread and whatever the others wait for."""
    if _link is not None:
        for number in range(3):  # whoever reads a pipe of ours to its end waits for us no longer
            with suppress(OSError):
                os.close(number)
        with suppress(OSError):
            os.write(_link.writer, bytes((code,)))
            os.kill(_link.parent, signal.SIGCHLD)
    os._exit(code)


def interrupts_seen() -> int:
    """Return how many interrupts this process has got as its parent counts them; 0 without a parent."""
    return _link.interrupts if _link is not None else 0


def can_give_up() -> bool:
    """Say whether this process can end while a thread of it waits in a system call."""
    return _link is not None


def mark_stuck() -> None:
    """Note that a thread waits in a system call that may never return: this process must not wait for it at its end."""
    global _stuck  # noqa: PLW0603 - of a process there is one
    _stuck = True


def is_stuck() -> bool:
    """Say whether this process must be given up to end."""
    return _stuck


class _Supervisor:
    """The parent's part."""

    def __init__(self, child: int, link: _Link, terminal: TerminalState | None) -> None:
        self._child = child
        self._link = link
        self._terminal = terminal
        self._asked: list[int] = []
        self._wait = KernelWait(child)

    def run(self) -> NoReturn:
        """Pass signals on until the child has ended or is given up."""
        while True:
            signal_info = signal.sigtimedwait(_LISTENED_TO, _LOOK) if self._asked else signal.sigwaitinfo(_LISTENED_TO)
            if signal_info is None:
                self._look()
            elif signal_info.si_signo == signal.SIGCHLD:
                self._end_with_child()
                self._stop_with_child()
            else:
                self._pass_on(signal_info)

    def _pass_on(self, signal_info: signal.struct_siginfo) -> None:
        number = signal_info.si_signo
        if number in ENDING_SIGNALS:
            self._asked.append(number)
        if number == signal.SIGINT:
            self._link.count_interrupt()
        if self._is_for_child(signal_info):
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _is_for_child(self, signal_info: signal.struct_siginfo) -> bool:
        """Say whether a signal was sent to this process alone: a terminal sends it to both, a shell lets both go on."""
        if signal_info.si_signo == signal.SIGCONT:
            return _is_stopped(self._child)
        return signal_info.si_code <= 0 or signal_info.si_signo == signal.SIGHUP

    def _look(self) -> None:
        """Give up a child that was asked to end and does not leave one wait."""
        if self._wait.look() >= (STUCK_AFTER_ONE if self._asked == [signal.SIGINT] else _STUCK_AFTER):
            self._give_up(128 + self._asked[-1])

    def _give_up(self, code: int) -> NoReturn:
        held = _release_locks_of(self._child)
        if self._terminal is not None and TerminalState.current() != self._terminal:
            self._terminal.restore()
        with suppress(OSError):
            os.write(2, f"{ENDED_IN_CHANGE if held else ENDED}\n".encode())
        self._leave(code)

    def _leave(self, code: int) -> NoReturn:
        """End although the child has not; what it started goes with it, as far as the kernel lets it."""
        for process in (*descendants(self._child), self._child):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _wait_for(self._child, _END)
        os._exit(code)

    def _end_with_child(self) -> None:
        """End this process if the child has ended, as it did, or was given up."""
        with suppress(BlockingIOError):
            given_up = os.read(self._link.reader, 1)
            if given_up:
                self._leave(given_up[0])
        ended, status = os.waitpid(self._child, os.WNOHANG)
        if not ended:
            return
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            _die_by(-code)
        os._exit(code)

    def _stop_with_child(self) -> None:
        """Stop while the child is stopped, so that the shell gets its terminal back."""
        if _is_stopped(self._child):
            os.kill(os.getpid(), signal.SIGSTOP)


def _state_of(process: int) -> str:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is_stopped(process: int) -> bool:
    return _state_of(process) == "T"


def descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and those have; the last ones first."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    found += [*descendants(child), child]
    return found


def _release_locks_of(process: int) -> bool:
    """Give back the locks of a process, which keeps its descriptors until its last thread ends; say if there were any.

    Another process does so, for a lock on a network's file system is given back by its server.
    """
    helper = os.fork()
    if not helper:
        held = False
        with suppress(OSError):
            held = _unlock_descriptors(process)
        os._exit(held)
    code = _wait_for(helper, _RELEASE)
    if code is None:
        os.kill(helper, signal.SIGKILL)
    return code != 0


def _wait_for(process: int, seconds: float) -> int | None:
    """Wait for the end of a child; return its exit code, None when it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def _unlock_descriptors(process: int) -> bool:
    libc = ctypes.CDLL(None)
    handle = os.pidfd_open(process)
    held = False
    for number in os.listdir(f"/proc/{process}/fdinfo"):
        with open(f"/proc/{process}/fdinfo/{number}", "rb") as file:
            locked = b"FLOCK" in file.read()
        if locked:
            held = True
            fcntl.flock(libc.syscall(_PIDFD_GETFD, handle, int(number), 0), fcntl.LOCK_UN)
    return held


def _die_by(number: int) -> None:
    """Die by a signal, so that a shell sees what the child died by."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
