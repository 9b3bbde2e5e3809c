"""What an entry is besides its bytes: read, and given. All metadata of entries is set here.

Order and care measured on ext4 below overlay, kernel 6.18: chown drops setuid bits and capabilities, writing drops
capabilities, so the owner comes first, attributes next, then mode and time, the capability last: on FUSE a change of
the mode is what writes the bytes, which takes it away.
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
"""Attributes that a security module gives to each entry that is made; without that module they mean nothing."""

AS_MADE = -1
"""An owner that is left as it is (chown(2))."""

Target = int | str
"""An open descriptor, or a path that follows no link, such as that of an O_PATH descriptor below /proc."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Permission bits, owner, attributes with ACL and capabilities, and time of an entry.

    Without a ``mode`` it is of a link, which has none that can be set; without a time it is that of the change itself.
    An owner of :data:`AS_MADE` is the one that the entry got when it was made.
    """

    mode: int | None
    uid: int
    gid: int
    xattrs: tuple[tuple[str, bytes], ...] = ()
    mtime_ns: int | None = None


def metadata_of(fd: int, *, raw: bool = False) -> Metadata:
    """Read the metadata of an open file; below the ``raw`` directory of a layer overlay's marks are not the file's."""
    status = os.fstat(fd)
    names = [name for name in attribute_names(fd) if not (raw and name.startswith(MARKS))]
    pairs = tuple((name, os.getxattr(fd, name)) for name in names)
    return Metadata(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, pairs)


def metadata_in(node: EntrySnapshot) -> Metadata:
    """Return the metadata that a snapshot tells of."""
    mode = None if node.kind is EntryKind.SYMLINK else node.mode
    return Metadata(mode, node.uid, node.gid, node.xattrs, node.mtime_ns)


def attribute_names(target: Target) -> list[str]:
    """Return the names of an entry's attributes, none on a file system without any."""
    try:
        return os.listxattr(target)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []


def path_of(fd: int) -> str:
    """Return a path that leads to just what an O_PATH descriptor holds, be it a link."""
    return f"/proc/self/fd/{fd}"


def apply_metadata(target: Target, metadata: Metadata, *, exact: bool = True, raw: bool = False) -> None:
    """Give an entry its metadata; raises OSError.

    ``exact`` takes away the attributes that it has besides, such as an ACL that a directory gives to what is made in
    it. In the ``raw`` directory of a layer overlay's marks stay.
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
    """Give an entry, whose ``status`` was just read, another owner and mode, and touch nothing else; raises OSError."""
    if (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
        os.chown(target, wanted.uid, wanted.gid)  # takes capabilities and setuid bits away
        capability = dict(wanted.xattrs).get(CAPABILITY)
        if capability is not None:
            os.setxattr(target, CAPABILITY, capability)
    os.chmod(target, wanted.mode)


def set_times(fd: int, status: os.stat_result) -> None:
    """Give a directory the times back that it had; raises OSError."""
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def set_attribute(fd: int, name: str, value: bytes) -> None:
    """Set one attribute, such as a mark of overlay; raises OSError."""
    os.setxattr(fd, name, value)


def _drop_others(target: Target, wanted: dict[str, bytes], *, raw: bool) -> None:
    names: list[str] = []
    with suppress(OSError):  # a file system without any
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
