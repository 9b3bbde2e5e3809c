"""Marks that tell a process from a later one with the same pid, to find out what a killed process left behind."""

from __future__ import annotations

import os
import secrets
import time
from functools import cache

from tui.linux.descriptors import is_readable


@cache
def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _start_time(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot (proc(5), stat field 22), or "" if it has ended.

    A zombie counts as ended: its parent may never wait for it, as in a container without an init.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
            return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def owner_mark() -> str:
    """Return a mark of this process: boot id, pid and start time."""
    pid = os.getpid()
    return f"{_boot_id()}:{pid}:{_start_time(pid)}"


def owner_lives(mark: str) -> bool:
    """Return whether the process that made a mark still runs."""
    boot, _, pid_and_start = mark.partition(":")
    pid, _, started = pid_and_start.partition(":")
    return boot == _boot_id() and pid.isdigit() and bool(started) and _start_time(int(pid)) == started


def owned_name() -> str:
    """Return a new directory name that says which process made it.

    Eight random digits, then the mark with dots for its colons, because colons separate paths in mount options.
    """
    return f"{secrets.token_hex(4)}.{owner_mark().replace(':', '.')}"


def named_owner_lives(name: str) -> bool:
    """Return whether the process that made a name with ``owned_name`` still runs."""
    return owner_lives(name.partition(".")[2].replace(".", ":"))


def uptime() -> float:
    """Return the seconds since boot, including sleep: a clock that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def has_been_gone_for(mark: str, since: float, seconds: float) -> bool:
    """Return whether the process that made a mark has been gone for more than ``seconds``.

    ``since`` is the uptime at which the mark was made. If that was in an earlier boot, only the time since this boot is
    certain.
    """
    is_same_boot = mark.partition(":")[0] == _boot_id()
    return not owner_lives(mark) and uptime() - (since if is_same_boot else 0) > seconds


def has_ended(pidfd: int) -> bool:
    """Return whether the process of a pidfd has ended."""
    return is_readable(pidfd)
