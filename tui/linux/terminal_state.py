"""Save a terminal's settings and restore them after another program changed them."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_RESET = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # no mouse reports
    "\x1b[?1004l\x1b[?2004l\x1b[?2026l\x1b[>4;0m\x1b[?1l\x1b>"  # no focus reports, brackets, other keys
    "\x1b[?1049l\x1b[r\x1b[?6l\x1b[4l\x1b[?7h\x1b[?25h\x1b[0m\x1b(B\x0f"  # the usual screen, region, wrap and letters
)


@dataclass(frozen=True, slots=True)
class TerminalState:
    """A terminal's modes, its foreground process group, and the flags of the descriptors that lead to it."""

    modes: list[Any]
    group: int
    flags: dict[int, int]

    @classmethod
    def current(cls) -> TerminalState | None:
        """Return the state of this process' terminal, None if it has none."""
        try:
            flags = {number: fcntl.fcntl(number, fcntl.F_GETFL) for number in (0, 1, 2)}
            return cls(termios.tcgetattr(0), os.tcgetpgrp(0), flags)
        except (OSError, termios.error):
            return None

    def restore(self) -> None:
        """Restore the terminal, also from another screen and from mouse reports that a program left on."""
        with suppress(OSError, termios.error):
            self._listen()
            for number, flags in self.flags.items():
                fcntl.fcntl(number, fcntl.F_SETFL, flags)
            termios.tcsetattr(0, termios.TCSANOW, self.modes)
            termios.tcflow(0, termios.TCOON)
            os.write(2, _RESET.encode())
            termios.tcflush(0, termios.TCIFLUSH)  # keys meant for the program that has ended

    def _listen(self) -> None:
        if os.tcgetpgrp(0) == self.group:
            return
        old_handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            os.tcsetpgrp(0, self.group)
        finally:
            signal.signal(signal.SIGTTOU, old_handler)
