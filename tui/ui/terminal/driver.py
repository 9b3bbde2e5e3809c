"""A Textual driver that survives the loss of its terminal and keeps pasted text exact."""

from __future__ import annotations

import os
import selectors
import signal
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from textual import events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from tui.linux.terminal_state import TerminalState


class TerminalWriter:
    """The file that the app writes to. After the first error it drops all output and hangs up.

    Textual's writer thread dies on the first error, and every later write blocks forever (8.2.8).
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._dropped = False

    def write(self, text: str) -> None:
        """Write text, or drop it if the terminal is gone."""
        self._attempt(lambda: self._file.write(text))

    def flush(self) -> None:
        """Flush what was written."""
        self._attempt(self._file.flush)

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._file.fileno()

    def _attempt(self, paint: Callable[[], object]) -> None:
        if self._dropped:
            return
        try:
            paint()
        except BlockingIOError:  # a program that shared the terminal made it non-blocking
            os.set_blocking(self._file.fileno(), True)
            with suppress(OSError):
                self._file.flush()
        except Exception:  # noqa: BLE001 - whatever it is, nobody can see the app
            self._dropped = True
            hang_up()


def hang_up() -> None:
    """Send SIGHUP to this process; the kernel sends it only to the session leader."""
    os.kill(os.getpid(), signal.SIGHUP)


_BEGIN, _END = "\x1b[200~", "\x1b[201~"


class Pastes:
    """Extracts the text of bracketed pastes from terminal input.

    Textual's parser drops NUL bytes from a paste and treats what follows an escape in it as keys (8.2.8). So it gets
    only the brackets, and the empty paste that it reports stands for ``text``.
    """

    def __init__(self) -> None:
        self.text = ""
        self._chunks: list[str] = []
        self._pasting = False
        self._tail = ""

    def keys(self, data: str) -> Iterator[str]:
        """Yield the input for the parser; after a closing bracket, ``text`` holds the paste."""
        while data:
            buffered = self._tail + data
            bracket = _END if self._pasting else _BEGIN
            position = buffered.find(bracket)
            cut = position + len(bracket) - len(self._tail) if position >= 0 else len(data)
            piece, data = data[:cut], data[cut:]
            self._tail = "" if position >= 0 else buffered[1 - len(bracket) :]
            if self._pasting:
                self._chunks.append(piece)
            else:
                yield piece
            if position < 0:
                return
            self._pasting = not self._pasting
            if not self._pasting:
                self.text = "".join(self._chunks).removesuffix(_END)
                self._chunks.clear()
                yield _END


class DroppingDriver(LinuxDriver):
    """A driver that survives the loss of its terminal and keeps pasted text exact."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file = TerminalWriter(self._file)  # type: ignore[assignment,arg-type] # it has all methods that Textual's writer needs

    def start_application_mode(self) -> None:
        """Take over the terminal; hang up if it is gone, where Textual would go on without it."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is None or not self._writer_thread.is_alive():
            hang_up()

    def write(self, data: str) -> None:
        """Write unless the writer thread has ended: nobody would empty its queue."""
        if self._writer_thread is not None and self._writer_thread.is_alive():
            self._writer_thread.write(data)

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except BaseException as error:  # noqa: BLE001 - it ends the app in order
            self._app.call_later(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Read the terminal and pass its input on until the app ends."""
        parser, pastes = XTermParser(self._debug), Pastes()
        decode = getincrementaldecoder("utf-8")("surrogateescape").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            last = False
            while not last:
                last = self.exit_event.is_set()
                if selector.select(0.1):
                    data = self._read()
                    if not data:
                        hang_up()
                        break
                    for piece in pastes.keys(decode(data, final=last)):
                        self._pass_on(parser.feed(piece), pastes)
                self._pass_on(parser.tick(), pastes)
        with suppress(EOFError, ParseError):
            list(parser.feed(""))

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4096)
        except OSError:  # the terminal is gone
            return b""

    def _pass_on(self, sent: Iterable[Message], pastes: Pastes) -> None:
        for message in sent:
            self.process_message(events.Paste(pastes.text) if isinstance(message, events.Paste) else message)


def detach_terminal() -> None:
    """Point the standard descriptors at /dev/null before the terminal is used again.

    The kernel sends SIGCONT along with SIGHUP, on which Textual would start a second writer and reader. A second SIGHUP
    must not interrupt the cleanup after the first.
    """
    for number in (signal.SIGCONT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextmanager
def lent_terminal() -> Iterator[None]:
    """Lend the terminal to another program and restore it afterwards."""
    state = TerminalState.current()
    try:
        yield
    finally:
        if state is not None:
            state.restore()
