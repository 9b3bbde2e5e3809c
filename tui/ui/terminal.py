"""The terminal that may go away: Textual's driver for a line that drops."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class Paper:
    """What the app paints to. Once the terminal is gone, paint goes nowhere and the line counts as dropped.

    Textual's writer dies of the first error, and whoever paints after that waits for it for ever (8.2.8).
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> None:
        """Paint."""
        self._paint(lambda: self._file.write(text))

    def flush(self) -> None:
        """Let go what was painted."""
        self._paint(self._file.flush)

    def fileno(self) -> int:
        """Return the descriptor painted to."""
        return self._file.fileno()

    def _paint(self, paint: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            paint()
        except OSError:
            self._gone = True
            os.kill(os.getpid(), signal.SIGHUP)  # the kernel tells only the leader of a session


class DroppingDriver(LinuxDriver):
    """The driver that outlives its terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file = Paper(self._file)  # type: ignore[assignment,arg-type] # as much of a file as the writer needs


def let_go_of_terminal() -> None:
    """Take the terminal away from this process before it is read or painted to again.

    With the hang-up the kernel sends a SIGCONT, for which Textual would start a second writer and reader. A second
    hang-up must not end the cleaning up after the first.
    """
    for number in (signal.SIGCONT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
