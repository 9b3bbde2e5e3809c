"""How long a process has been waiting in one system call, which shows that a file system does not answer."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

_SYNC_CALLS = {
    "x86_64": (b"74", b"75", b"277", b"306"),
    "aarch64": (b"82", b"83", b"84", b"267"),
}
"""Numbers of fsync, fdatasync, sync_file_range and syncfs (linux/unistd.h)."""


def is_syncing(task: int) -> bool:
    """Say whether a thread of this process waits for a disk to write what it was given."""
    try:
        with open(f"/proc/self/task/{task}/syscall", "rb") as file:
            number = file.read().split(maxsplit=1)[0]
    except (OSError, IndexError):
        return False
    return number in _SYNC_CALLS.get(platform.machine(), ())


class KernelWait:
    """The current wait of a process' main thread, observed by polling."""

    def __init__(self, process: int, counts_interruptible: Callable[[], bool] = bool) -> None:
        """``counts_interruptible`` returns whether to count waits that a signal could end, too."""
        self._process = process
        self._counts_interruptible = counts_interruptible
        self._switches = b""
        self._since = 0.0

    def seconds(self) -> float:
        """Return for how many seconds each call has seen the same wait, 0.0 while there is none."""
        state, switches = self._status()
        if state != b"D" and not self._counts_interruptible():
            switches = b""
        if (
            not switches or switches != self._switches
        ):  # a thread that ran in between, however shortly, has been switched
            self._switches, self._since = switches, time.monotonic()
        return time.monotonic() - self._since

    def _status(self) -> tuple[bytes, bytes]:
        try:
            with open(f"/proc/{self._process}/task/{self._process}/status", "rb") as file:
                lines = dict(line.partition(b":")[::2] for line in file)
        except (FileNotFoundError, ProcessLookupError):
            return b"", b""
        switches = (lines.get(b"voluntary_ctxt_switches", b""), lines.get(b"nonvoluntary_ctxt_switches", b""))
        return lines.get(b"State", b"").strip()[:1], b" ".join(switches)
