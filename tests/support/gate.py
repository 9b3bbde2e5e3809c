"""Runs dtui in a child process that waits at a chosen step, so that a test can act exactly there."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.waiting import NotInTime, until
from tui.cli import main
from tui.linux import syscalls
from tui.linux.name_ops import NamespaceNameOps

_WRAPPED = ("renameat2", "fsopen", "fsconfig_create", "fsmount", "syncfs", "openat2")
"""System calls for which Python raises no audit event."""


@dataclass
class Run:
    """A dtui that was started; ``told`` is the file with its output."""

    pid: int
    told: Path
    _from: int
    _to: int
    waits_at: str = ""
    steps: list[str] = field(default_factory=list)
    _exit_code: int = -1

    def wait_for_gate(self, seconds: float = 60) -> bool:
        """Wait until it is at its gate and return True, or False if it ended before; raises TimeoutError."""
        end = time.monotonic() + seconds
        while select.select([self._from], [], [], max(0, end - time.monotonic()))[0]:
            line = _line(self._from)
            if not line.startswith("gate "):
                return False
            self.waits_at = line.removeprefix("gate ")
            return True
        raise TimeoutError(f"dtui does nothing: {self.told.read_text()}")

    def go_on(self) -> None:
        """Let it continue from its gate."""
        os.write(self._to, b"g")

    def kill(self) -> None:
        """Kill it and all processes of its session's group."""
        os.killpg(self.pid, signal.SIGKILL)

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Wait until it ends; return its exit code and output. Raises NotInTime, and kills it, if it does not end."""
        try:
            until(self._has_ended, lambda: f"dtui does not end: {self.told.read_text()}", seconds=seconds, pause=0.003)
        except NotInTime:
            self.kill()
            os.waitpid(self.pid, 0)
            raise
        while select.select([self._from], [], [], 0)[0] and (line := _line(self._from)):
            self.steps.append(line)
        os.close(self._from)
        os.close(self._to)
        return self._exit_code, self.told.read_text(errors="replace")

    def _has_ended(self) -> bool:
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        if ended:
            self._exit_code = os.waitstatus_to_exitcode(status)
        return bool(ended)


def _line(fd: int) -> str:
    text = b""
    while (byte := os.read(fd, 1)) not in (b"", b"\n"):
        text += byte
    return text.decode(errors="replace")


def start(
    words: list[str], told: Path, *, stdin: Path = Path(os.devnull), turn: int = 0, at: str = "", early: bool = False
) -> Run:
    """Start dtui with these arguments; it waits before its ``turn``-th step or the first that starts with ``at``.

    Steps count once it has opened a lock file, or with ``early`` also from its first openat2, for a verb that takes no
    lock. Its output goes to the file ``told``. Without ``turn`` and ``at`` it does not wait; ``steps`` lists its steps
    after :meth:`Run.end`.
    """
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            os.close(from_child)
            os.close(to_child)
            for number, (path, flags) in enumerate(
                ((stdin, os.O_RDONLY), (told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), (told, os.O_WRONLY | os.O_APPEND))
            ):
                fd = os.open(path, flags, 0o600)
                os.dup2(fd, number)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
            gate = _Gate(to_parent, from_parent, turn, at, early)
            gate.install()
            code = main(words)
            gate.tell_steps()
        finally:
            os._exit(code)
    os.close(to_parent)
    os.close(from_parent)
    return Run(pid, told, from_child, to_child)


class _Gate:
    def __init__(self, out: int, back: int, turn: int, at: str, early: bool) -> None:
        self._out, self._back, self._turn, self._early = out, back, turn, early
        self._at = at
        self._steps: list[str] = []
        self._armed = False

    def install(self) -> None:
        for name in _WRAPPED:
            self._wrap(syscalls, name)
        self._wrap(NamespaceNameOps, "_ask")
        sys.addaudithook(self._audit)

    def _wrap(self, owner: object, name: str) -> None:
        plain = getattr(owner, name)

        def wrapped(*args: object, **more: object) -> object:
            self._step(name)
            return plain(*args, **more)

        setattr(owner, name, wrapped)
        for module in list(sys.modules.values()):
            if module.__name__.startswith("tui.") and getattr(module, name, None) is plain:
                setattr(module, name, wrapped)

    def _audit(self, event: str, args: tuple[object, ...]) -> None:
        if event != "open" and not event.startswith("os."):
            return
        first = str(args[0]) if args else ""
        if first.endswith((".py", ".pyc")):
            return
        if event == "open" and first.endswith(".lock"):
            self._armed = True
        self._step(f"{event} {first}")

    def _step(self, name: str) -> None:
        self._armed = self._armed or (self._early and name == "openat2")
        if not self._armed:
            return
        self._steps.append(name)
        if len(self._steps) == self._turn or (self._at and name.startswith(self._at)):
            self._turn, self._at = 0, ""
            os.write(self._out, f"gate {name!r}\n".encode(errors="replace"))
            os.read(self._back, 1)

    def tell_steps(self) -> None:
        self._armed = False
        os.write(self._out, "".join(f"{name!r}\n" for name in self._steps).encode(errors="replace")[:60_000])
