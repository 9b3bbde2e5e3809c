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
ENDED_IN_CHANGE = f"{ENDED}; the next start completes or rolls back the change"
_HANDLED_SIGNALS = {*ENDING_SIGNALS, signal.SIGCHLD, signal.SIGCONT}
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG (linux/prctl.h)
_PIDFD_GETFD = 438  # asm-generic/unistd.h, and so everywhere
_POLL_INTERVAL = 0.5
"""Seconds between two checks of a child that was asked to end."""
_STUCK_AFTER = 3.0
"""Seconds in one wait after which a child that was asked to end is given up; usually it gives itself up sooner."""
STUCK_AFTER_ONE_INTERRUPT = 10.0
"""The same after a single interrupt, since the kernel may merge two into one."""
_KILL_TIMEOUT = 0.3
"""Seconds to wait for a killed child to end and close its descriptors; only a wait in the kernel takes longer."""
_RELEASE_TIMEOUT = 1.0
"""Seconds to wait for the release of a child's locks, which may be on the file system that does not answer."""


class _ParentLink:
    """What parent and child share: a pipe for the exit code, and the number of interrupts in shared memory."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._interrupts = mmap.mmap(-1, 1)

    @property
    def interrupts(self) -> int:
        """How many interrupts the parent has seen. For a busy child the kernel remembers only one."""
        return self._interrupts[0]

    def count_interrupt(self) -> None:
        """Count an interrupt, for the child to see."""
        self._interrupts[0] = min(self._interrupts[0] + 1, 255)


_parent_link: _ParentLink | None = None
"""In the child: the link to its parent."""
_is_stuck = False


def continue_in_child() -> None:
    """Continue in a child process. The calling process only waits for it, and ends as the child does.

    Only the calling thread continues in the child, so no other may matter. Idempotent.
    """
    global _parent_link  # noqa: PLW0603 - of a process there is one
    if _parent_link is not None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the next write to it reports the error
            stream.flush()
    terminal = TerminalState.current()
    link = _ParentLink(os.getpid())
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED_SIGNALS)
    child = os.fork()
    if child:
        os.close(link.writer)
        _Supervisor(child, link, terminal).run()
    os.close(link.reader)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != link.parent:
        os._exit(1)
    _parent_link = link
    signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)


def give_up(code: int) -> NoReturn:
    """End this process with an exit code, from any thread, whatever the other threads wait for."""
    if _parent_link is not None:
        for number in range(3):  # a reader of one of our pipes then sees its end, and does not wait for us
            with suppress(OSError):
                os.close(number)
        with suppress(OSError):
            os.write(_parent_link.writer, bytes((code,)))
            os.kill(_parent_link.parent, signal.SIGCHLD)
    os._exit(code)


def interrupts_seen() -> int:
    """Return how many interrupts the parent has counted for this process; 0 without a parent."""
    return _parent_link.interrupts if _parent_link is not None else 0


def can_give_up() -> bool:
    """Return whether this process can end while one of its threads waits in a system call."""
    return _parent_link is not None


def mark_stuck() -> None:
    """Remember that a thread waits in a system call that may never return, so that the exit does not wait for it."""
    global _is_stuck  # noqa: PLW0603 - of a process there is one
    _is_stuck = True


def is_stuck() -> bool:
    """Return whether this process can only end by being given up."""
    return _is_stuck


class _Supervisor:
    """What the parent does: pass signals on, and end with the child."""

    def __init__(self, child: int, link: _ParentLink, terminal: TerminalState | None) -> None:
        self._child = child
        self._link = link
        self._terminal = terminal
        self._ending_signals: list[int] = []
        self._wait = KernelWait(child)

    def run(self) -> NoReturn:
        """Pass signals on until the child has ended or is given up."""
        while True:
            signal_info = (
                signal.sigtimedwait(_HANDLED_SIGNALS, _POLL_INTERVAL)
                if self._ending_signals
                else signal.sigwaitinfo(_HANDLED_SIGNALS)
            )
            if signal_info is None:
                self._give_up_if_stuck()
            elif signal_info.si_signo == signal.SIGCHLD:
                self._end_with_child()
                self._stop_with_child()
            else:
                self._pass_on(signal_info)

    def _pass_on(self, signal_info: signal.struct_siginfo) -> None:
        number = signal_info.si_signo
        if number in ENDING_SIGNALS:
            self._ending_signals.append(number)
        if number == signal.SIGINT:
            self._link.count_interrupt()
        if self._is_for_child(signal_info):
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _is_for_child(self, signal_info: signal.struct_siginfo) -> bool:
        """Return whether a signal must be passed on: the terminal sends its signals to parent and child alike."""
        if signal_info.si_signo == signal.SIGCONT:
            return _is_stopped(self._child)
        return signal_info.si_code <= 0 or signal_info.si_signo == signal.SIGHUP

    def _give_up_if_stuck(self) -> None:
        """Give up a child that was asked to end but stays in one wait."""
        if self._wait.seconds() >= (
            STUCK_AFTER_ONE_INTERRUPT if self._ending_signals == [signal.SIGINT] else _STUCK_AFTER
        ):
            self._give_up(128 + self._ending_signals[-1])

    def _give_up(self, code: int) -> NoReturn:
        had_locks = _release_locks_of(self._child)
        if self._terminal is not None and TerminalState.current() != self._terminal:
            self._terminal.restore()
        with suppress(OSError):
            os.write(2, f"{ENDED_IN_CHANGE if had_locks else ENDED}\n".encode())
        self._leave(code)

    def _leave(self, code: int) -> NoReturn:
        """End although the child has not, and kill whatever it started."""
        for process in (*descendants(self._child), self._child):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _wait_for(self._child, _KILL_TIMEOUT)
        os._exit(code)

    def _end_with_child(self) -> None:
        """End this process, with the child's exit code or signal, if the child has ended or gave itself up."""
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
    """Return the pids of all descendants of a process, the youngest generation first."""
    pids: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    pids += [*descendants(child), child]
    return pids


def _release_locks_of(process: int) -> bool:
    """Release the locks of a process that keeps its descriptors until its last thread ends; return if it had any.

    A forked process does it, because releasing a lock on a network file system may hang too.
    """
    helper = os.fork()
    if not helper:
        had_locks = False
        with suppress(OSError):
            had_locks = _unlock_descriptors(process)
        os._exit(had_locks)
    code = _wait_for(helper, _RELEASE_TIMEOUT)
    if code is None:
        os.kill(helper, signal.SIGKILL)
    return code != 0


def _wait_for(process: int, seconds: float) -> int | None:
    """Wait for a child to end and return its exit code, None if it takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def _unlock_descriptors(process: int) -> bool:
    libc = ctypes.CDLL(None)
    handle = os.pidfd_open(process)
    had_locks = False
    for number in os.listdir(f"/proc/{process}/fdinfo"):
        with open(f"/proc/{process}/fdinfo/{number}", "rb") as file:
            locked = b"FLOCK" in file.read()
        if locked:
            had_locks = True
            fcntl.flock(libc.syscall(_PIDFD_GETFD, handle, int(number), 0), fcntl.LOCK_UN)
    return had_locks


def _die_by(number: int) -> None:
    """Die by a signal, so that a shell sees what the child died by."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
