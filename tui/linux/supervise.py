"""Lets this process end although its work waits in a system call that nothing can end, such as one for a FUSE server.

A process lasts until the last of its threads has come back from the kernel, also after kill -9. So the work goes on in
a child, and this process waits for it, passes signals on, and ends when the child ends or says that it is given up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

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
"""What ends a process that does not mind it.

The parent passes it on, for its own end would kill the child, which is to keep unsaved text first.
"""
_LISTENED_TO = {*ENDING_SIGNALS, signal.SIGCHLD, signal.SIGCONT}
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG (linux/prctl.h)
_supervisor: tuple[int, int] | None = None
"""In the child: the parent's process id, and where it is told an exit code."""
_stuck = False


def go_on_in_child() -> None:
    """Go on in a child process; the caller's process ends as the child does, and returns from here no more.

    The calling thread must be the only one that matters: no other goes on in the child. Idempotent.
    """
    global _supervisor  # noqa: PLW0603 - of a process there is one
    if _supervisor is not None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever writes to it next is told
            stream.flush()
    parent = os.getpid()
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LISTENED_TO)
    child = os.fork()
    if child:
        os.close(writer)
        _supervise(child, reader)
    os.close(reader)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    _supervisor = (parent, writer)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def give_up(code: int) -> NoReturn:
    """End with an exit code, from any thread and whatever the others wait for."""
    if _supervisor is not None:
        parent, writer = _supervisor
        for number in range(3):  # whoever reads a pipe of ours to its end waits for us no longer
            with suppress(OSError):
                os.close(number)
        with suppress(OSError):
            os.write(writer, bytes((code,)))
            os.kill(parent, signal.SIGCHLD)
    os._exit(code)


def mark_stuck() -> None:
    """Note that a thread waits in a system call that may never return: this process must not wait for it at its end."""
    global _stuck  # noqa: PLW0603 - of a process there is one
    _stuck = True


def is_stuck() -> bool:
    """Say whether this process must be given up to end."""
    return _stuck


def _supervise(child: int, reader: int) -> NoReturn:
    while True:
        signal_info = signal.sigwaitinfo(_LISTENED_TO)
        if signal_info.si_signo == signal.SIGCHLD:
            _end_with(child, reader)
            _stop_with(child)
        elif _is_for_child(child, signal_info):
            with suppress(ProcessLookupError):
                os.kill(child, signal_info.si_signo)


def _is_for_child(child: int, signal_info: signal.struct_siginfo) -> bool:
    """Say whether the child has not got a signal by itself, as it does what a terminal sends or a shell continues."""
    if signal_info.si_signo == signal.SIGCONT:
        return _is_stopped(child)
    return signal_info.si_code <= 0 or signal_info.si_signo == signal.SIGHUP


def _is_stopped(child: int) -> bool:
    try:
        with open(f"/proc/{child}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False


def _end_with(child: int, reader: int) -> None:
    """End this process if the child has ended, as it did, or was given up."""
    with suppress(BlockingIOError):
        given_up = os.read(reader, 1)
        if given_up:
            os._exit(given_up[0])
    ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        return
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _die_by(-code)
    os._exit(code)


def _die_by(number: int) -> None:
    """Die by a signal, so that a shell sees what the child died by."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _stop_with(child: int) -> None:
    """Stop while the child is stopped, so that the shell gets its terminal back."""
    if _is_stopped(child):
        os.kill(os.getpid(), signal.SIGSTOP)
