"""A checksum of directories: names, types, modes, owners and contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path


def tree_checksum(directories: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for directory in directories:
        for folder, names, files in os.walk(os.fsencode(directory)):
            names.sort()
            for name in sorted(names + files):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                digest.update(repr((path, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)).encode())
                if stat.S_ISREG(status.st_mode):
                    with open(path, "rb") as file:
                        digest.update(file.read())
                elif stat.S_ISLNK(status.st_mode):
                    digest.update(os.readlink(path))
    return digest.hexdigest()
