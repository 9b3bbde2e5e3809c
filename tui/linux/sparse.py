"""Copy bytes between files and keep their holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tui.core import progress
from tui.core.errors import ChangedMeanwhile
from tui.core.text import printable
from tui.linux.syscalls import punch_hole

_CHUNK = 1 << 20
_BLOCK = 4096
_ZEROS = bytes(_CHUNK)

Content = bytes | memoryview
"""Bytes in memory, or mapped from a file."""


class Extent(NamedTuple):
    """A stretch of a file: start, size, and its bytes, or None for zeros."""

    start: int
    size: int
    data: memoryview | None


def copy_data(source: int, start: int, size: int, sink: int, offset: int, path: bytes) -> Iterator[int]:
    """Copy ``size`` bytes from ``start`` of one file to ``offset`` of another, leaving holes as holes.

    ``path`` names the source in errors. Yields the number of bytes copied at each step, so that the caller may count or
    stop. Raises OSError, and ChangedMeanwhile if the file ends early: missing bytes are never taken for zeros.
    """
    position, end = start, start + size
    if 0 < size <= _BLOCK:  # a single block: looking for holes would cost more than the copy
        chunk = os.pread(source, size, start)
        if len(chunk) < size:
            raise _became_shorter(path)
        if chunk.count(0) < size:
            _write_at(sink, memoryview(chunk), offset)
        progress.copied(size)
        yield size
        return
    while position < end:
        position, stop = _next_data(source, position, end)
        while position < stop:
            chunk = os.pread(source, min(_CHUNK, stop - position), position)
            if not chunk:
                raise _became_shorter(path)
            _write_at(sink, memoryview(chunk), offset + position - start)
            position += len(chunk)
            progress.copied(len(chunk))
            yield len(chunk)
    if os.fstat(source).st_size < end:  # a truncated file looks as if it had a hole at its end
        raise _became_shorter(path)


def _became_shorter(path: bytes) -> ChangedMeanwhile:
    return ChangedMeanwhile(f"{printable(path)} became shorter while it was being copied", "check it, then try again")


def chunks_of(fd: int) -> Iterator[bytes]:
    """Yield an open file's bytes from its beginning, one chunk at a time."""
    position = 0
    while chunk := os.pread(fd, _CHUNK, position):
        yield chunk
        position += len(chunk)


def extents_of(chunks: Iterable[Content]) -> Iterator[Extent]:
    """Yield the stretches of a stream of chunks; stretches of zeros are holes."""
    position = 0
    for chunk in chunks:
        begin, size = 0, len(chunk)
        while begin < size:
            empty, end = _is_empty(chunk, begin), begin + _BLOCK
            while end < size and _is_empty(chunk, end) == empty:
                end += _BLOCK
            end = min(end, size)
            yield Extent(position + begin, end - begin, None if empty else memoryview(chunk)[begin:end])
            begin = end
        position += size


def _is_empty(chunk: Content, position: int) -> bool:
    block = chunk[position : position + _BLOCK]
    return block == _ZEROS[: len(block)]


def reserve(fd: int, extents: Iterable[Extent]) -> None:
    """Reserve the disk space that the stretches need, or release what was reserved and raise OSError."""
    size = os.fstat(fd).st_size
    holes = list(_holes_of(fd, size))
    try:
        for extent in extents:
            if extent.data is not None:
                os.posix_fallocate(fd, extent.start, extent.size)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            return
        os.ftruncate(fd, size)
        with suppress(OSError):  # not supported by every file system
            for start, end in holes:
                punch_hole(fd, start, end - start)
        raise


def write_extents(fd: int, extents: Iterable[Extent]) -> int:
    """Write stretches to a file, leaving holes for zeros, and return the new size; raises OSError."""
    total = 0
    for extent in extents:
        total = extent.start + extent.size
        if extent.data is not None:
            _write_at(fd, extent.data, extent.start)
            continue
        position, size = extent.start, min(total, os.fstat(fd).st_size)
        while position < size:
            position, stop = _next_data(fd, position, size)
            while position < stop:
                position += os.pwrite(fd, _ZEROS[: stop - position], position)
    os.ftruncate(fd, total)
    return total


def _write_at(fd: int, view: memoryview, position: int) -> None:
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written


def _holes_of(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the holes in a file."""
    position = 0
    while position < size:
        begin, stop = _next_data(fd, position, size)
        if begin > position:
            yield position, begin
        position = stop


def _next_data(fd: int, position: int, end: int) -> tuple[int, int]:
    """Return (start, end) of the next data from ``position`` on; (``end``, ``end``) if only a hole follows."""
    try:
        begin = os.lseek(fd, position, os.SEEK_DATA)
        return min(begin, end), min(os.lseek(fd, begin, os.SEEK_HOLE), end)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end, end
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # the file system has no holes
            return position, end
        raise
