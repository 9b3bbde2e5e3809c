"""What a file was when it was read, to notice that somebody else changed it since."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Size, time, mode, owner and SHA-256 of a file.

    ctime is left out, for copy-up changes it; so are device and inode, which differ between the layers' directories
    and a mount of them. The contents' hash says more than they do.
    """

    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    sha256: str


def version_of(fd: int) -> FileVersion:
    """Read an open file from its beginning and return its stamp."""
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
