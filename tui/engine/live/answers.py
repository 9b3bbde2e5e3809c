"""JSON from strangers with bounds: lists row by row, streams line by line, one odd row costing itself alone. Pure."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tui.core.errors import EngineError

_ROW = 4 << 20
"""Characters of one row of a list: Python's objects take at most some twenty-five times as much memory."""

_SKIPPED = 8 << 20
"""Characters of a row that are gone over to find the next one: it takes longer than to read them."""

_EVENT = 1 << 20
"""Bytes of one line of a stream, which has a few hundred in an event with many labels."""

_DIGITS = 20
"""Digits of a whole number: the largest of 64 bits has as many. Python takes quadratic time for long ones."""

_HINT = "is that a Docker or podman Engine?"


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands for a row or event that is not understood."""

    why: str


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS else None


_DECODER = json.JSONDecoder(parse_int=_whole_number, parse_constant=lambda _: None)


def decode_json(body: bytes) -> Any:
    """Return what a JSON body says, None for a number that no Engine means; raises EngineError for what is none."""
    try:
        return _DECODER.decode(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise EngineError("the answer is not JSON", _HINT) from error


def lines(chunks: Iterable[bytes], longest: int = _EVENT) -> Iterator[bytes]:
    """Yield the lines of a stream that hold anything; raises EngineError for one that does not end."""
    pending = bytearray()
    for chunk in chunks:
        first, *segments = chunk.split(b"\n")
        pending += first
        for segment in segments:
            if line := bytes(pending).strip():
                yield line
            pending = bytearray(segment)
        if len(pending) > longest:
            raise EngineError(f"the Engine sends a line of more than {longest:,} bytes", _HINT)
    if line := bytes(pending).strip():
        yield line


def rows(chunks: Iterable[bytes], most: int, *, nothing: bool = False) -> Iterator[Any]:
    """Yield the rows of a JSON list as they come, Odd for one that cannot be read; ``nothing`` lets null be no row.

    Raises EngineError for what is no list, is cut short, or has more than ``most`` rows.
    """
    text = _Text(chunks)
    start = text.skip_space()
    if nothing and start == "n" and text.rest().strip() == "null":
        return
    if start != "[":
        raise EngineError("the answer is not a list", _HINT)
    text.step()
    count = 0
    while (char := text.skip_space()) != "]":
        if count and char == ",":
            text.step()
        elif count or not char:
            raise EngineError("the list is cut short or no JSON", _HINT)
        text.skip_space()
        count += 1
        if count > most:
            raise EngineError(f"the list has more than {most:,} rows", "docker itself may show it")
        yield text.value()


_SPACE = re.compile(r"[ \t\n\r]*")
_MARK = re.compile(r"\\.|[\"\[\]{},]", re.DOTALL)
_AFTER_VALUE = tuple(" \t\n\r,]")
_ENDLESS = 64 << 10
"""Characters between a value and the next: Engines send none."""


class _Text:
    """A body's text, of which only what is not yet read is kept."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._at = 0

    def _read_more(self, least: int = 1) -> bool:
        """Read so many characters more, if they come."""
        parts, size = [self._text[self._at :]], 0
        for chunk in self._chunks:
            parts.append(self._decoder.decode(chunk))
            size += len(parts[-1])
            if size >= least:
                break
        self._text, self._at = "".join(parts), 0
        return size > 0

    def step(self) -> None:
        """Go over one character."""
        self._at += 1

    def skip_space(self) -> str:
        """Go to the next character that is no space; return it, or nothing at the end."""
        skipped = 0
        while True:
            match = _SPACE.match(self._text, self._at)
            skipped += match.end() - self._at if match else 0
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if skipped > _ENDLESS:
                raise EngineError("the list has spaces without end", _HINT)
            if not self._read_more():
                return ""

    def rest(self) -> str:
        """Return a little of what is left."""
        while len(self._text) - self._at < 16 and self._read_more():
            pass
        return self._text[self._at : self._at + 16]

    def value(self) -> Any:
        """Return the next value, Odd for one that is too long, too deep or no JSON."""
        read_size = _ENDLESS
        while True:
            try:
                parsed, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                return self._skip("nested too deeply")
            except ValueError as error:
                why = str(error)
            else:
                # a number may go on in the next piece: "1" is all that is decoded of "1e" before "+300" comes
                if isinstance(parsed, dict | list) or self._text[end : end + 1] in _AFTER_VALUE:
                    self._at = end
                    return parsed
                why = "cut short"
            if len(self._text) - self._at > _ROW:
                return self._skip("too long")
            if not self._read_more(read_size):
                return self._skip(why)
            read_size = min(read_size * 2, _ROW // 4)  # a long row is tried a few times only

    def _skip(self, why: str) -> Malformed:
        """Go over a value without understanding it, to the comma or bracket that ends it."""
        depth, quoted, skipped = 0, False, 0
        while skipped < _SKIPPED:
            skipped += len(self._text) - self._at
            for match in _MARK.finditer(self._text, self._at):
                mark = match.group()
                if mark == '"':
                    quoted = not quoted
                elif quoted or mark[0] == "\\":
                    continue
                elif mark in "[{":
                    depth += 1
                elif depth == 0:
                    self._at = match.start()
                    return Malformed(why)
                elif mark in "]}":
                    depth -= 1
            self._at = len(self._text) - self._text.endswith("\\")
            if not self._read_more(_ENDLESS):
                raise EngineError("the list is cut short or no JSON", _HINT)
        raise EngineError("the list has a row without end", _HINT)
