"""Waiting for descriptors."""

from __future__ import annotations

import fcntl
import os
import resource

import pytest

from tui.linux.descriptors import is_readable


@pytest.mark.parametrize("number", [3, 1_024, 2_000])
def test_any_descriptor_can_be_waited_for(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_010), hard))
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, number)
    try:
        assert high >= number
        assert not is_readable(high, 0.01)
        os.write(writer, b"x")
        assert is_readable(high, 10)
    finally:
        for fd in (reader, writer, high):
            os.close(fd)


def test_a_hang_up_wakes_the_reader() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    try:
        assert is_readable(reader)
    finally:
        os.close(reader)
