"""For how long a process has been waiting in one system call: what a file system that does not answer looks like."""

from __future__ import annotations

import time
from collections.abc import Callable


class KernelWait:
    """The present wait of a process' main thread, as seen by looks at it."""

    def __init__(self, process: int, counts_too: Callable[[], bool] = bool) -> None:
        """``counts_too`` says whether a wait is meant that signals could end; else only one that they cannot is."""
        self._process = process
        self._counts_too = counts_too
        self._switches = b""
        self._since = 0.0

    def look(self) -> float:
        """Return for how many seconds each look has seen the same wait, 0.0 while there is none."""
        state, switches = self._status()
        if state != b"D" and not self._counts_too():
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
