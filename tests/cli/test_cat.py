"""What ``dtui cat`` gives away: every byte into a pipe, text that is safe on a terminal, and never much memory."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.boxes import Boxes
from tui.cli import cat
from tui.core.text import printable

LITTLE = 1 << 30
"""Address space of a process that must not hold a file: libraries and the stacks of threads are most of it."""


class Reads(io.BytesIO):
    """A file that keeps how much was asked of it at once."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        self.most = max(self.most, size if size >= 0 else sys.maxsize)
        return super().read(size)


def shown(data: bytes) -> str:
    return "".join(cat._printable_lines(io.BytesIO(data)))


@given(
    st.lists(st.sampled_from([b"a", b"\n", "ż".encode(), "😀".encode(), b"\xf0\x9f", b"\xff", b"\x1b"])).map(b"".join)
)
def test_pieces_show_same_text_as_whole_line(data: bytes) -> None:
    lines = [line.rstrip(b"\n") for line in data.splitlines(keepends=True)]
    old, cat._BLOCK = cat._BLOCK, 3
    try:
        assert shown(data) == "".join(printable(line) + "\n" for line in lines)
    finally:
        cat._BLOCK = old


def test_newline_free_file_is_read_in_pieces() -> None:
    file = Reads(b"x" * (1 << 20))
    pieces = list(cat._printable_lines(file))
    assert file.most <= 1 << 16
    assert max(map(len, pieces)) <= 1 << 16
    assert "".join(pieces) == "x" * (1 << 20) + "\n"


@pytest.fixture
def huge(boxes: Boxes) -> tuple[str, ...]:
    boxes("truncate -s 8000000000000 /srv/huge || truncate -s 16000000000 /srv/huge")
    return (
        "/usr/bin/prlimit",
        f"--as={LITTLE}",
        sys.executable,
        "-m",
        "tui",
        "-H",
        boxes.engine.host,
        "cat",
        "web:/srv/huge",
    )


@pytest.mark.engine
@pytest.mark.case(9)
def test_huge_hole_shows_in_little_memory(huge: tuple[str, ...]) -> None:
    mine, theirs = pty.openpty()
    with subprocess.Popen(huge, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        try:
            got = b"".join(os.read(mine, 65536) for _ in range(500))
        finally:
            process.kill()
            os.close(mine)
    assert len(got) > 50_000
    assert set(got) <= set(b"\\x00")


@pytest.mark.engine
def test_early_pipe_close_is_silent(huge: tuple[str, ...], tmp_path: Path) -> None:
    with (
        (tmp_path / "told").open("wb") as output,
        subprocess.Popen(huge, stdout=subprocess.PIPE, stderr=output) as process,
    ):
        assert process.stdout is not None
        head = subprocess.run(["/usr/bin/head", "-c", "5000000"], stdin=process.stdout, capture_output=True, check=True)
        process.stdout.close()
        assert process.wait(60) == 0
    assert head.stdout == b"\0" * 5_000_000
    assert (tmp_path / "told").read_bytes() == b""
