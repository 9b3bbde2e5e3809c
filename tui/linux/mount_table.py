"""What the host's mount table tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A line of the mount table: what is mounted, where, and of which type."""

    source: str
    target: str
    kind: str


def file_system_at(path: str) -> str:
    """Return the type of the file system that a path lies on, by the host's mount table."""
    mount = mount_holding(path)
    return mount.kind if mount else "unknown"


def mount_holding(path: str) -> MountPoint | None:
    """Return the mount that a path without links lies on."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return holding(file, path)


def holding(lines: Iterable[str], path: str) -> MountPoint | None:
    """Return the mount of a table that a path lies on: the deepest, of several at one place the last."""
    best: MountPoint | None = None
    for line in lines:
        source, target, kind = (_unescaped(word) for word in line.split(" ", 3)[:3])
        inside = f"{path}/".startswith(target.rstrip("/") + "/")
        if inside and (best is None or len(target) >= len(best.target)):
            best = MountPoint(source, target, kind)
    return best


def _unescaped(word: str) -> str:
    """Return a word of the table with space, tab, newline and backslash as they are (getmntent(3))."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), word)
