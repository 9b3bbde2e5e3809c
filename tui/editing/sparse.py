"""Copying bytes between files with their holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_CHUNK = 1 << 20


def copy_data(source: int, start: int, size: int, sink: int, offset: int) -> Iterator[int]:
    """Copy ``size`` bytes from ``start`` of one file to ``offset`` of another, leaving out holes.

    Yields the bytes copied with each step, so that the caller may count or stop. Raises OSError.
    """
    place, end = start, start + size
    while place < end:
        place, stop = _data_from(source, place, end)
        while place < stop:
            chunk = os.pread(source, min(_CHUNK, stop - place), place)
            if not chunk:  # it is shorter than it was
                return
            view, to = memoryview(chunk), offset + place - start
            while view:
                written = os.pwrite(sink, view, to)
                view, to = view[written:], to + written
            place += len(chunk)
            yield len(chunk)


def chunks_of(fd: int) -> Iterator[bytes]:
    """Yield an open file's bytes from its beginning, a part at a time."""
    place = 0
    while chunk := os.pread(fd, _CHUNK, place):
        yield chunk
        place += len(chunk)


def _data_from(fd: int, place: int, end: int) -> tuple[int, int]:
    """Return the next stretch of data at or after a place; an empty one at the end for a hole up to there."""
    try:
        begin = os.lseek(fd, place, os.SEEK_DATA)
        return min(begin, end), min(os.lseek(fd, begin, os.SEEK_HOLE), end)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end, end
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system without holes
            return place, end
        raise
