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

_EXTRA = 1 << 20
"""Most bytes of extended headers of one member: its names and attributes. Linux allows 64 KiB per attribute."""

_IDS = 2**32 - 1
_EARLIEST, _LATEST = -(2**35), 2**37
"""Seconds since the epoch that a calendar can show: the years 882 to 6325. A container may set any time."""

_LARGEST = 2**63 - 1

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
        self._rest = memoryview(b"")
        self._left = limit
        self.cut = False
        """True if the limit ended it."""

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield exactly ``size`` bytes in pieces; raises TarEnded if there are fewer."""
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    raise TarEnded("cut short")
                if self._left is not None:
                    self.cut = self.cut or len(self._rest) > self._left
                    self._rest = self._rest[: self._left]
                    self._left -= len(self._rest)
                    if not self._rest:
                        raise TarEnded("longer than what is read")
            piece, self._rest = self._rest[:size], self._rest[size:]
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
        extra: dict[str, bytes] = {}
        spent = 0
        while True:
            block = self._source.read(BLOCK)
            if not any(block):
                raise StopIteration
            kind, size = _checked(block)
            if kind not in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                break
            spent += size + BLOCK
            if spent > _EXTRA:
                raise TarError("a header of more than 1 MiB")
            body = self._source.read(size)
            self._source.skip(-size % BLOCK)
            if kind == _PAX:
                extra.update(_records(body))
            elif kind != _PAX_GLOBAL:
                extra["path" if kind == _LONG_NAME else "linkpath"] = body.partition(b"\0")[0]
        member = _member(block, kind, size, extra)
        self._pending, self._padding = member.size, -member.size % BLOCK
        return member

    def content(self, limit: int) -> bytes:
        """Return the content of the last member; the caller has compared its size."""
        size, self._pending = self._pending, 0
        if size > limit:
            raise TarError("more than was announced")
        return self._source.read(size)


def _checked(block: bytes) -> tuple[bytes, int]:
    """Return kind and size of a header after verifying its checksum."""
    checksum = _number(block[148:156], _LARGEST)
    if checksum != sum(block) - sum(block[148:156]) + 8 * 32:
        raise TarError("no header")
    kind = block[156:157]
    kind = REGULAR if kind in (b"\0", b"7") else kind
    if kind not in (*_KINDS, _PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
        raise TarError("a member of an unknown kind")
    return kind, _number(block[124:136], _LARGEST)


def _member(block: bytes, kind: bytes, size: int, extra: dict[str, bytes]) -> Member:
    if any(key.startswith("GNU.sparse") for key in extra):
        raise TarError("a sparse member")
    name, link = block[:100].partition(b"\0")[0], block[157:257].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    if prefix:
        name = prefix + b"/" + name
    name, link = extra.get("path", name), extra.get("linkpath", link)
    if not name or b"\0" in name or b"\0" in link:
        raise TarError("a member without a name")
    size = _decimal(extra["size"], _LARGEST) if "size" in extra else size
    return Member(
        name=name,
        kind=kind,
        size=size if kind == REGULAR else 0,
        mode=_number(block[100:108], 2**32),
        uid=_decimal(extra["uid"], _IDS) if "uid" in extra else _number(block[108:116], _IDS),
        gid=_decimal(extra["gid"], _IDS) if "gid" in extra else _number(block[116:124], _IDS),
        mtime=_time(extra["mtime"]) if "mtime" in extra else _in_calendar(_number(block[136:148], 2**95, -(2**95))),
        link=link,
        attributes={
            key: value.decode("utf-8", "surrogateescape")
            for key, value in extra.items()
            if key.startswith("SCHILY.xattr.")
        },
    )


def _number(data: bytes, most: int, least: int = 0) -> int:
    """Parse a number in a header: octal, or GNU's base 256."""
    if data[0] & 0x80:
        value = int.from_bytes(data, "big") - (1 << 8 * len(data) - 1)  # the first bit only marks the format
        if data[0] & 0x40:
            value -= 1 << 8 * len(data) - 1
    else:
        digits = data.strip(b"\0 ")
        if digits.strip(b"01234567"):
            raise TarError("a number that is none")
        value = int(digits or b"0", 8)
    if not least <= value <= most:
        raise TarError("a number out of its range")
    return value


def _decimal(data: bytes, most: int) -> int:
    if not data.isdigit() or len(data) > 20 or int(data) > most:
        raise TarError("a number out of its range")
    return int(data)


def _time(data: bytes) -> int:
    """Parse a time in a pax header, which may have a fraction."""
    if not _TIME.fullmatch(data):
        raise TarError("a time that is none")
    return _in_calendar(int(data.partition(b".")[0]))


def _in_calendar(seconds: int) -> int:
    return max(_EARLIEST, min(_LATEST, seconds))


def _records(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield keywords and values of a pax header; each record starts with its own length."""
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 21)
        if space < 0:
            raise TarError("a damaged pax header")
        length = _decimal(body[at:space], len(body) - at)
        key, equals, value = body[space + 1 : at + length].partition(b"=")
        if length <= space - at + 1 or not equals or value[-1:] != b"\n":
            raise TarError("a damaged pax header")
        yield key.decode("utf-8", "surrogateescape"), value[:-1]
        at += length


def refused(error: TarError, display_path: str) -> LayerError:
    """Return the error to raise for a tar about ``display_path`` that was rejected."""
    return LayerError(f"the Engine's answer for {display_path} is cut short or not a tar ({error})", "try again")
