"""Runs an act in a child process in which strace makes a chosen system call fail or kill the process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import until
from tui.core.errors import DtuiError, EditRefused
from tui.linux import name_ops
from tui.linux.descriptors import is_readable

MUTATING = (
    "mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,symlink,symlinkat,mknod,mknodat,"
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,"
    "fremovexattr,truncate,ftruncate,fallocate,write,writev,pwrite64,copy_file_range,sendfile,fsync,fdatasync,syncfs,"
    "utimensat,mount,umount2,fsopen,fsconfig,fsmount,move_mount,open_tree"
)
"""System calls that change a file system."""


@dataclass(frozen=True, slots=True)
class Point:
    """The ``turn``-th call of one system call since the act began, in dtui or in its helper in the container.

    strace counts the calls of each process separately, and ``when=`` with ``-f`` applies to every process. Therefore
    the helper runs under its own strace, and a point belongs to one process.
    """

    call: str
    turn: int
    helper: bool = False


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How an act ended: ``done``, ``refused``, ``killed`` or ``broke``; ``message`` is the error or the traceback."""

    how: str
    message: str = ""


def run(
    act: Callable[[], object],
    *injected: str,
    log: Path | None = None,
    helper: tuple[str, ...] = (),
    together: bool = False,
) -> CallOutcome:
    """Run an act in a child under strace with faults ``injected``.

    ``helper`` is the command that its helper runs under; with ``together`` the act is killed when the helper dies.
    """
    mine, childs = socket.socketpair()
    child = os.fork()
    if child == 0:
        if helper:
            _run_helper_by(helper, together=together)
        _child(act, mine, childs)
    childs.close()
    arguments = ["/usr/bin/strace", "-p", str(child), "-e", f"trace={MUTATING}", "-o", str(log or os.devnull)]
    for one in injected:
        arguments += ["-e", one]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE) as tracer:
        try:
            assert tracer.stderr is not None
            line = tracer.stderr.readline()
            assert b"attached" in line, line
            mine.sendall(b"g")
            ended = _result(mine)
        finally:
            _, status = os.waitpid(child, 0)
            tracer.wait(10)
    if helper:
        _wait_until_gone(helper)
    return CallOutcome("killed") if os.WIFSIGNALED(status) else ended


def _run_helper_by(words: tuple[str, ...], *, together: bool) -> None:
    """In a child, start the first helper under a command; with ``together``, die once the helper is gone."""
    plain = subprocess.Popen
    todo = [words]

    def started(args: list[str], **more: object) -> subprocess.Popen[bytes]:
        is_helper = any("namespace_helper" in word for word in args)
        return plain([*todo.pop(), *args] if is_helper and todo else args, **more)  # type: ignore[call-overload]

    subprocess.Popen = started  # type: ignore[assignment,misc]
    if together:
        name_ops._HelperGone = _DieToo  # type: ignore[misc]


class _DieToo(EditRefused):
    """Replaces the error for a helper that is gone; kills the process instead of being caught."""

    def __init__(self, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _wait_until_gone(words: tuple[str, ...]) -> None:
    """Wait until the helper has ended after its dtui; its log file in the command line identifies it."""
    mark = os.fsencode(words[words.index("-o") + 1])
    until(lambda: not any(mark in _command_of(pid) for pid in os.listdir("/proc") if pid.isdigit()))


def _command_of(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


def _child(act: Callable[[], object], mine: socket.socket, childs: socket.socket) -> None:
    mine.close()
    code = 1
    try:
        childs.recv(1)
        try:
            act()
            childs.sendall(b"done\n")
        except DtuiError as error:
            childs.sendall(f"refused\n{error}".encode())
        except BaseException:  # noqa: BLE001 - the parent reports it
            childs.sendall(f"broke\n{traceback.format_exc()}".encode())
        code = 0
    finally:
        os._exit(code)


def _result(mine: socket.socket) -> CallOutcome:
    data = b""
    end = time.monotonic() + 60
    while is_readable(mine.fileno(), end - time.monotonic()):
        part = mine.recv(65536)
        if not part:
            break
        data += part
    mine.close()
    how, _, told = data.decode(errors="replace").partition("\n")
    return CallOutcome(how or "killed", told)


def points(act: Callable[[], object], *, helper: bool = False) -> list[Point]:
    """Run an act to its end and return all calls at which it can be interrupted, in order; the helper's come last."""
    with _log() as log, _log() as other:
        result = run(act, log=Path(log.name), helper=_traced(other.name) if helper else ())
        assert result.how == "done", result
        inside = [Point(one.call, one.turn, True) for one in _calls(other.name)]
        return [*_calls(log.name), *(one for one in inside if one.turn > 1)]  # the first only resolves the symbol


def _log() -> tempfile._TemporaryFileWrapper[bytes]:
    return tempfile.NamedTemporaryFile(prefix="dtui-trace-")


def _traced(log: str, *injected: str) -> tuple[str, ...]:
    options = [word for one in injected for word in ("-e", one)]
    return ("/usr/bin/strace", "-o", log, "-e", f"trace={MUTATING}", *options)


def _calls(log: str) -> list[Point]:
    seen: Counter[str] = Counter()
    found = []
    for line in Path(log).read_text(errors="replace").splitlines():
        if match := re.match(r"(\w+)\(", line):
            seen[match[1]] += 1
            found.append(Point(match[1], seen[match[1]]))
    return found


def killed_at(act: Callable[[], object], point: Point) -> CallOutcome:
    """Run an act that is killed (SIGKILL) as it enters a call; in a call of the helper, both are killed."""
    return _injected(act, point, f"signal={signal.SIGKILL.name}", together=True)


def helper_killed_at(act: Callable[[], object], point: Point) -> CallOutcome:
    """Run an act of which only the helper is killed as it enters a call."""
    return _injected(act, point, f"signal={signal.SIGKILL.name}")


def failed_at(act: Callable[[], object], point: Point, error: str) -> CallOutcome:
    """Run an act in which one call fails with an error."""
    return _injected(act, point, f"error={error}")


def _injected(act: Callable[[], object], point: Point, what: str, *, together: bool = False) -> CallOutcome:
    word = f"inject={point.call}:{what}:when={point.turn}"
    if not point.helper:
        return run(act, word)
    with _log() as log:
        return run(act, helper=_traced(log.name, word), together=together)


if sys.platform != "linux":
    raise ImportError("strace is Linux's")
