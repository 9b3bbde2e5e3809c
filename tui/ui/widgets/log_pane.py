"""A container's log: followed, searched, bounded, safe to look at."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.text import Text
from textual.message import Message
from textual.reactive import reactive

from tui.core.errors import DtuiError
from tui.core.text import printable
from tui.engine.endpoint import Endpoint, LogLine, LogStream
from tui.ui.widgets.rows import Rows

_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
"""Colour sequences are dropped without a trace: nearly every logger writes them."""

_KEPT = 50_000
"""Lines kept in memory; older ones fall off the top."""

_NARROWEST = 20
"""Cells below which breaking lines would help nobody."""

_BATCH_SECONDS = 0.05


class LogReader:
    """Reads a log in two threads: one blocks on the stream, the other posts what came in batches."""

    def __init__(self, open_stream: Callable[[], LogStream], post: Callable[[Message], object]) -> None:
        self._open = open_stream
        self._post = post
        self._queue: queue.Queue[LogLine | None] = queue.Queue(maxsize=5_000)
        self._stream: LogStream | None = None
        self._closed = threading.Event()
        self.problem = ""

    def start(self) -> None:
        """Begin reading."""
        threading.Thread(target=self._read, name="log reader", daemon=True).start()
        threading.Thread(target=self._send, name="log batches", daemon=True).start()

    def close(self) -> None:
        """End both threads."""
        self._closed.set()
        if self._stream:
            self._stream.close()

    def _read(self) -> None:
        try:
            self._stream = self._open()
            for line in self._stream:
                while not self._closed.is_set():
                    try:
                        self._queue.put(line, timeout=0.2)
                        break
                    except queue.Full:
                        continue  # the screen is behind; look whether anybody still wants it
                if self._closed.is_set():
                    break
        except DtuiError as error:
            self.problem = str(error)
        while not self._closed.is_set():
            try:
                self._queue.put(None, timeout=0.2)
                return
            except queue.Full:
                continue

    def _send(self) -> None:
        ended = False
        while not self._closed.is_set() and not ended:
            try:
                batch = [self._queue.get(timeout=0.2)]
            except queue.Empty:
                continue
            self._closed.wait(_BATCH_SECONDS)
            while not self._queue.empty():
                batch.append(self._queue.get())
            ended = None in batch
            lines = tuple(line for line in batch if line is not None)
            if not self._closed.is_set():
                self._post(LogPane.Arrived(self, lines, ended))


_STDERR = "!"
_BREAK = "   "
"""What leads the rest of a line that was broken."""


def log_text(line: LogLine) -> str:
    """Return one log line safe to show: a mark if it went to stderr, time of day and text, without colours."""
    mark = _STDERR if line.error else " "
    text = printable(_COLOURS.sub(b"", line.text.rstrip(b"\r")).replace(b"\t", b"    "))
    return mark + (f"{line.time:%H:%M:%S} {text}" if line.time else text)


class LogPane(Rows):
    """The lines of one container's log."""

    has_cursor = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--match"}
    DEFAULT_CSS = """
    LogPane > .log--match { background: $warning; color: $background; }
    """

    follow: reactive[bool] = reactive(True)
    needle: reactive[str] = reactive("")
    wrap: reactive[bool] = reactive(True)

    class Arrived(Message):
        """Lines came, or the log ended."""

        def __init__(self, reader: LogReader, lines: tuple[LogLine, ...], ended: bool) -> None:
            super().__init__()
            self.reader = reader
            self.lines = lines
            self.ended = ended

    class Ended(Message):
        """The log ended: the container stopped, or the connection did."""

        def __init__(self, pane: LogPane, problem: str) -> None:
            super().__init__()
            self.pane = pane
            self.problem = problem

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.lines: list[str] = []
        self._rows: list[str] = []
        self._broken_at = 0
        self._reader: LogReader | None = None
        self._widest = 0
        self.note = ""

    def open(self, endpoint: Endpoint, container_id: str, *, follow: bool, tail: int = 2_000) -> None:
        """Show the log of another container, from its last lines on."""
        self.shut()
        self.lines = []
        self._rows = []
        self._widest = 0
        self.note = "no output yet"
        self.rows_changed()
        self._reader = LogReader(lambda: endpoint.logs(container_id, follow=follow, tail=tail), self.post_message)
        self._reader.start()

    def shut(self) -> None:
        """Stop reading."""
        if self._reader:
            self._reader.close()
            self._reader = None

    def on_unmount(self) -> None:
        """Stop reading when the pane goes."""
        self.shut()

    def on_log_pane_arrived(self, event: LogPane.Arrived) -> None:
        """Add lines at the end; keep the last ones in sight while following."""
        event.stop()
        if event.reader is not self._reader:
            return
        fresh = [log_text(line) for line in event.lines]
        self.lines = (self.lines + fresh)[-_KEPT:]
        self._rows = (self._rows + [row for text in fresh for row in self._broken(text)])[-_KEPT:]
        self._widest = max([self._widest, *(len(text) for text in fresh)])
        self.note = "" if self.lines else ("no output" if event.ended else "no output yet")
        self.rows_changed()
        if event.ended:
            if event.reader.problem:
                self.note = event.reader.problem
            self.post_message(self.Ended(self, event.reader.problem))
        self._keep_to_end()

    def _keep_to_end(self) -> None:
        if self.follow:  # forced, for a log that has just grown shows its scrollbar only a layout later
            self.scroll_end(animate=False, force=True, x_axis=False)

    def _broken(self, text: str) -> list[str]:
        """Return a line as the rows that it takes."""
        room = self._broken_at
        if not room or len(text) <= room >> 1 or cell_len(text) <= room:
            return [text]
        first = chop_cells(text, room)[0]
        return [first, *(_BREAK + rest for rest in chop_cells(text[len(first) :], room - len(_BREAK)))]

    def _break_all(self) -> None:
        room = self.size.width - self.styles.scrollbar_size_vertical
        self._broken_at = room if self.wrap and room > _NARROWEST else 0
        self._rows = [row for text in self.lines for row in self._broken(text)][-_KEPT:]

    def watch_wrap(self) -> None:
        """Break the lines anew."""
        self.on_resize()

    def on_resize(self) -> None:
        """Measure again; the last lines stay in sight while following."""
        self._break_all()
        super().on_resize()
        self._keep_to_end()

    def count(self) -> int:
        """Say how many lines there are; a note stands in for an empty log."""
        return len(self._rows) or 1

    def content_width(self) -> int:
        """Return the widest line's cells."""
        return 0 if self._broken_at else self._widest

    def row(self, index: int, width: int) -> Text:
        """Draw a line; what went to stderr and what is searched for stand out."""
        if not self.lines:
            return Text(f" {printable(self.note)}", style="italic")
        line = Text(self._rows[index])
        if self._rows[index].startswith(_STDERR):
            line.stylize("bold", 0, 1)
        if self.needle:
            style = self.get_component_rich_style("log--match", partial=True)
            line.highlight_regex(re.compile(re.escape(self.needle), re.IGNORECASE), style)
        return line

    def watch_needle(self) -> None:
        """Paint the matches."""
        self.refresh()

    def watch_follow(self) -> None:
        """Jump to the end when following begins."""
        self._keep_to_end()

    def find(self, step: int) -> int:
        """Scroll to the next (1) or previous (-1) match; return how many lines match."""
        hits = list(self._hits())
        if not hits:
            return 0
        self.follow = False
        top = int(self.scroll_y)
        ahead = [i for i in hits if i > top] if step > 0 else [i for i in hits if i < top][::-1]
        self._scroll_rows(ahead[0] if ahead else (hits[0] if step > 0 else hits[-1]))
        return len(hits)

    def _hits(self) -> Iterator[int]:
        """Yield the first row of each line that holds what is searched for."""
        needle, row = self.needle.lower(), len(self._rows) - sum(len(self._broken(text)) for text in self.lines)
        for text in self.lines:
            if needle in text[1:].lower() and row >= 0:
                yield row
            row += len(self._broken(text))

    def _move(self, by: int) -> None:
        if by < 0:
            self.follow = False
        super()._move(by)
