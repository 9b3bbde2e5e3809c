"""Says whether a process waits in the kernel for a file system that hangs, without attaching to it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tui.linux.supervise import descendants


def is_waiting(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a descendant of a process waits in the kernel, and goes on, for the file system that hangs."""
    assert process.poll() is None
    return all(_waits(process.pid) for _ in range(3))


def _waits(pid: int) -> bool:
    time.sleep(0.1)
    return any(place in _where_of(str(one)) for one in descendants(pid) for place in ("fuse", "request_wait_answer"))


def _where_of(pid: str) -> str:
    """Return the kernel's function in which a process waits, nothing for one that has ended."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""
