"""Runs the app in a pty that pyte draws, with keys typed as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence

import pyte

from tests.support.waiting import NotInTime, until
from tui.linux.descriptors import is_readable

KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "tab": "\t",
    "down": "\x1b[B",
    "up": "\x1b[A",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "ctrl+s": "\x13",
    "ctrl+r": "\x12",
    "ctrl+p": "\x10",
    "ctrl+f": "\x06",
    "ctrl+g": "\x07",
    "ctrl+o": "\x0f",
    "ctrl+u": "\x15",
    "ctrl+z": "\x1a",
    "f5": "\x1b[15~",
    "backspace": "\x7f",
    "delete": "\x1b[3~",
}


class Terminal:
    """``python -m tui ARGS`` in a pty of a given size, or another command."""

    def __init__(
        self,
        *args: str,
        size: tuple[int, int] = (120, 40),
        env: dict[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "tui"),
    ) -> None:
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self._ended: int | None = None
        window = struct.pack("HHHH", size[1], size[0], 0, 0)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            fcntl.ioctl(0, termios.TIOCSWINSZ, window)
            environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
            for name in ("COLUMNS", "LINES"):  # pytest-xdist sets them, and they would win over the pty's size
                environment.pop(name, None)
            os.execvpe(command[0], [*command, *args], environment)

    def pump(self, seconds: float = 0.0) -> bool:
        """Read what the app has painted, waiting up to ``seconds``; return whether anything came."""
        if not is_readable(self.fd, seconds):
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        # pyte prints the private-parameter form of this sequence as text.
        self._stream.feed(data.replace(b"\x1b[>4;1m", b"").replace(b"\x1b[>1u", b"").replace(b"\x1b[<u", b""))
        return bool(data)

    def text(self) -> str:
        """Return the screen as lines of text."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def pumped(self) -> str:
        """Read once, waiting up to 50 ms; return the screen."""
        self.pump(0.05)
        return self.text()

    def wait(self, want: str | Callable[[str], bool], seconds: float = 20.0) -> str:
        """Wait until the screen contains a text or meets a condition; return the screen."""
        test = want if callable(want) else (lambda shown: want in shown)
        until(
            lambda: test(self.pumped()), lambda: f"not on the screen: {want!r}\n{self.text()}", seconds=seconds, pause=0
        )
        return self.text()

    def wait_all(self, *texts: str, seconds: float = 20.0) -> str:
        """Wait until the screen contains all texts at once, because it may be painted in several pieces."""
        return self.wait(lambda shown: all(text in shown for text in texts), seconds)

    def settle(self, quiet: float = 0.4, seconds: float = 10.0) -> str:
        """Read until nothing was painted for ``quiet`` seconds, or ``seconds`` are over; return the screen."""
        end = time.monotonic() + seconds
        while self.pump(quiet) and time.monotonic() < end:
            pass
        return self.text()

    def press(self, *keys: str, gap: float = 0.04) -> None:
        """Press keys one after another, as fast as a quick typist; each is a name in KEYS or characters to type."""
        for key in keys:
            for char in [KEYS[key]] if key in KEYS else list(key):
                os.write(self.fd, char.encode())
                # terminal programs take Escape and a key right after it for Alt with that key
                end = time.monotonic() + (0.5 if key == "esc" else gap)
                while (left := end - time.monotonic()) > 0:
                    self.pump(left)

    def burst(self, *keys: str) -> None:
        """Send keys in one piece, as a slow connection delivers them."""
        os.write(self.fd, "".join(KEYS.get(key, key) for key in keys).encode())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait until the app ends."""
        os.kill(self.pid, number)
        self.close()

    def close(self, seconds: float = 8.0) -> int:
        """Wait until the app ends; return its exit code, or minus the signal. Raises NotInTime."""
        until(lambda: self._has_ended(0.05), lambda: f"the app does not end\n{self.text()}", seconds=seconds, pause=0)
        assert self._ended is not None
        return self._ended

    def drop(self, seconds: float = 20.0) -> int:
        """Close the terminal, as a dropped connection does, and wait until the app ends; return its exit code."""
        os.close(self.fd)
        self.fd = -1
        try:
            until(self._has_ended, "the app does not end without its terminal", seconds=seconds)
        except NotInTime:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._ended = -signal.SIGKILL
            raise
        assert self._ended is not None
        return self._ended

    def _has_ended(self, seconds: float = 0.0) -> bool:
        """Read what the app paints, if it has a terminal; return whether it has ended."""
        if self.fd >= 0:
            self.pump(seconds)
        if self._ended is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self._ended = os.waitstatus_to_exitcode(status) if done else None
        return self._ended is not None

    def abandon(self) -> None:
        """Kill the app if it is running, and close the terminal."""
        if self._ended is None:
            os.kill(self.pid, signal.SIGKILL)
            self.close()
        if self.fd >= 0:
            os.close(self.fd)
