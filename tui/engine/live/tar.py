"""Read the Engine's tar header by header, within limits. Nothing is ever unpacked.

The standard library's tarfile is not made for untrusted input: it reads a pax header or a long name into memory whole,
whatever size it announces, and accepts any number as time or owner. The Engine (Go's archive/tar) writes ustar, pax and
GNU long names; everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tui.core.errors import LayerError

BLOCK = 512

_MAX_EXTENDED = 1 << 20
"""Most bytes of extended headers of one member: its names and attributes. Linux allows 64 KiB per attribute."""

_MAX_ID = 2**32 - 1
_EARLIEST, _LATEST = -(2**35), 2**37
"""Seconds since the epoch that a calendar can show: the years 882 to 6325. A container may set any time."""

_MAX_SIZE = 2**63 - 1

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_KINDS = (REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)


_TIME = re.compile(rb"-?[0-9]{1,30}(\.[0-9]{1,30})?")


class TarError(ValueError):
    """The input is not a tar that dtui accepts."""


class TarEnded(TarError):
    """The tar is cut short."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a tar, from its headers."""

    name: bytes
    kind: bytes
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    link: bytes = b""
    attributes: dict[str, str] = field(default_factory=dict)
    """Extended attributes by their names in a pax header."""


class TarSource:
    """The bytes of a tar as they arrive, up to a limit."""

    def __init__(self, chunks: Iterator[bytes], limit: int | None = None) -> None:
        self._chunks = chunks
        self._buffer = memoryview(b"")
        self._remaining = limit
        self.cut = False
        """True if the limit ended it."""

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield exactly ``size`` bytes in pieces; raises TarEnded if there are fewer."""
        while size:
            if not self._buffer:
                self._buffer = memoryview(next(self._chunks, b""))
                if not self._buffer:
                    raise TarEnded("cut short")
                if self._remaining is not None:
                    self.cut = self.cut or len(self._buffer) > self._remaining
                    self._buffer = self._buffer[: self._remaining]
                    self._remaining -= len(self._buffer)
                    if not self._buffer:
                        raise TarEnded("longer than what is read")
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes, which the caller has limited."""
        return b"".join(self.pieces(size))

    def skip(self, size: int) -> None:
        """Skip ``size`` bytes."""
        for _ in self.pieces(size):
            pass


class Members:
    """The members of a tar in order. The content of each is skipped unless it is read before the next."""

    def __init__(self, source: TarSource) -> None:
        self._source = source
        self._pending = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        return self

    def __next__(self) -> Member:
        """Return the next member; raises TarError if it is invalid, StopIteration at the end."""
        self._source.skip(self._pending + self._padding)
        self._pending = self._padding = 0
        extended: dict[str, bytes] = {}
        header_bytes = 0
        while True:
            block = self._source.read(BLOCK)
            if not any(block):
                raise StopIteration
            kind, size = _check_header(block)
            if kind not in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                break
            header_bytes += size + BLOCK
            if header_bytes > _MAX_EXTENDED:
                raise TarError("a header of more than 1 MiB")
            body = self._source.read(size)
            self._source.skip(-size % BLOCK)
            if kind == _PAX:
                extended.update(_records(body))
            elif kind != _PAX_GLOBAL:
                extended["path" if kind == _LONG_NAME else "linkpath"] = body.partition(b"\0")[0]
        member = _member(block, kind, size, extended)
        self._pending, self._padding = member.size, -member.size % BLOCK
        return member

    def content(self, limit: int) -> bytes:
        """Return the content of the last member; the caller has compared its size."""
        size, self._pending = self._pending, 0
        if size > limit:
            raise TarError("more than was announced")
        return self._source.read(size)


def _check_header(block: bytes) -> tuple[bytes, int]:
    """Return kind and size of a header after verifying its checksum."""
    checksum = _number(block[148:156], _MAX_SIZE)
    if checksum != sum(block) - sum(block[148:156]) + 8 * 32:
        raise TarError("not a header")
    kind = block[156:157]
    kind = REGULAR if kind in (b"\0", b"7") else kind
    if kind not in (*_KINDS, _PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
        raise TarError("a member of an unknown kind")
    return kind, _number(block[124:136], _MAX_SIZE)


def _member(block: bytes, kind: bytes, size: int, extended: dict[str, bytes]) -> Member:
    if any(key.startswith("GNU.sparse") for key in extended):
        raise TarError("a sparse member")
    name, link = block[:100].partition(b"\0")[0], block[157:257].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    if prefix:
        name = prefix + b"/" + name
    name, link = extended.get("path", name), extended.get("linkpath", link)
    if not name or b"\0" in name or b"\0" in link:
        raise TarError("a member without a name")
    size = _decimal(extended["size"], _MAX_SIZE) if "size" in extended else size
    return Member(
        name=name,
        kind=kind,
        size=size if kind == REGULAR else 0,
        mode=_number(block[100:108], 2**32),
        uid=_decimal(extended["uid"], _MAX_ID) if "uid" in extended else _number(block[108:116], _MAX_ID),
        gid=_decimal(extended["gid"], _MAX_ID) if "gid" in extended else _number(block[116:124], _MAX_ID),
        mtime=_time(extended["mtime"])
        if "mtime" in extended
        else _in_calendar(_number(block[136:148], 2**95, -(2**95))),
        link=link,
        attributes={
            key: value.decode("utf-8", "surrogateescape")
            for key, value in extended.items()
            if key.startswith("SCHILY.xattr.")
        },
    )


def _number(data: bytes, highest: int, lowest: int = 0) -> int:
    """Parse a number in a header: octal, or GNU's base 256."""
    if data[0] & 0x80:
        value = int.from_bytes(data, "big") - (1 << 8 * len(data) - 1)  # the first bit only marks the format
        if data[0] & 0x40:
            value -= 1 << 8 * len(data) - 1
    else:
        digits = data.strip(b"\0 ")
        if digits.strip(b"01234567"):
            raise TarError("not a number")
        value = int(digits or b"0", 8)
    if not lowest <= value <= highest:
        raise TarError("a number out of its range")
    return value


def _decimal(data: bytes, highest: int) -> int:
    if not data.isdigit() or len(data) > 20 or int(data) > highest:
        raise TarError("a number out of its range")
    return int(data)


def _time(data: bytes) -> int:
    """Parse a time in a pax header, which may have a fraction."""
    if not _TIME.fullmatch(data):
        raise TarError("not a time")
    return _in_calendar(int(data.partition(b".")[0]))


def _in_calendar(seconds: int) -> int:
    return max(_EARLIEST, min(_LATEST, seconds))


def _records(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield keywords and values of a pax header; each record starts with its own length."""
    offset = 0
    while offset < len(body):
        space = body.find(b" ", offset, offset + 21)
        if space < 0:
            raise TarError("a damaged pax header")
        length = _decimal(body[offset:space], len(body) - offset)
        key, equals, value = body[space + 1 : offset + length].partition(b"=")
        if length <= space - offset + 1 or not equals or value[-1:] != b"\n":
            raise TarError("a damaged pax header")
        yield key.decode("utf-8", "surrogateescape"), value[:-1]
        offset += length


def tar_refused(error: TarError, display_path: str) -> LayerError:
    """Return the error to raise for a tar about ``display_path`` that was rejected."""
    return LayerError(f"the Engine's answer for {display_path} is cut short or not a tar ({error})", "try again")
