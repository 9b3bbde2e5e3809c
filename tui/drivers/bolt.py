"""bbolt databases, read only: what containerd keeps its snapshots' records in.

The file is copied and never locked. bbolt writes pages anew and never in place: those reachable from the transaction
that the newest meta page names are overwritten two transactions later at the earliest, so that a copy is consistent
if the newest meta page is the same before and after (go.etcd.io/bbolt, db.go and tx.go; file format 2).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from tui.core.errors import LayerError, NotReachable
from tui.core.text import printable
from tui.drivers.base import open_regular

_MAGIC = 0xED0CDAED
_VERSION = 2
_META = struct.Struct("<IIIIQQQQQQ")
_PAGE = struct.Struct("<QHHI")
_LEAF = struct.Struct("<IIII")
_BRANCH = struct.Struct("<IIQ")
_BRANCH_PAGE, _LEAF_PAGE = 0x01, 0x02
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536, 1024, 2048)
_TRIES = 20
_LARGEST = 256 << 20
"""Bytes of a database; the records of a thousand snapshots take less than one MiB."""

_DEEPEST = 32
"""Levels of branch pages; a real tree has four or five."""


def _checksum(data: bytes) -> int:
    """FNV-1a with 64 bits, as the meta page has it."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def _meta_at(head: bytes, offset: int) -> tuple[int, int, int] | None:
    """Return (transaction, root page, page size) of a valid meta page."""
    raw = head[offset + _PAGE.size : offset + _PAGE.size + _META.size]
    if len(raw) < _META.size:
        return None
    magic, version, page_size, _, root, _, _, _, transaction, checksum = _META.unpack(raw)
    if (magic, version) != (_MAGIC, _VERSION) or _checksum(raw[:56]) != checksum or page_size not in _PAGE_SIZES:
        return None
    return transaction, root, page_size


def _newest_meta(head: bytes) -> tuple[int, int, int] | None:
    first = _meta_at(head, 0)
    sizes = (first[2],) if first else _PAGE_SIZES
    found = [meta for meta in (first, *(_meta_at(head, size) for size in sizes)) if meta]
    return max(found) if found else None


def _damaged(path: Path, why: str) -> LayerError:
    return LayerError(f"{printable(str(path))} is damaged: {why}", "containerd writes it: does it start?")


class Bucket:
    """A bucket: names to values or to further buckets."""

    def __init__(self, path: Path, data: bytes, page_size: int, root: int, inline: bytes = b"") -> None:
        self._path = path
        self._data = data
        self._page_size = page_size
        self._root = root
        self._inline = inline

    def items(self) -> Iterator[tuple[bytes, bytes | Bucket]]:
        """Yield names and values, sorted by name; raises LayerError for a damaged page."""
        try:
            pages = self._leaf(self._inline, 0) if self._inline else self._walk(self._root, 0)
            for name, value, flags in pages:
                if flags & 1:
                    root, _ = struct.unpack_from("<QQ", value)
                    yield name, Bucket(self._path, self._data, self._page_size, root, b"" if root else value[16:])
                else:
                    yield name, value
        except (struct.error, OverflowError) as error:
            raise _damaged(self._path, "a page or record lies outside the file") from error

    def _walk(self, page: int, depth: int) -> Iterator[tuple[bytes, bytes, int]]:
        offset = page * self._page_size
        number, flags, count, _ = _PAGE.unpack_from(self._data, offset)
        if number != page or depth > _DEEPEST:
            raise _damaged(self._path, f"page {page} is not what it should be")
        if flags & _LEAF_PAGE:
            yield from self._leaf(self._data, offset)
        elif flags & _BRANCH_PAGE:
            for index in range(count):
                child = _BRANCH.unpack_from(self._data, offset + _PAGE.size + index * _BRANCH.size)[2]
                yield from self._walk(child, depth + 1)
        else:
            raise _damaged(self._path, f"page {page} is of no known kind")

    def _leaf(self, data: bytes, offset: int) -> Iterator[tuple[bytes, bytes, int]]:
        count = _PAGE.unpack_from(data, offset)[2]
        for index in range(count):
            at = offset + _PAGE.size + index * _LEAF.size
            flags, position, name_size, value_size = _LEAF.unpack_from(data, at)
            start = at + position
            end = start + name_size + value_size
            if end > len(data):
                raise _damaged(self._path, "a record ends outside the file")
            yield data[start : start + name_size], data[start + name_size : end], flags

    def bucket(self, *names: bytes) -> Bucket | None:
        """Return a bucket below this one, None where there is none."""
        here: Bucket = self
        for name in names:
            below = dict(here.items()).get(name)
            if not isinstance(below, Bucket):
                return None
            here = below
        return here

    def value(self, name: bytes) -> bytes:
        """Return a value; empty where there is none."""
        found = dict(self.items()).get(name)
        return found if isinstance(found, bytes) else b""


def read_bolt(path: Path) -> Bucket:
    """Read a consistent state of a database that containerd may be writing; raises LayerError, NotReachable."""
    for _ in range(_TRIES):
        try:
            with open_regular(path) as file:
                before = _newest_meta(os.pread(file.fileno(), 2 * 65536 + 4096, 0))
                data = _read_all(file.fileno(), path)
                after = _newest_meta(os.pread(file.fileno(), 2 * 65536 + 4096, 0))
        except PermissionError as error:
            raise NotReachable(f"{printable(str(path))}: permission denied", "run dtui as root, or use sudo") from error
        except OSError as error:
            raise LayerError(f"{printable(str(path))}: {error.strerror}", "the data-root is not whole") from error
        if before is None:
            raise _damaged(path, "it has no valid first page")
        if before == after:
            _, root, page_size = before
            return Bucket(path, data, page_size, root)
    raise LayerError(f"{printable(str(path))} changes too fast to be read", "try again")


def _read_all(fd: int, path: Path) -> bytes:
    size = os.fstat(fd).st_size
    if size > _LARGEST:
        raise _damaged(path, "it is larger than any database of containerd's")
    chunks: list[bytes] = []
    total = 0
    while total < size and (chunk := os.pread(fd, 1 << 20, total)):
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks)


def uvarint(data: bytes) -> int:
    """Return a number in Go's variable-length encoding."""
    value = shift = 0
    for byte in data[:10]:
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    return value
