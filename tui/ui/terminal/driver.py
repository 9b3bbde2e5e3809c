"""The terminal that may go away, and what it sends: Textual's driver for a line that drops, and for exact pastes."""

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


class Paper:
    """What the app paints to. Once the terminal is gone, paint goes nowhere and the line counts as dropped.

    Textual's writer dies of the first error, and whoever paints after that waits for it for ever (8.2.8).
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._dropped = False

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
        if self._dropped:
            return
        try:
            paint()
        except BlockingIOError:  # a program that shared the terminal left it so
            os.set_blocking(self._file.fileno(), True)
            with suppress(OSError):
                self._file.flush()
        except Exception:  # noqa: BLE001 - whatever it is, nobody sees the app any more
            self._dropped = True
            hang_up()


def hang_up() -> None:
    """Tell the app that its terminal is gone; the kernel tells only the leader of a session."""
    os.kill(os.getpid(), signal.SIGHUP)


_BEGIN, _END = "\x1b[200~", "\x1b[201~"


class Pastes:
    """Takes the text of bracketed pastes out of what a terminal sends.

    Textual's parser drops NUL bytes from a paste and types what follows an escape in it as keys (8.2.8). It is fed the
    brackets alone, and the empty paste that it reports stands for the text in ``text``.
    """

    def __init__(self) -> None:
        self.text = ""
        self._chunks: list[str] = []
        self._pasting = False
        self._tail = ""

    def keys(self, data: str) -> Iterator[str]:
        """Yield what the parser is to be fed; ``text`` is the paste that ended with the last piece, if one did."""
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
    """The driver that outlives its terminal, and pastes what was pasted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file = Paper(self._file)  # type: ignore[assignment,arg-type] # as much of a file as the writer needs

    def start_application_mode(self) -> None:
        """Take the terminal; one that went away meanwhile counts as dropped, where Textual would go on without it."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is None or not self._writer_thread.is_alive():
            hang_up()

    def write(self, data: str) -> None:
        """Paint, while there is something to paint to: nobody takes anything from a writer that has ended."""
        if self._writer_thread is not None and self._writer_thread.is_alive():
            self._writer_thread.write(data)

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except BaseException as error:  # noqa: BLE001 - the app ends by it, in order
            self._app.call_later(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Read the terminal and pass on what it sends, until told to stop."""
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


@contextmanager
def lent_terminal() -> Iterator[None]:
    """Lend the terminal to another program and put it back as it was."""
    state = TerminalState.current()
    try:
        yield
    finally:
        if state is not None:
            state.restore()
