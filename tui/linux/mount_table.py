"""Lookups in the host's mount table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A line of the mount table: what is mounted, where, and the file system type."""

    source: str
    target: str
    kind: str


def file_system_at(path: str) -> str:
    """Return the file system type that a path lies on, "unknown" if the table does not say."""
    mount = mount_containing(path)
    return mount.kind if mount else "unknown"


def mount_containing(path: str) -> MountPoint | None:
    """Return the mount that contains a path. The path must not contain symlinks."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return find_mount(file, path)


def find_mount(lines: Iterable[str], path: str) -> MountPoint | None:
    """Return the mount in a table that contains a path: the deepest one and, of several at one place, the last."""
    deepest: MountPoint | None = None
    for line in lines:
        source, target, kind = (_unescaped(word) for word in line.split(" ", 3)[:3])
        contains_path = f"{path}/".startswith(target.rstrip("/") + "/")
        if contains_path and (deepest is None or len(target) >= len(deepest.target)):
            deepest = MountPoint(source, target, kind)
    return deepest


def _unescaped(word: str) -> str:
    """Decode the octal escapes of space, tab, newline and backslash (getmntent(3))."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), word)
