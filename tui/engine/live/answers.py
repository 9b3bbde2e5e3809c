"""Parse JSON from strangers within limits: lists row by row, streams line by line, so that one bad row costs only
itself.

The standard library parses a whole document at once: a list of a million rows, or a single malformed one, would cost
all the memory or the whole list.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tui.core.errors import EngineError

_MAX_ROW = 4 << 20
"""Longest row of a list in characters; as Python objects it takes up to 25 times as much memory."""

_MAX_SKIPPED = 8 << 20
"""Longest part of a row in characters that is skipped to find the next one; skipping is slower than reading."""

_MAX_EVENT = 1 << 20
"""Longest line of a stream in bytes; an event with many labels has a few hundred."""

_MAX_DIGITS = 20
"""Longest whole number in digits, as many as 64 bits need. Python takes quadratic time for long ones."""

_HINT = "check that it is a Docker or podman Engine"


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands for a row or event that could not be parsed."""

    reason: str


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


_DECODER = json.JSONDecoder(parse_int=_whole_number, parse_constant=lambda _: None)


def decode_json(body: bytes) -> Any:
    """Parse a JSON body; raises EngineError. Numbers too long for any Engine become None."""
    try:
        return _DECODER.decode(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise EngineError("the answer is not JSON", _HINT) from error


def lines(chunks: Iterable[bytes], limit: int = _MAX_EVENT) -> Iterator[bytes]:
    """Yield the non-empty lines of a stream; raises EngineError for a line without end."""
    pending = bytearray()
    for chunk in chunks:
        first, *segments = chunk.split(b"\n")
        pending += first
        for segment in segments:
            if line := bytes(pending).strip():
                yield line
            pending = bytearray(segment)
        if len(pending) > limit:
            raise EngineError(f"the Engine sends a line of more than {limit:,} bytes", _HINT)
    if line := bytes(pending).strip():
        yield line


def rows(chunks: Iterable[bytes], max_rows: int, *, null_is_empty: bool = False) -> Iterator[Any]:
    """Yield the rows of a JSON list as they arrive, Malformed for one that cannot be parsed.

    With ``null_is_empty``, null counts as an empty list. Raises EngineError if it is not a list, is cut short, or has
    more than ``max_rows`` rows.
    """
    text = _Text(chunks)
    start = text.skip_space()
    if null_is_empty and start == "n" and text.peek().strip() == "null":
        return
    if start != "[":
        raise EngineError("the answer is not a list", _HINT)
    text.skip_one()
    count = 0
    while (char := text.skip_space()) != "]":
        if count and char == ",":
            text.skip_one()
        elif count or not char:
            raise EngineError("the list is cut short or not JSON", _HINT)
        text.skip_space()
        count += 1
        if count > max_rows:
            raise EngineError(f"the list has more than {max_rows:,} rows", "use docker itself")
        yield text.value()


_SPACE = re.compile(r"[ \t\n\r]*")
_SYMBOL = re.compile(r"\\.|[\"\[\]{},]", re.DOTALL)
_AFTER_VALUE = tuple(" \t\n\r,]")
_MAX_SPACE = 64 << 10
"""Most whitespace between two values; Engines send none."""


class _Text:
    """The text of a body, of which only the unread part is kept."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._position = 0

    def _read_more(self, minimum: int = 1) -> bool:
        """Read at least ``minimum`` more characters, if there are any."""
        parts, size = [self._text[self._position :]], 0
        for chunk in self._chunks:
            parts.append(self._decoder.decode(chunk))
            size += len(parts[-1])
            if size >= minimum:
                break
        self._text, self._position = "".join(parts), 0
        return size > 0

    def skip_one(self) -> None:
        """Skip one character."""
        self._position += 1

    def skip_space(self) -> str:
        """Skip whitespace and return the next character, "" at the end."""
        skipped = 0
        while True:
            match = _SPACE.match(self._text, self._position)
            skipped += match.end() - self._position if match else 0
            self._position = match.end() if match else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if skipped > _MAX_SPACE:
                raise EngineError("the list has too much whitespace", _HINT)
            if not self._read_more():
                return ""

    def peek(self) -> str:
        """Return a little of what follows."""
        while len(self._text) - self._position < 16 and self._read_more():
            pass
        return self._text[self._position : self._position + 16]

    def value(self) -> Any:
        """Parse the next value; Malformed if it is too long, too deep or invalid."""
        read_size = _MAX_SPACE
        while True:
            try:
                parsed, end = _DECODER.raw_decode(self._text, self._position)
            except RecursionError:
                return self._skip("nested too deeply")
            except ValueError as error:
                reason = str(error)
            else:
                # a number may continue in the next chunk: "1e" alone parses as 1, before "+300" arrives
                if isinstance(parsed, dict | list) or self._text[end : end + 1] in _AFTER_VALUE:
                    self._position = end
                    return parsed
                reason = "cut short"
            if len(self._text) - self._position > _MAX_ROW:
                return self._skip("too long")
            if not self._read_more(read_size):
                return self._skip(reason)
            read_size = min(read_size * 2, _MAX_ROW // 4)  # grow quickly: each attempt parses the row from its start

    def _skip(self, reason: str) -> Malformed:
        """Skip a value without parsing it, up to the comma or bracket that ends it."""
        depth, quoted, skipped = 0, False, 0
        while skipped < _MAX_SKIPPED:
            skipped += len(self._text) - self._position
            for match in _SYMBOL.finditer(self._text, self._position):
                symbol = match.group()
                if symbol == '"':
                    quoted = not quoted
                elif quoted or symbol[0] == "\\":
                    continue
                elif symbol in "[{":
                    depth += 1
                elif depth == 0:
                    self._position = match.start()
                    return Malformed(reason)
                elif symbol in "]}":
                    depth -= 1
            self._position = len(self._text) - self._text.endswith("\\")
            if not self._read_more(_MAX_SPACE):
                raise EngineError("the list is cut short or not JSON", _HINT)
        raise EngineError("the list has a row that is too long", _HINT)
