"""Files as an Engine sends them through its archive API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REMOTE_LIMIT = 64 << 20
"""Largest file in bytes that is read or written through an Engine, because it is held in memory."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a path resolves to: its kind as a word, size in bytes, permission bits."""

    path: bytes
    kind: str
    size: int
    mode: int
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A regular file as the Engine sent it: its bytes, and everything that its tar header says."""

    path: bytes
    data: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Extended attributes by their names in a pax header."""
