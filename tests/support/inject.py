"""Runs an act in a process of its own in which a chosen system call kills it or fails, by strace's fault injection."""

from __future__ import annotations

import os
import re
import select
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

from tui.core.errors import DtuiError

MUTATING = (
    "mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,symlink,symlinkat,mknod,mknodat,"
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,"
    "fremovexattr,truncate,ftruncate,fallocate,write,writev,pwrite64,copy_file_range,sendfile,fsync,fdatasync,"
    "utimensat,mount,umount2,fsopen,fsconfig,fsmount,move_mount,open_tree"
)
"""System calls by which a file system is changed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One call of one name: the ``turn``-th since the act began."""

    call: str
    turn: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How the act ended: it came through, said why not (``told``), was killed, or broke (a traceback)."""

    how: str
    told: str = ""


def run(act: Callable[[], object], *injected: str, log: Path | None = None) -> Ended:
    """Run an act in a child under strace."""
    mine, childs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _child(act, mine, childs)
    childs.close()
    words = ["/usr/bin/strace", "-p", str(child), "-e", f"trace={MUTATING}", "-o", str(log or os.devnull)]
    for one in injected:
        words += ["-e", one]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as tracer:
        try:
            assert tracer.stderr is not None
            line = tracer.stderr.readline()
            assert b"attached" in line, line
            mine.sendall(b"g")
            ended = _result(mine)
        finally:
            _, status = os.waitpid(child, 0)
            tracer.wait(10)
    return Ended("killed") if os.WIFSIGNALED(status) else ended


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
        except BaseException:  # noqa: BLE001 - the parent tells it
            childs.sendall(f"broke\n{traceback.format_exc()}".encode())
        code = 0
    finally:
        os._exit(code)


def _result(mine: socket.socket) -> Ended:
    data = b""
    end = time.monotonic() + 60
    while select.select([mine], [], [], max(0, end - time.monotonic()))[0]:
        part = mine.recv(65536)
        if not part:
            break
        data += part
    mine.close()
    how, _, told = data.decode(errors="replace").partition("\n")
    return Ended(how or "killed", told)


def points(act: Callable[[], object]) -> list[Point]:
    """Run an act through and return every call at which it can be cut off, in their order."""
    with tempfile.NamedTemporaryFile(prefix="dtui-trace-") as log:
        ended = run(act, log=Path(log.name))
        assert ended.how == "done", ended
        seen: Counter[str] = Counter()
        found = []
        for line in Path(log.name).read_text(errors="replace").splitlines():
            if match := re.match(r"(\w+)\(", line):
                seen[match[1]] += 1
                found.append(Point(match[1], seen[match[1]]))
    return found


def killed_at(act: Callable[[], object], point: Point) -> Ended:
    """Run an act that is killed (SIGKILL) as it enters a call."""
    return run(act, f"inject={point.call}:signal={signal.SIGKILL.name}:when={point.turn}")


def failed_at(act: Callable[[], object], point: Point, error: str) -> Ended:
    """Run an act in which one call fails with an error."""
    return run(act, f"inject={point.call}:error={error}:when={point.turn}")


if sys.platform != "linux":
    raise ImportError("strace is Linux's")
