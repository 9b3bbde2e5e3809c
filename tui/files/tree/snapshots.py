"""A snapshot of one entry of a container: everything needed to create it again, except its bytes."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tui.core.records import EntryKind
from tui.linux.rooted_paths import kind_of

_TYPES = {
    EntryKind.FIFO: stat.S_IFIFO,
    EntryKind.SOCKET: stat.S_IFSOCK,
    EntryKind.CHARACTER: stat.S_IFCHR,
    EntryKind.BLOCK: stat.S_IFBLK,
}


_NUMBERS = ("mode", "uid", "gid", "mtime_ns", "rdev", "size", "offset", "names")


CAPABILITY = "security.capability"
"""The attribute that writing and changing the owner drop."""

MARKS = ("trusted.overlay.", "user.overlay.")
"""Prefixes of the attributes that overlay uses as marks in a layer."""


class InodeVersion(NamedTuple):
    """The inode of an entry when it was looked at, with size and time to notice later writes."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class EntrySnapshot:
    """An entry at a canonical path; without a ``kind``, nothing is there.

    A file's ``size`` bytes are at ``offset`` of its backup. ``same_as`` is the path of another snapshot of the same
    file, a hard link.
    """

    path: bytes
    kind: EntryKind | None = None
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()
    target: bytes = b""
    rdev: int = 0
    size: int = 0
    offset: int = 0
    same_as: bytes = b""
    has_bytes: bool = False
    """Whether a file's bytes are in the backup; otherwise only its metadata are."""
    inode: tuple[int, int] = (0, 0)
    """Device and inode of a file with hard links; the device of a private mount differs each time."""
    names: int = 0
    """Number of hard links of such a file."""
    image: bool = field(default=False, compare=False)
    """Whether a file's bytes are unchanged in the image, from which undo can read them."""
    inode_version: InodeVersion | None = field(default=None, compare=False)
    """The inode when it was looked at; not stored and not compared."""
    disk: int = field(default=0, compare=False)
    """Bytes that a copy of a file takes, without its holes; not stored."""

    @property
    def type_bits(self) -> int:
        """The type bits for mknod."""
        return _TYPES.get(self.kind, 0) if self.kind else 0


def snapshot_of(fd: int, path: bytes, *, raw: bool = False) -> EntrySnapshot:
    """Return a snapshot of what an O_PATH descriptor refers to, without opening it.

    In a ``raw`` layer directory overlay's marks are left out. Anywhere else the kernel hides the mount's own marks, and
    those that are visible belong to the container, such as those of an engine inside it.
    """
    status = os.fstat(fd)
    kind = kind_of(status.st_mode)
    several = kind is EntryKind.FILE and status.st_nlink > 1
    return EntrySnapshot(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        xattrs=_xattrs(fd, raw=raw),
        target=os.readlink(b"", dir_fd=fd) if kind is EntryKind.SYMLINK else b"",
        rdev=status.st_rdev if kind in (EntryKind.CHARACTER, EntryKind.BLOCK) else 0,
        size=status.st_size if kind is EntryKind.FILE else 0,
        inode=(status.st_dev, status.st_ino) if several else (0, 0),
        names=status.st_nlink if several else 0,
        disk=min(status.st_size, status.st_blocks * 512) if kind is EntryKind.FILE else 0,
        inode_version=InodeVersion(status.st_ino, status.st_size, status.st_mtime_ns),
    )


def is_same_entry(status: os.stat_result, node: EntrySnapshot) -> bool:
    """Return whether this is the entry that was looked at, even if it was written since.

    For directories only the type is compared, because a union may give them another inode each time.
    """
    if kind_of(status.st_mode) is not node.kind:
        return False
    return node.inode_version is None or node.kind is EntryKind.DIRECTORY or status.st_ino == node.inode_version.inode


def is_untouched(status: os.stat_result, node: EntrySnapshot) -> bool:
    """Return whether this is the entry that was looked at, with the same bytes."""
    if not is_same_entry(status, node):
        return False
    return (
        node.inode_version is None
        or node.kind is EntryKind.DIRECTORY
        or InodeVersion(*node.inode_version) == InodeVersion(status.st_ino, status.st_size, status.st_mtime_ns)
    )


def _xattrs(fd: int, *, raw: bool) -> tuple[tuple[str, bytes], ...]:
    proc_path = f"/proc/self/fd/{fd}"
    try:
        names = os.listxattr(proc_path)
        if not names:
            return ()
        names = [name for name in names if not (raw and name.startswith(MARKS))]
    except OSError:  # a file system without attributes
        return ()
    return in_order((name, os.getxattr(proc_path, name)) for name in names)


def in_order(xattrs: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """Sort attributes, since file systems list them in any order; capability last, because other changes drop it."""
    return tuple(sorted(xattrs, key=lambda pair: (pair[0] == CAPABILITY, pair[0])))


def to_json(node: EntrySnapshot) -> dict[str, Any]:
    """Return a snapshot as JSON values, without defaults."""
    fields: dict[str, Any] = {"path": os.fsdecode(node.path), "kind": node.kind.value if node.kind else None}
    for name in _NUMBERS:
        if value := getattr(node, name):
            fields[name] = value
    if node.names:
        fields["inode"] = node.inode
    if node.target:
        fields["target"] = os.fsdecode(node.target)
    if node.same_as:
        fields["same_as"] = os.fsdecode(node.same_as)
    if node.has_bytes:
        fields["kept"] = True
    if node.image:
        fields["image"] = True
    if node.xattrs:
        fields["xattrs"] = {name: base64.b64encode(value).decode() for name, value in node.xattrs}
    return fields


def from_json(fields: dict[str, Any]) -> EntrySnapshot:
    """Return the snapshot that :func:`to_json` wrote; raises ValueError, KeyError, TypeError for anything else."""
    numbers = {name: int(fields.get(name, 0)) for name in _NUMBERS}
    device, inode = fields.get("inode", (0, 0))
    xattrs = in_order((str(name), base64.b64decode(value)) for name, value in dict(fields.get("xattrs", {})).items())
    return EntrySnapshot(
        path=os.fsencode(fields["path"]),
        kind=EntryKind(fields["kind"]) if fields["kind"] else None,
        xattrs=xattrs,
        target=os.fsencode(fields.get("target", "")),
        same_as=os.fsencode(fields.get("same_as", "")),
        mode=numbers["mode"],
        uid=numbers["uid"],
        gid=numbers["gid"],
        mtime_ns=numbers["mtime_ns"],
        rdev=numbers["rdev"],
        size=numbers["size"],
        offset=numbers["offset"],
        has_bytes=bool(fields.get("kept")),
        image=bool(fields.get("image")),
        inode=(int(device), int(inode)),
        names=numbers["names"],
    )
