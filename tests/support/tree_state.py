"""The complete state of a tree: bytes, owner, mode, attributes, devices, links, holes and times."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_OVERLAYS = ("trusted.overlay.", "user.overlay.")
OLD = 1_234_567_890_123_456_789
"""A modification time in nanoseconds that no file gets by chance."""


@dataclass(frozen=True, slots=True)
class EntryState:
    """One entry. ``names`` are all paths of the same file; ``time`` is None if it does not matter."""

    mode: int
    uid: int
    gid: int
    content: str
    target: str
    rdev: int
    xattrs: tuple[tuple[str, bytes], ...]
    names: tuple[str, ...]
    time: int | str | None
    holes: bool = False

    def differing(self, other: EntryState) -> list[str]:
        return [name for name in EntryState.__slots__ if getattr(self, name) != getattr(other, name)]


View = dict[str, EntryState]


@dataclass(frozen=True, slots=True)
class Clock:
    """How times are compared: all since ``now`` are equal, and those of directories in ``loose`` are ignored.

    A directory's time changes when an entry is created in it, and is not restored when that is undone.
    """

    now: int
    loose: tuple[str, ...]

    def of(self, path: str, mtime_ns: int, *, directory: bool) -> int | str | None:
        if directory and path in self.loose:
            return None
        return "now" if mtime_ns >= self.now else mtime_ns


def kept_xattrs(pairs: Iterator[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted(pair for pair in pairs if not pair[0].startswith(_OVERLAYS)))


def with_names(found: View, files: dict[str, tuple[int, int]]) -> View:
    """Set the ``names`` of each file to all paths with its inode."""
    groups: dict[tuple[int, int], list[str]] = defaultdict(list)
    for path, inode in files.items():
        groups[inode].append(path)
    for paths in groups.values():
        for path in paths:
            found[path] = replace(found[path], names=tuple(sorted(paths)))
    return found


def walk(root: Path, clock: Clock) -> View:
    """Return every entry of a tree, without /proc, /sys and /dev."""
    found: View = {}
    inodes = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not (folder == str(root) and name in ("proc", "sys", "dev"))]
        for name in (*names, *files):
            path = Path(folder, name)
            status = path.lstat()
            regular, directory = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
            place = str(path.relative_to(root))
            found[place] = EntryState(
                mode=status.st_mode,
                uid=status.st_uid,
                gid=status.st_gid,
                content=hashlib.sha256(path.read_bytes()).hexdigest() if regular else "",
                target=os.readlink(path) if stat.S_ISLNK(status.st_mode) else "",
                rdev=status.st_rdev if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else 0,
                xattrs=kept_xattrs(
                    (one, os.getxattr(path, one, follow_symlinks=False))
                    for one in os.listxattr(path, follow_symlinks=False)
                ),
                names=(),
                time=clock.of(place, status.st_mtime_ns, directory=directory),
                holes=regular and status.st_blocks * 512 < status.st_size,
            )
            if not directory:
                inodes[place] = (status.st_dev, status.st_ino)
    return with_names(found, inodes)


def difference(one: View, other: View) -> list[object]:
    """Return the first eight paths that differ, and how."""
    told: list[object] = []
    for path in sorted({*one, *other}):
        mine, theirs = one.get(path), other.get(path)
        if mine is None or theirs is None:
            told.append((path, "is missing" if mine is None else "is too much"))
        elif mine != theirs:
            told.append([(path, name, getattr(mine, name), getattr(theirs, name)) for name in mine.differing(theirs)])
    return told[:8]


# unusual entries and attributes -------------------------------------------------------------------------------


def acl(user: int) -> bytes:
    """Return the attribute value of an ACL with rights for one named user."""
    nobody = 0xFFFFFFFF
    entries = ((1, 7, nobody), (2, 7, user), (4, 5, nobody), (16, 7, nobody), (32, 5, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""The attribute value of the capability cap_net_bind_service=ep."""


def dress(file: Path) -> None:
    """Give a file what a careless write loses: owner, setuid, an ACL, a capability, attributes, an old time."""
    os.chown(file, 1001, 1002)
    file.chmod(0o4755)
    os.setxattr(file, "user.zeta", b"first")
    os.setxattr(file, "system.posix_acl_access", acl(1234))
    os.setxattr(file, "trusted.note", b"\x00\xff")
    os.setxattr(file, "security.capability", CAPABILITY)
    os.setxattr(file, "user.alpha", b"last")
    os.utime(file, ns=(OLD, OLD))


def make_socket(folder: Path, name: str) -> None:
    """Create a socket in a directory whose path may be longer than a socket address allows."""
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(folder, os.O_PATH)
        made.bind(f"/proc/self/fd/{here}/{name}")
        os.close(here)


def plant(folder: Path) -> None:
    """Fill a directory with every kind of entry that a file system can hold."""
    dressed = folder / "dressed"
    dressed.write_bytes(b"dressed\n")
    dress(dressed)
    inner = folder / "inner"
    inner.mkdir()
    for name in ("plain", "bare"):
        (inner / name).write_bytes(name.encode())
    dress(inner / "plain")
    os.link(inner / "plain", inner / "also")
    os.link(inner / "plain", folder / "third")
    os.mkfifo(folder / "fifo", 0o640)
    os.chown(folder / "fifo", 1001, 1002)
    os.mknod(folder / "zero", stat.S_IFCHR | 0o620, os.makedev(1, 5))
    os.mknod(folder / "loop", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    make_socket(folder, "socket")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 20)
        sparse.seek(300_000)
        sparse.write(b"in the middle")
    (folder / "link").symlink_to("nowhere/at\nall")
    os.lchown(folder / "link", 1001, 1002)
    os.setxattr(folder / "link", "trusted.note", b"of a link", follow_symlinks=False)
    os.setxattr(inner, "system.posix_acl_default", acl(4321))
    os.setxattr(inner, "user.note", b"of a directory")
    inner.chmod(0o3711)
    for path in (*inner.iterdir(), *folder.iterdir(), folder):
        os.utime(path, ns=(OLD, OLD), follow_symlinks=False)
