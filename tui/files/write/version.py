"""The version of a file, to notice that somebody changed it since it was read."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Size, time, mode, owner and SHA-256 of a file.

    Not ctime, which copy-up changes, nor device and inode, which differ between a layer's directory and a mount of it.
    """

    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    sha256: str


def version_of(fd: int) -> FileVersion:
    """Read an open file from its beginning and return its version."""
    status = os.fstat(fd)
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(fd, _CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return FileVersion(
        size=offset,
        mtime_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        sha256=digest.hexdigest(),
    )
