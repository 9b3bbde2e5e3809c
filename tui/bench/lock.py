"""One benchmark at a time per host: two would measure each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tui.core.errors import BenchError
from tui.core.text import printable


@contextmanager
def benchmark_lock(directory: Path) -> Iterator[None]:
    """Hold the host's benchmark lock; raises BenchError naming the holder. It is released if its holder is killed."""
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = printable(os.read(fd, 200))
            raise BenchError(
                f"another benchmark runs on this host: {holder}", "wait for it to finish, or abort it"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"dtui {os.getpid()} since {datetime.now(UTC):%H:%M:%S} UTC".encode(), 0)
        yield
    finally:
        os.close(fd)
