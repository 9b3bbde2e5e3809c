"""What /proc says about a process. The caller decides whether it proves anything."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc/PID/status shows it: its parent, and its real, effective, saved and file system user ids."""

    pid: int
    parent: int
    users: tuple[int, ...]

    def runs_as(self, user: int) -> bool:
        """Return whether all its user ids are ``user``. A set-user-id program still has its caller's real id."""
        return set(self.users) == {user}


def read_process(pid: int) -> Process | None:
    """Read a process' status from /proc, None if it does not exist."""
    fields: dict[str, list[str]] = {}
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            for line in status:
                key, _, content = line.partition(":")
                fields.setdefault(key, content.split())
        return Process(pid, int(fields["PPid"][0]), tuple(map(int, fields["Uid"])))
    except (OSError, ValueError, LookupError):
        return None


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials with which a process opens files: host ids, and capabilities as bits."""

    user: int
    groups: frozenset[int]
    capabilities: int
    """Its effective capabilities, which count for files of its user namespace."""
    bounding: int
    """The capabilities that it and its children can ever have."""


def credentials_of(pid: int) -> Credentials:
    """Read the credentials of a process (proc_pid_status(5)); raises OSError, also if it does not exist."""
    fields: dict[str, list[str]] = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        for line in status:
            key, _, content = line.partition(":")
            fields.setdefault(key, content.split())
    try:
        groups = frozenset(map(int, (fields["Gid"][3], *fields["Groups"])))
        capabilities, bounding = (int(fields[name][0], 16) for name in ("CapPrm", "CapBnd"))
        return Credentials(int(fields["Uid"][3]), groups, capabilities, bounding)
    except (ValueError, LookupError) as error:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from error


def shares_namespace(pid: int, kind: str) -> bool:
    """Return whether a process shares a namespace with this one; ``kind`` as in /proc/PID/ns."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/{kind}"), os.stat(f"/proc/self/ns/{kind}"))
    except OSError:
        return False


def is_hosts_root(candidate: Process | None) -> bool:
    """Return whether a process runs as the host's root, not just as root of a user namespace."""
    return candidate is not None and candidate.runs_as(0) and shares_namespace(candidate.pid, "user")


def program_of(pid: int) -> str:
    """Return the name of the program that a process runs, even if its file was replaced; "" if unknown."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except OSError:
        return ""


def is_in_cgroup(pid: int, container_id: str) -> bool:
    """Return whether the name of a process' cgroup contains a container's id."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            return container_id in groups.read(65536)
    except OSError:
        return False
