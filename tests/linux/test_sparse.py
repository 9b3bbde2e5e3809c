"""Writing bytes with holes: what is read back is what was written, and what was empty stays empty."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.files.history import journal
from tui.files.write import atomic
from tui.files.write.atomic import Metadata
from tui.linux import sparse

BLOCK = 4096
PLAIN = Metadata(0o644, os.geteuid(), os.getegid())
block = st.sampled_from([bytes(BLOCK), b"x" * BLOCK, bytes(BLOCK - 1) + b"y", b"z" + bytes(BLOCK - 1)])
contents = st.tuples(st.lists(block, max_size=8), st.sampled_from([b"", b"\0", b"end", bytes(100)])).map(
    lambda parts: b"".join(parts[0]) + parts[1]
)


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    """A file with holes where its bytes are zeros."""
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        sparse.write_extents(file.fileno(), sparse.extents_of((data,)))
        yield file.fileno()


def read(fd: int) -> bytes:
    return b"".join(sparse.chunks_of(fd))


def blocks_of(data: bytes) -> int:
    """Return how many blocks hold anything but zeros."""
    return sum(any(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))


def allocated(fd: int) -> int:
    """Return how many blocks a file takes; one more may be ext4's list of where they are."""
    return os.fstat(fd).st_blocks * 512 // BLOCK


@given(contents, contents)
@settings(deadline=None)
def test_overwrite_keeps_bytes_and_holes(old: bytes, new: bytes) -> None:
    with file_of(old) as fd:
        assert read(fd) == old
        assert allocated(fd) <= blocks_of(old) + 1
        assert atomic.overwrite(fd, lambda: (new,), PLAIN) == len(new)
        assert read(fd) == new
        assert allocated(fd) <= blocks_of(old) + blocks_of(new) + 1


@given(contents, contents, st.integers(0, 6))
@settings(deadline=None)
def test_journal_detects_partial_overwrite(old: bytes, new: bytes, turn: int) -> None:
    with tempfile.TemporaryDirectory() as state, pytest.MonkeyPatch.context() as patch, file_of(old) as fd:
        patch.setenv("DTUI_STATE", state)
        record = journal.begin_in_place("c", b"/f", fd, new, hashlib.sha256(old).hexdigest(), PLAIN)
        assert record.new.read_bytes() == new
        real, calls = os.pwrite, iter(range(100))

        def pwrite(out: int, data: bytes, place: int) -> int:
            if next(calls) == turn:
                raise KeyboardInterrupt
            return real(out, data, place)

        patch.setattr(os, "pwrite", pwrite)
        try:
            atomic.overwrite(fd, lambda: (new,), PLAIN)
        except KeyboardInterrupt:
            assert journal.is_half_done(record, fd)
        else:
            assert read(fd) == new


def test_failed_allocation_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = b"o" * BLOCK + bytes(7 * BLOCK) + b"e", b"n" * 4 * BLOCK + bytes(6 * BLOCK) + b"n" * BLOCK
    real, calls = os.posix_fallocate, iter(range(100))

    def fallocate(fd: int, start: int, size: int) -> None:
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, "full")
        real(fd, start, size)

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    with file_of(old) as fd:
        before = allocated(fd)
        with pytest.raises(OSError, match="full"):
            atomic.overwrite(fd, lambda: (new,), PLAIN)
        assert read(fd) == old
        assert allocated(fd) == before


def test_sparse_file_takes_few_blocks(tmp_path: Path) -> None:
    data = bytearray(1 << 28)
    data[1 << 20] = data[-1] = 1
    with (tmp_path / "f").open("w+b") as file:
        assert sparse.write_extents(file.fileno(), sparse.extents_of((bytes(data),))) == len(data)
        assert allocated(file.fileno()) <= 4
        assert (tmp_path / "f").read_bytes() == data
