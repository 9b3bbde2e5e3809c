"""Files as an Engine sends them through its archive API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REMOTE_LIMIT = 64 << 20
"""Bytes of a file that are read or written through an Engine."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a path means after its links: kind in words, size in bytes, permission bits."""

    path: bytes
    kind: str
    size: int
    mode: int
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A regular file as the Engine sent it: bytes, and all that its tar header tells."""

    path: bytes
    data: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Extended attributes, by their names in a pax header."""
