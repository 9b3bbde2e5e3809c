"""A read-only reader of bbolt databases, in which containerd keeps the records of its snapshots.

The file is copied and never locked: containerd holds the lock while it runs. bbolt never rewrites a page in place;
pages reachable from the newest meta page are reused two transactions later at the earliest. A copy is therefore
consistent if the newest meta page is the same before and after copying (go.etcd.io/bbolt, db.go and tx.go; file format
2).

dtui has its own reader because the database may come from a stranger: existing readers follow page links without
limits, so a crafted file makes them loop or exhaust memory. This one reads every page at most once and bounds depth and
size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import ItemsView, Iterator
from functools import cached_property

from tui.core.errors import LayerError
from tui.drivers.data_root import DataRoot, data_root_error

_MAGIC = 0xED0CDAED
_VERSION = 2
_META = struct.Struct("<IIIIQQQQQQ")
_PAGE = struct.Struct("<QHHI")
_LEAF = struct.Struct("<IIII")
_BRANCH = struct.Struct("<IIQ")
_BUCKET = struct.Struct("<QQ")
_BRANCH_PAGE, _LEAF_PAGE = 0x01, 0x02
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536, 1024, 2048)
_HEAD = 2 * 65536 + 4096
"""Bytes in which both meta pages lie, whatever the size of a page."""

_TRIES = 20
_MAX_SIZE = 256 << 20
"""Largest database in bytes; the records of a thousand snapshots take less than 1 MiB."""

_MAX_DEPTH = 32
"""Deepest nesting of buckets; containerd uses about seven levels."""


def _checksum(data: bytes) -> int:
    """FNV-1a with 64 bits, as stored in the meta page."""
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
    metas = [meta for meta in (first, *(_meta_at(head, size) for size in sizes)) if meta]
    return max(metas) if metas else None


class _Database:
    """A copy of a database. Each page is read at most once, since in an intact one it belongs to one bucket only."""

    def __init__(self, display_path: str, data: bytes, page_size: int) -> None:
        self._display_path = display_path
        self._data = memoryview(data)
        self._page_size = page_size
        self._pages_read: set[int] = set()

    def damaged(self, reason: str) -> LayerError:
        return LayerError(
            f"{self._display_path} is damaged: {reason}", "containerd wrote it: check that containerd starts"
        )

    def records(self, root: int) -> Iterator[_Record]:
        """Yield the records below a root page, sorted by name."""
        todo = [root]
        while todo:
            page = self._page(todo.pop())
            _, flags, count, _ = _PAGE.unpack_from(page)
            if flags & _LEAF_PAGE:
                yield from self.leaf(page)
            elif flags & _BRANCH_PAGE:
                entries = page[_PAGE.size : _PAGE.size + count * _BRANCH.size]
                if len(entries) < count * _BRANCH.size:
                    raise self.damaged("a page has more entries than fit into it")
                todo += [child for _, _, child in _BRANCH.iter_unpack(entries)][::-1]
            else:
                raise self.damaged("a page is of an unknown type")

    def _page(self, number: int) -> memoryview:
        """Return a page together with its overflow pages."""
        offset = number * self._page_size
        if offset + _PAGE.size > len(self._data):
            raise self.damaged("a page lies outside the file")
        stored_number, _, _, overflow = _PAGE.unpack_from(self._data, offset)
        end = offset + (overflow + 1) * self._page_size
        if stored_number != number or end > len(self._data):
            raise self.damaged(f"page {number} has an invalid header")
        pages = range(number, number + overflow + 1)
        if not self._pages_read.isdisjoint(pages):
            raise self.damaged(f"page {number} is used twice")
        self._pages_read.update(pages)
        return self._data[offset:end]

    def leaf(self, page: memoryview) -> Iterator[_Record]:
        """Yield the records of a leaf page; raises LayerError if they overlap or leave the page."""
        count = _PAGE.unpack_from(page)[2]
        remaining_bytes = len(page) - _PAGE.size - count * _LEAF.size
        if remaining_bytes < 0:
            raise self.damaged("a page has more records than fit into it")
        for index in range(count):
            offset = _PAGE.size + index * _LEAF.size
            flags, position, name_size, value_size = _LEAF.unpack_from(page, offset)
            start = offset + position
            end = start + name_size + value_size
            remaining_bytes -= name_size + value_size
            if end > len(page) or remaining_bytes < 0:
                raise self.damaged("a record lies outside its page")
            yield bytes(page[start : start + name_size]), page[start + name_size : end], flags


_Record = tuple[bytes, memoryview, int]
"""Name, value and flags of a record."""


class Bucket:
    """A bucket: maps names to values or to nested buckets, which are read when first used."""

    def __init__(self, database: _Database, root: int, inline: memoryview | None = None, depth: int = 0) -> None:
        self._database = database
        self._root = root
        self._inline = inline
        self._depth = depth

    @cached_property
    def _items(self) -> dict[bytes, bytes | Bucket]:
        if self._depth > _MAX_DEPTH:
            raise self._database.damaged("its buckets are nested too deeply")
        inline = self._inline
        records = self._database.records(self._root) if inline is None else self._database.leaf(inline)
        try:
            return {name: self._nested(value) if flags & 1 else bytes(value) for name, value, flags in records}
        except struct.error as error:
            raise self._database.damaged("a record is cut short") from error

    def _nested(self, value: memoryview) -> Bucket:
        root, _ = _BUCKET.unpack_from(value)
        inline = None if root else value[_BUCKET.size :]
        return Bucket(self._database, root, inline, self._depth + 1)

    def items(self) -> ItemsView[bytes, bytes | Bucket]:
        """Return names and values, sorted by name; raises LayerError for a damaged page."""
        return self._items.items()

    def bucket(self, *names: bytes) -> Bucket | None:
        """Return a nested bucket, None if it does not exist."""
        bucket: Bucket = self
        for name in names:
            child = bucket._items.get(name)
            if not isinstance(child, Bucket):
                return None
            bucket = child
        return bucket

    def value(self, name: bytes) -> bytes:
        """Return a value, empty if it does not exist."""
        value = self._items.get(name)
        return value if isinstance(value, bytes) else b""


def read_bolt(root: DataRoot, name: str) -> Bucket:
    """Read a consistent state of a database that containerd may be writing to; raises LayerError, NotReachable."""
    display_path = root.display_path(name)
    for _ in range(_TRIES):
        try:
            with root.open_file(name) as file:
                before = _newest_meta(os.pread(file.fileno(), _HEAD, 0))
                data = _read_all(file.fileno(), display_path) if before else b""
                after = _newest_meta(os.pread(file.fileno(), _HEAD, 0))
        except OSError as error:
            raise data_root_error(display_path, error) from error
        if before is None:
            raise LayerError(
                f"{display_path} is damaged: it has no valid first page",
                "containerd wrote it: check that containerd starts",
            )
        if before == after:
            _, page, page_size = before
            return Bucket(_Database(display_path, data, page_size), page)
    raise LayerError(f"{display_path} keeps changing while it is read", "try again")


DatabaseVersion = tuple[int, int, int, int, tuple[int, int, int] | None]
"""What tells that a database was written to: device, inode, size, time, and its newest meta page."""


def version_of(root: DataRoot, name: str) -> DatabaseVersion:
    """Return the stamp of a database; raises LayerError, NotReachable."""
    try:
        with root.open_file(name) as file:
            status = os.fstat(file.fileno())
            newest = _newest_meta(os.pread(file.fileno(), _HEAD, 0))
    except OSError as error:
        raise data_root_error(root.display_path(name), error) from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, newest


def _read_all(fd: int, display_path: str) -> bytes:
    size = os.fstat(fd).st_size
    if size > _MAX_SIZE:
        raise LayerError(f"{display_path} is too large for a containerd database", "check that this is a data-root")
    chunks: list[bytes] = []
    total = 0
    while total < size and (chunk := os.pread(fd, 1 << 20, total)):
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks)


def uvarint(data: bytes) -> int:
    """Decode a number in Go's variable-length encoding."""
    value = shift = 0
    for byte in data[:10]:
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    return value
