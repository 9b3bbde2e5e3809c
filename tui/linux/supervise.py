"""Let dtui end although its work hangs in a system call that nothing can interrupt, such as a call to a FUSE server.

A process lasts until the last of its threads has returned from the kernel, even after kill -9. So the work runs in a
child, and this process waits for it, passes signals on, and ends when the child ends or is given up.
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
"""Signals that end a process by default.

The parent passes them on instead of dying, because its own end would kill the child before it has saved unsaved text.
"""
_LISTENED_TO = {*ENDING_SIGNALS, signal.SIGCHLD, signal.SIGCONT}
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG (linux/prctl.h)
_supervisor: tuple[int, int] | None = None
"""In the child: the parent's pid, and the pipe that tells it an exit code."""
_stuck = False


def go_on_in_child() -> None:
    """Fork, and continue in the child; the parent only supervises it and never returns from here. Idempotent.

    Threads other than the calling one do not continue in the child.
    """
    global _supervisor  # noqa: PLW0603 - of a process there is one
    if _supervisor is not None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the next write reports it
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
    """End with an exit code, from any thread, whatever the other threads wait for."""
    if _supervisor is not None:
        parent, writer = _supervisor
        for number in range(
            3
        ):  # close the streams: who reads our output to its end must not wait for the hanging child
            with suppress(OSError):
                os.close(number)
        with suppress(OSError):
            os.write(writer, bytes((code,)))
            os.kill(parent, signal.SIGCHLD)
    os._exit(code)


def mark_stuck() -> None:
    """Note that a thread waits in a system call that may never return, so that nobody joins it at exit."""
    global _stuck  # noqa: PLW0603 - of a process there is one
    _stuck = True


def is_stuck() -> bool:
    """Return whether this process can only end by :func:`give_up`."""
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
    """Return whether the child has not received a signal itself, as it does those of a terminal or a shell."""
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
    """End this process like the child if the child has ended or was given up."""
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
    """Die by a signal, so that the shell sees what killed the child."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _stop_with(child: int) -> None:
    """Stop while the child is stopped, so that the shell gets its terminal back."""
    if _is_stopped(child):
        os.kill(os.getpid(), signal.SIGSTOP)
