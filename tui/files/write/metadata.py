"""Read and set the metadata of entries: the only place that sets them.

The order matters (measured on ext4 below overlay, kernel 6.18): chown drops setuid bits and capabilities, and writing
drops capabilities. So the owner is set first, then attributes, mode and time. The capability is last: on FUSE it is a
change of the mode that flushes written bytes, which drops it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from tui.core.records import EntryKind
from tui.files.tree.snapshots import CAPABILITY, MARKS, EntrySnapshot

_LABELS = ("security.selinux", "security.SMACK64", "security.ima", "security.evm")
"""Attributes that a security module sets on every new entry; meaningless without that module."""

AS_MADE = -1
"""Leaves an owner unchanged (chown(2))."""

Target = int | str
"""An open descriptor, or a path that follows no link, such as that of an O_PATH descriptor in /proc."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Mode, owner, attributes (with ACL and capabilities) and time of an entry.

    ``mode`` is None for a link, whose mode cannot be set. Without a time, that of the change itself stays. An owner of
    :data:`AS_MADE` stays as it was created.
    """

    mode: int | None
    uid: int
    gid: int
    xattrs: tuple[tuple[str, bytes], ...] = ()
    mtime_ns: int | None = None


def metadata_of(fd: int, *, raw: bool = False) -> Metadata:
    """Read the metadata of an open file, without overlay's marks if it is in a ``raw`` layer directory."""
    status = os.fstat(fd)
    names = [name for name in attribute_names(fd) if not (raw and name.startswith(MARKS))]
    pairs = tuple((name, os.getxattr(fd, name)) for name in names)
    return Metadata(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, pairs)


def metadata_in(node: EntrySnapshot) -> Metadata:
    """Return the metadata in a snapshot."""
    mode = None if node.kind is EntryKind.SYMLINK else node.mode
    return Metadata(mode, node.uid, node.gid, node.xattrs, node.mtime_ns)


def attribute_names(target: Target) -> list[str]:
    """Return the names of an entry's attributes; none if the file system has no support."""
    try:
        return os.listxattr(target)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []


def path_of(fd: int) -> str:
    """Return a path that stands for exactly what an O_PATH descriptor holds, even a link."""
    return f"/proc/self/fd/{fd}"


def apply_metadata(target: Target, metadata: Metadata, *, exact: bool = True, raw: bool = False) -> None:
    """Set an entry's metadata; raises OSError.

    ``exact`` removes all other attributes, such as an ACL inherited from the directory. In a ``raw`` layer directory
    overlay's marks stay.
    """
    status = os.stat(target)
    if metadata.uid not in (AS_MADE, status.st_uid) or metadata.gid not in (AS_MADE, status.st_gid):
        os.chown(target, metadata.uid, metadata.gid)
    wanted = dict(metadata.xattrs)
    if exact:
        _drop_others(target, wanted, raw=raw)
    for name, value in wanted.items():
        if name != CAPABILITY:
            _set_attribute(target, name, value)
    if metadata.mode is not None:
        os.chmod(target, metadata.mode)
    if metadata.mtime_ns is not None:
        os.utime(target, ns=(metadata.mtime_ns, metadata.mtime_ns))
    if CAPABILITY in wanted:
        os.setxattr(target, CAPABILITY, wanted[CAPABILITY])


def change_owner_and_mode(target: Target, status: os.stat_result, wanted: EntrySnapshot) -> None:
    """Set only owner and mode of an entry whose ``status`` was just read; raises OSError."""
    if (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
        os.chown(target, wanted.uid, wanted.gid)  # drops capabilities and setuid bits
        capability = dict(wanted.xattrs).get(CAPABILITY)
        if capability is not None:
            os.setxattr(target, CAPABILITY, capability)
    os.chmod(target, wanted.mode)


def set_times(fd: int, status: os.stat_result) -> None:
    """Restore a directory's times; raises OSError."""
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def set_attribute(fd: int, name: str, value: bytes) -> None:
    """Set one attribute, such as an overlay mark; raises OSError."""
    os.setxattr(fd, name, value)


def _drop_others(target: Target, wanted: dict[str, bytes], *, raw: bool) -> None:
    names: list[str] = []
    with suppress(OSError):  # a file system without attributes
        names = os.listxattr(target)
    for name in names:
        if name not in wanted and name not in _LABELS and not (raw and name.startswith(MARKS)):
            os.removexattr(target, name)


def _set_attribute(target: Target, name: str, value: bytes) -> None:
    try:
        os.setxattr(target, name, value)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or name not in _LABELS:
            raise
