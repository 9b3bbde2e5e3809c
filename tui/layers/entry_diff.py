"""Whether two entries of layers differ, by the rules of ``docker diff`` (moby pkg/archive ChangesDirs), and how."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum

from tui.core.records import Change, Entry, Mount
from tui.linux.rooted_paths import kind_of, open_child, reopen_regular

_MAX_COMPARED = 8 << 20
"""Largest file in bytes whose contents are compared. A larger one of the same size but another time counts as
modified."""

_CHUNK = 1 << 18


class Difference(Enum):
    """How a file differs from the one it hides."""

    NONE = 0
    METADATA = 1
    CONTENT = 2


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """An entry in a layer: index of the layer, descriptor of its directory there, name and status."""

    layer: int
    dir_fd: int
    name: bytes
    status: os.stat_result


def entry_of(
    path: bytes,
    item: LayerEntry,
    cover: Mount | None,
    *,
    change: Change | None = None,
    opaque: bool = False,
    metadata_only: bool = False,
) -> Entry:
    """Return the Entry for an item."""
    status = item.status
    is_link = stat.S_ISLNK(status.st_mode)
    return Entry(
        path=path,
        kind=kind_of(status.st_mode),
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        layer=item.layer,
        nlink=status.st_nlink,
        change=change,
        opaque=opaque,
        metadata_only=metadata_only,
        target=os.fsencode(os.readlink(item.name, dir_fd=item.dir_fd)) if is_link else b"",
        covered_by=cover,
    )


def capability_of(item: LayerEntry) -> bytes:
    """Return the file capabilities of an entry, empty for none."""
    try:
        fd = open_child(item.dir_fd, item.name, os.O_PATH)
    except OSError:
        return b""
    try:
        return os.getxattr(f"/proc/self/fd/{fd}", "security.capability")
    except OSError:
        return b""
    finally:
        os.close(fd)


def _same_bytes(upper: LayerEntry, lower: LayerEntry) -> bool:
    fds: list[int] = []
    try:
        for item in (upper, lower):
            path_fd = open_child(item.dir_fd, item.name, os.O_PATH)
            try:
                fds.append(reopen_regular(path_fd, item.name))
            finally:
                os.close(path_fd)
        while True:
            upper_chunk, lower_chunk = (os.read(fd, _CHUNK) for fd in fds)
            if upper_chunk != lower_chunk:
                return False
            if not upper_chunk:
                return True
    finally:
        for fd in fds:
            os.close(fd)


def _same_content(upper: LayerEntry, lower: LayerEntry, *, trust_times: bool) -> bool:
    upper_status, lower_status = upper.status, lower.status
    if upper_status.st_size != lower_status.st_size or upper_status.st_rdev != lower_status.st_rdev:
        return False
    if stat.S_ISLNK(upper_status.st_mode):
        return os.readlink(upper.name, dir_fd=upper.dir_fd) == os.readlink(lower.name, dir_fd=lower.dir_fd)
    if not stat.S_ISREG(upper_status.st_mode) or upper_status.st_size == 0:
        return True
    if upper_status.st_size > _MAX_COMPARED or (trust_times and upper_status.st_mtime_ns == lower_status.st_mtime_ns):
        return upper_status.st_mtime_ns == lower_status.st_mtime_ns
    return _same_bytes(upper, lower)


def difference(upper: LayerEntry, lower: LayerEntry, *, trust_times: bool = False) -> Difference:
    """Compare an entry of the writable layer with the image's entry of the same name.

    Directories differ by mode and owner only. Files differ by mode, owner, device number, size, time or capabilities,
    as in Docker; if all of these agree, the contents decide, which Docker does not check. ``trust_times`` skips the
    contents: in full trees nearly all files agree, and comparing them would mean reading the whole image.
    """
    upper_status, lower_status = upper.status, lower.status
    if stat.S_IFMT(upper_status.st_mode) != stat.S_IFMT(lower_status.st_mode):
        return Difference.CONTENT
    owner_differs = (upper_status.st_mode, upper_status.st_uid, upper_status.st_gid) != (
        lower_status.st_mode,
        lower_status.st_uid,
        lower_status.st_gid,
    )
    if stat.S_ISDIR(upper_status.st_mode):
        return Difference.METADATA if owner_differs else Difference.NONE
    if not _same_content(upper, lower, trust_times=trust_times):
        return Difference.CONTENT
    times_differ = upper_status.st_mtime_ns != lower_status.st_mtime_ns
    capabilities_differ = stat.S_ISREG(upper_status.st_mode) and capability_of(upper) != capability_of(lower)
    return Difference.METADATA if owner_differs or times_differ or capabilities_differ else Difference.NONE
