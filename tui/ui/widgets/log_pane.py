"""A container's log: followed, searchable, bounded in memory, and safe to print."""

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
from tui.ui.widgets.log_search import GAP, LogMatches, LogSearch, gap_row
from tui.ui.widgets.rows import VirtualList

_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
"""Colour sequences, which are removed and not escaped: nearly every logger writes them."""

_KEPT = 50_000
"""Maximum lines, and rows, in memory; the oldest are dropped."""

_KEPT_TEXT = 16 << 20
"""Maximum characters in memory, which a few very long lines may reach first."""

_WAITING = 500
"""Maximum lines in the queue to the screen; each has at most 64 KiB."""

_BATCH_BYTES = 256 << 10
"""Bytes from which a batch is full, so that the screen has time for keys between batches."""

_NARROWEST = 20
"""Lines are wrapped only if the pane is wider than this, in cells."""

_BATCH_SECONDS = 0.05


class LogReader:
    """Reads a log in two threads: one blocks on the stream, the other posts lines in batches."""

    def __init__(self, open_stream: Callable[[], LogStream], post: Callable[[Message], object]) -> None:
        self._open = open_stream
        self._post = post
        self._queue: queue.Queue[LogLine | None] = queue.Queue(maxsize=_WAITING)
        self._stream: LogStream | None = None
        self._closed = threading.Event()
        self.batch_taken = threading.Event()
        """Set by the screen when it has taken a batch; the next one waits for it."""
        self.problem = ""

    def start(self) -> None:
        threading.Thread(target=self._read, name="log reader", daemon=True).start()
        threading.Thread(target=self._send, name="log batches", daemon=True).start()

    def close(self) -> None:
        """End both threads."""
        self._closed.set()
        self.batch_taken.set()
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
                        continue  # the screen is behind; check whether the reader was closed
                if self._closed.is_set():
                    break
        except DtuiError as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001 - if the thread died, the screen would wait forever
            self.problem = f"{type(error).__name__}: {error}"[:300]
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
            size = 0
            while size < _BATCH_BYTES and len(batch) < _WAITING and not self._queue.empty():
                batch.append(self._queue.get())
                size += len(batch[-1].text) if batch[-1] else 0
            ended = None in batch
            self.batch_taken.clear()
            lines = tuple(line for line in batch if line is not None)
            if not self._closed.is_set():
                self._post(LogPane.Arrived(self, lines, ended))
            while not self._closed.is_set() and not self.batch_taken.wait(0.2):
                pass


_STDERR = "!"
_BREAK = "   "
"""Indentation of the second and later rows of a wrapped line."""


def log_text(line: LogLine) -> str:
    """Return a log line that is safe to print: a mark if it went to stderr, time of day, and text without colours."""
    mark = _STDERR if line.error else " "
    text = printable(_COLOURS.sub(b"", line.text.rstrip(b"\r")).replace(b"\t", b"    "))
    return mark + (f"{line.time:%H:%M:%S} {text}" if line.time else text)


