"""Standard input as bytes that can be read repeatedly, on disk if there are many."""

from __future__ import annotations

import errno
import io
import mmap
import os
import stat
import tempfile
from typing import BinaryIO

from tui.core.errors import EditRefused
from tui.core.state import state_dir
from tui.core.text import human_size
from tui.linux.sparse import Content

LIMIT = 1 << 30
"""Bytes accepted from standard input."""

_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_HINT = "nothing was changed; use docker cp"


def read_all(source: BinaryIO) -> Content:
    """Read a stream to its end; raises EditRefused for more than the limit, as soon as that is known.

    What exceeds a few MiB is mapped from a file without a name, which vanishes with this process.
    """
    refuse_large(source)
    contents = bytearray()
    while chunk := source.read(_CHUNK):
        contents += chunk
        if len(contents) > _IN_MEMORY:
            return _on_disk(source, contents)
    return bytes(contents)


def refuse_large(source: BinaryIO) -> None:
    """Raise EditRefused for a regular file that is too large, before reading it."""
    try:
        fd = source.fileno()
    except io.UnsupportedOperation:  # no descriptor, so the size is known only at the end
        return
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        size = status.st_size - os.lseek(fd, 0, os.SEEK_CUR)
        if size > LIMIT:
            message = f"standard input has {human_size(size)}, more than the limit of {human_size(LIMIT)}"
            raise EditRefused(message, _HINT)


def _on_disk(source: BinaryIO, begin: bytearray) -> Content:
    directory = state_dir("incoming")
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            size = _write_sparse(file.fileno(), memoryview(begin), 0)
            while chunk := source.read(_CHUNK):
                size = _write_sparse(file.fileno(), memoryview(chunk), size)
                if size > LIMIT:
                    raise EditRefused(f"standard input has more than the limit of {human_size(LIMIT)}", _HINT)
            os.ftruncate(file.fileno(), size)
            return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        message = f"{directory}: {(error.strerror or '').lower()} while storing standard input"
        raise EditRefused(message, "nothing was changed; free some space") from error


def _write_sparse(fd: int, view: memoryview, offset: int) -> int:
    """Write bytes at a position of a file, leaving holes for chunks of zeros; return the position after them."""
    while view:
        part = view[:_CHUNK]
        done = len(part) if part == _ZEROS[: len(part)] else os.pwrite(fd, part, offset)
        view, offset = view[done:], offset + done
    return offset