class LogPane(VirtualList):
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
        """A batch of lines arrived, or the log ended."""

        def __init__(self, reader: LogReader, lines: tuple[LogLine, ...], ended: bool) -> None:
            super().__init__()
            self.reader = reader
            self.lines = lines
            self.ended = ended

    class Searched(Message):
        """A search of the earlier lines made progress or ended."""

        def __init__(self, pane: LogPane, log_matches: LogMatches) -> None:
            super().__init__()
            self.pane = pane
            self.log_matches = log_matches

    class Ended(Message):
        """The log ended; ``problem`` says what went wrong, if anything."""

        def __init__(self, pane: LogPane, problem: str) -> None:
            super().__init__()
            self.pane = pane
            self.problem = problem

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.lines: list[str] = []
        self._kept_text = 0
        self._sources: list[LogLine] = []
        self._rows: list[str] = []
        self._rows_cut = False
        self._earlier: tuple[str, ...] = ()
        self._earlier_rows: list[str] = []
        self._received = 0
        self._tail = 0
        self._open_all: Callable[[], LogStream] | None = None
        self._search: LogSearch | None = None
        self.earlier_matches: LogMatches | None = None
        self.fallen = 0
        """Lines dropped since the last search began; ``fallen_matches`` counts those that matched."""
        self.fallen_matches = 0
        self._broken_at = 0
        self._reader: LogReader | None = None
        self._widest = 0
        self.note = ""

    def open(self, endpoint: Endpoint, container_id: str, *, follow: bool, tail: int = 2_000) -> None:
        """Show the log of a container, starting with its last ``tail`` lines."""
        self.shut()
        self.lines, self._sources, self._rows = [], [], []
        self._received, self._kept_text, self._tail = 0, 0, tail
        self._open_all = lambda: endpoint.logs(container_id, follow=False, tail=None)
        self._show_earlier(())
        self._widest = 0
        self.note = "no output yet"
        self.rows_changed()
        self._reader = LogReader(lambda: endpoint.logs(container_id, follow=follow, tail=tail), self.post_message)
        self._reader.start()

    @property
    def is_complete(self) -> bool:
        """Whether every line of the log is loaded."""
        return self._received < self._tail and self._received == len(self.lines)

    @property
    def searching(self) -> bool:
        """Whether a search of the earlier lines is running."""
        return self._search is not None

    def search_earlier(self) -> None:
        """Search the lines that are not loaded; posts :class:`Searched` with progress and matches."""
        self.stop_search()
        if self.is_complete or self._open_all is None or not self.needle:
            return
        shown_lines = tuple(self._sources)
        self.fallen = self.fallen_matches = 0
        self._search = LogSearch(self._open_all, self.post_message, self.needle, shown_lines, log_text)
        self._search.start()

    def stop_search(self) -> None:
        """Stop the search and forget its matches."""
        if self._search:
            self._search.close()
            self._search = None
        self.earlier_matches = None
        self.fallen = self.fallen_matches = 0
        self._show_earlier(())

    def on_log_search_progress(self, event: LogSearch.Progress) -> None:
        """Pass progress on as :class:`Searched`; show the matches when the search has ended."""
        event.stop()
        if event.search is not self._search:
            return
        self.earlier_matches = event.log_matches
        if event.log_matches.ended:
            self._search = None
            self._show_earlier(event.log_matches.rows)
        self.post_message(self.Searched(self, event.log_matches))

    def _show_earlier(self, rows: tuple[str, ...]) -> None:
        """Put rows above the loaded lines; the visible rows stay in place."""
        if not rows and not self._is_all_shown and self._received:
            rows = (f"{GAP} earlier lines are not loaded: / searches them too",)
        if self.fallen and rows:
            rows = (*rows, gap_row(self.fallen))
        before = len(self._earlier_rows)
        self._earlier = rows
        self._earlier_rows = [row for text in rows for row in self._wrapped_rows(text)]
        self._widest = max([self._widest, *(len(text) for text in rows)])
        self.rows_changed()
        if not self.follow:
            self._scroll_rows(int(self.scroll_y) + len(self._earlier_rows) - before)
        self._keep_to_end()

    def shut(self) -> None:
        """Stop reading and searching."""
        if self._search:
            self._search.close()
            self._search = None
        if self._reader:
            self._reader.close()
            self._reader = None

    def on_unmount(self) -> None:
        self.shut()

    def on_log_pane_arrived(self, event: LogPane.Arrived) -> None:
        """Append lines; scroll to the end while following."""
        event.stop()
        event.reader.batch_taken.set()
        if event.reader is not self._reader:
            return
        fresh = [log_text(line) for line in event.lines]
        was_whole, fallen = self._is_all_shown, self.fallen
        lines = self.lines + fresh
        self._note_fallen(lines[:-_KEPT])
        self._kept_text += sum(map(len, fresh)) - sum(map(len, lines[:-_KEPT]))
        self.lines = lines[-_KEPT:]
        self._sources = (self._sources + list(event.lines))[-_KEPT:]
        self._received += len(fresh)
        self._keep_rows(self._rows + [row for text in fresh for row in self._wrapped_rows(text)])
        if self._kept_text > _KEPT_TEXT:
            self._let_go()
        self._widest = max([self._widest, *(len(text) for text in fresh)])
        self.note = "" if self.lines else ("no output" if event.ended else "no output yet")
        if self.earlier_matches and self.earlier_matches.ended and self.fallen != fallen:
            self._show_earlier(self.earlier_matches.rows)
        elif was_whole and not self._is_all_shown:
            self._show_earlier(())
        self.rows_changed()
        if event.ended:
            if event.reader.problem:
                self.note = event.reader.problem
            self.post_message(self.Ended(self, event.reader.problem))
        self._keep_to_end()

    def _note_fallen(self, lines: list[str]) -> None:
        """Count lines that are dropped, and those that match, while something is searched for."""
        if self.needle:
            needle = self.needle.lower()
            self.fallen += len(lines)
            self.fallen_matches += sum(needle in text[1:].lower() for text in lines)

    def _keep_rows(self, rows: list[str]) -> None:
        """Keep the last rows up to the limit; note whether loaded lines have lost rows."""
        self._rows_cut = len(rows) > _KEPT and (self._rows_cut or len(rows) > len(self.lines))
        self._rows = rows[-_KEPT:]

    @property
    def _is_all_shown(self) -> bool:
        return self.is_complete and not self._rows_cut

    def _let_go(self) -> None:
        """Drop the oldest lines until at most half of the character limit is used."""
        size, first = 0, len(self.lines)
        while first and size + len(self.lines[first - 1]) <= _KEPT_TEXT // 2:
            first -= 1
            size += len(self.lines[first])
        self._note_fallen(self.lines[:first])
        self.lines, self._sources, self._kept_text = self.lines[first:], self._sources[first:], size
        self._break_all()

    def _keep_to_end(self) -> None:
        if self.follow:  # forced, because a log that has just grown gets its scrollbar one layout later
            self.scroll_end(animate=False, force=True, x_axis=False)

    def _wrapped_rows(self, text: str) -> list[str]:
        """Return the rows that a line takes."""
        room = self._broken_at
        if not room or len(text) <= room >> 1 or cell_len(text) <= room:
            return [text]
        first = chop_cells(text, room)[0]
        return [first, *(_BREAK + chunk for chunk in chop_cells(text[len(first) :], room - len(_BREAK)))]

    def _break_all(self) -> None:
        room = self.size.width - self.styles.scrollbar_size_vertical
        self._broken_at = room if self.wrap and room > _NARROWEST else 0
        self._rows_cut = False
        self._keep_rows([row for text in self.lines for row in self._wrapped_rows(text)])
        self._earlier_rows = [row for text in self._earlier for row in self._wrapped_rows(text)]

    def watch_wrap(self) -> None:
        self.on_resize()

    def on_resize(self) -> None:
        """Wrap lines again; stay at the end while following."""
        self._break_all()
        super().on_resize()
        self._keep_to_end()

    def count(self) -> int:
        """Return the number of rows; an empty log has one for its note."""
        return len(self._earlier_rows) + len(self._rows) or 1

    def content_width(self) -> int:
        """Return the width of the longest line, or 0 if lines are wrapped."""
        return 0 if self._broken_at else self._widest

    def row(self, index: int, width: int) -> Text:
        """Return a row in which stderr and matches stand out."""
        if not self.lines:
            return Text(f" {printable(self.note)}", style="italic")
        earlier_count = len(self._earlier_rows)
        text = self._earlier_rows[index] if index < earlier_count else self._rows[index - earlier_count]
        if text.startswith(GAP):
            return Text(text, style="dim")
        line = Text(text)
        if text.startswith(_STDERR):
            line.stylize("bold", 0, 1)
        if self.needle:
            style = self.get_component_rich_style("log--match", partial=True)
            line.highlight_regex(re.compile(re.escape(self.needle), re.IGNORECASE), style)
        return line

    def watch_needle(self) -> None:
        self.refresh()

    def watch_follow(self) -> None:
        """Scroll to the end when following begins."""
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
        """Yield the first row of each line that matches."""
        needle, row = self.needle.lower(), 0
        for text in self._earlier:
            if needle in text[1:].lower() and not text.startswith(GAP):
                yield row
            row += len(self._wrapped_rows(text))
        row, first = row + len(self._rows) - sum(len(self._wrapped_rows(text)) for text in self.lines), row
        for text in self.lines:
            if needle in text[1:].lower() and row >= first:
                yield row
            row += len(self._wrapped_rows(text))

    def matching(self) -> int:
        """Return how many loaded lines match, without the earlier ones that a search found."""
        needle = self.needle.lower()
        return sum(needle in text[1:].lower() for text in self.lines)

    def _move(self, by: int) -> None:
        if by < 0:
            self.follow = False
        super()._move(by)
