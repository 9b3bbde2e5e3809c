"""Paths of containers, resolved inside the container's root and nowhere else.

Every path goes through openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS (Linux 5.6): absolute symlinks and ``..``
stay inside, and /proc/PID/root and the like are refused. Calling realpath first and open afterwards would be a race
that the container can win.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import NamedTuple

from tui.core.errors import DtuiError, EditRefused, LayerError, UsageError
from tui.core.records import EntryKind
from tui.core.text import human_size, printable
from tui.linux.admission import Need, NotPermitted, Rights, refuse_not_permitted, refuse_taking
from tui.linux.failures import explain, explained
from tui.linux.syscalls import O_PATH, Resolve, file_system_of, identity_of, mount_of, openat2
from tui.linux.trail import Trail

IN_ROOT = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS
ONE_NAME = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_XDEV | Resolve.NO_MAGICLINKS
"""For a single name in an open directory: follow no link, enter no mount point."""

PATH_MAX = 4096
"""Bytes of a path that a system call accepts, including the final NUL (linux/limits.h)."""

_TRAIL_MAX_AGE = 0.1
"""Seconds after which the directories on a path are opened again, because somebody may have moved one meanwhile."""

_KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
    stat.S_IFIFO: EntryKind.FIFO,
    stat.S_IFSOCK: EntryKind.SOCKET,
    stat.S_IFCHR: EntryKind.CHARACTER,
    stat.S_IFBLK: EntryKind.BLOCK,
}


_KERNEL_FILE_SYSTEMS = {
    0x9FA0: "proc",
    0x62656572: "sysfs",
    0x27E0EB: "cgroup",
    0x63677270: "cgroup2",
    0x1CD1: "devpts",
    0x64626720: "debugfs",
    0x74726163: "tracefs",
    0x73636673: "securityfs",
    0x62656570: "configfs",
    0xCAFE4A11: "bpf",
    0x19800202: "mqueue",
    0x958458F6: "hugetlbfs",
    0x6165676C: "pstore",
    0xDE5E81E4: "efivarfs",
    0x42494E4D: "binfmt_misc",
    0xF97CFF8C: "selinuxfs",
    0x43415D53: "smackfs",
    0x5A3C69F0: "apparmorfs",
    0x65735543: "fusectl",
    0x6E736673: "nsfs",
    0x50494446: "pidfs",
    0x09041934: "anon_inodefs",
    0x5345434D: "secretmem",
    0x07655821: "resctrl",
    0x534F434B: "sockfs",
    0x50495045: "pipefs",
    0xABBA1974: "xenfs",
    0x6C6F6F70: "binder",
    0x67596969: "rpc_pipefs",
}
"""File systems whose files are the kernel's own (linux/magic.h), named in the refusal."""

_USER_FILE_SYSTEMS = frozenset(
    (
        0x794C7630,  # overlay
        0x01021994,  # tmpfs, and devtmpfs, whose devices are refused for what they are
        0x858458F6,  # ramfs
        0x9123683E,  # btrfs
        0x2FC12FC1,  # zfs
        0xCA451A4E,  # bcachefs
        0x65735546,  # fuse, virtiofs
        0x6969,  # nfs
        0x517B,  # smb
        0xFF534D42,  # cifs
        0xFE534D42,  # smb2
        0x01021997,  # 9p
        0x00C36400,  # ceph
        0x61756673,  # aufs
        0xF15F,  # ecryptfs
        0xF15F083D,  # unionfs
        0x6A656A62,  # shiftfs
        0xE0F5E1E2,  # erofs in a file
        0x24051905,  # ubifs
        0x72B6,  # jffs2
        0x5346414F,  # afs
        0x73757245,  # coda
        0x0BD00BD0,  # lustre
        0x47504653,  # gpfs
        0x20030528,  # orangefs
        0x19830326,  # beegfs
        0xAAD7AAEA,  # panfs
        0x786F4256,  # vboxsf
        0xBACBACBC,  # vmhgfs
        0x7C7C6673,  # prl_fs
        0x53464846,  # wslfs
        0x00C0FFEE,  # hostfs
    )
)
"""File systems without a block device whose files are a user's, not the kernel's (linux/magic.h)."""


def status_of(fd: int, name: bytes) -> os.stat_result | None:
    """Return the status of a name itself in a directory, None if it does not exist (any more)."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def kind_of(mode: int) -> EntryKind:
    """Return the entry type in a stat mode."""
    return _KINDS[stat.S_IFMT(mode)]


def normalized(path: str | bytes) -> bytes:
    """Return an absolute path without ``//``, ``.`` and lexical ``..``, clamped at the root.

    Raises UsageError for a NUL byte.
    """
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise UsageError("a path cannot contain a NUL byte", "check what you typed or piped")
    parts: list[bytes] = []
    for part in raw.split(b"/"):
        if part == b"..":
            parts = parts[:-1]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


def split(path: bytes) -> tuple[bytes, bytes]:
    """Split a clean path into parent and last name; the root has an empty name."""
    parent, _, name = path.rpartition(b"/")
    return parent or b"/", name


class OpenDirectory(NamedTuple):
    """An open directory with the number of its mount (0 for the root's) and whether it is a mount point itself."""

    fd: int
    mount: int = 0
    mounted: bool = False
    depth: int = 0
    """Number of names between the root and it."""
    foreign: int | None = None
    """Depth of the first directory on its path that carries marks which this union would not honour."""


def _close(directory: OpenDirectory) -> None:
    os.close(directory.fd)


class Root:
    """A directory descriptor inside which a container's paths are resolved. A context manager that closes it.

    ``foreign`` is the prefix of overlay attributes that this mount would ignore; ``rights`` are those of a container
    that may do less than the host's root.
    """

    def __init__(self, fd: int, foreign: str = "", rights: Rights | None = None) -> None:
        self.fd = fd
        self._foreign = foreign
        self._rights = rights
        self._own_mount: int | None = None
        self._mounts = count(1)
        self._trail: Trail[OpenDirectory] | None = None

    def duplicate(self) -> Root:
        """Return an independent copy of this root, to be closed separately."""
        return Root(os.dup(self.fd), self._foreign, self._rights)

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptors; idempotent."""
        if self._trail is not None:
            self._trail.close()
            self._trail = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open_path(self, path: bytes, *, follow: bool = True, flags: int = O_PATH) -> int:
        """Open a path inside this root and return the descriptor (O_PATH by default)."""
        open_flags = flags if follow else flags | os.O_NOFOLLOW
        if len(path) >= PATH_MAX:
            return self.open_canonical(path, open_flags)
        try:
            fd = openat2(self.fd, path.lstrip(b"/") or b".", open_flags, IN_ROOT)
        except OSError as error:
            raise explain(error, path) from error
        return self._admitted(fd, path)

    def open_canonical(self, path: bytes, flags: int = O_PATH) -> int:
        """Open a path in which no name may be a symlink; a link placed there since is refused."""
        if len(path) >= PATH_MAX:  # too long for a single system call
            parent, name = split(path)
            with self.directory(parent) as directory:
                return self._open_canonical(directory.fd, name, flags, path)
        return self._open_canonical(self.fd, path.lstrip(b"/") or b".", flags, path)

    def _open_canonical(self, dir_fd: int, relative_path: bytes, flags: int, path: bytes) -> int:
        try:
            fd = openat2(dir_fd, relative_path, flags, IN_ROOT | Resolve.NO_SYMLINKS)
        except OSError as error:
            raise explain(error, path) from error
        return self._admitted(fd, path)

    @property
    def is_restricted(self) -> bool:
        """Whether the container may do less with its files than this host's root."""
        return self._rights is not None

    def admit(self, fd: int, path: bytes, need: Need) -> None:
        """Raise EditRefused if nobody in the container may do this to an open file or directory."""
        if self._rights is not None:
            with explained(path):
                refuse_not_permitted(self._rights, fd, path, need, own=self._is_own(fd))

    def admit_taking(self, dir_fd: int, name: bytes, path: bytes, *, replaced_fd: int | None = None) -> None:
        """Raise EditRefused if nobody in the container may remove, rename or replace a name.

        ``replaced_fd`` is the open file whose owner and place the new one gets.
        """
        if self._rights is not None:
            with explained(path):
                entry = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                refuse_taking(self._rights, dir_fd, entry, path, replaced_fd=replaced_fd, own=self._is_own(dir_fd))

    def _is_own(self, fd: int) -> bool:
        """Return whether a descriptor is on the root's own mount, not on one made inside the container."""
        if self._own_mount is None:
            self._own_mount = mount_of(self.fd)
        return mount_of(fd) == self._own_mount

    def _admitted(self, fd: int, path: bytes) -> int:
        """Check that the container could have reached what is open, one directory after the other.

        The kernel resolved the path with the host root's privileges, so the way is walked again with the container's.
        Closes the descriptor and raises EditRefused if it is not allowed.
        """
        if self._rights is None:
            return fd
        try:
            canonical_path = self._path_of(fd, path)
            parent, name = split(canonical_path)
            directory = self.kept_directory(parent)
            if name and identity_of(directory.fd, name) != identity_of(fd):
                raise LayerError(f"{printable(path)} was moved while it was being opened", "try again")
        except OSError as error:
            os.close(fd)
            raise explain(error, path) from error
        except BaseException:
            os.close(fd)
            raise
        return fd

    def kept_directory(self, path: bytes) -> OpenDirectory:
        """Return the directory at a canonical path, open until the next call, reusing directories opened before.

        Refuses a symlink that was placed on the path meanwhile, and overlay marks that this union does not honour:
        following them would show files that were deleted.
        """
        if self._trail is None:
            self._trail = Trail(self._top(), self._descend, _close, max_age=_TRAIL_MAX_AGE)
        try:
            directory = self._trail.at(path)
        except OSError as error:
            raise explain(error, path) from error
        except NotPermitted as error:
            raise NotPermitted(path, error.owner) from error
        if directory.foreign is not None:
            marked = b"/" + b"/".join(path.split(b"/")[1 : directory.foreign + 1])
            message = f"{printable(marked)} has {self._foreign}* attributes, which dtui's mount would ignore"
            raise EditRefused(message, "start the container with the Engine that created it")
        return directory

    @contextmanager
    def directory(self, path: bytes) -> Iterator[OpenDirectory]:
        """Yield the directory at a canonical path like :meth:`reach`; it stays open for the whole context."""
        kept = self.kept_directory(path)
        directory = kept._replace(fd=os.dup(kept.fd))
        try:
            yield directory
        finally:
            os.close(directory.fd)

    def forget(self, path: bytes) -> None:
        """Open a directory anew the next time it is asked for, because it was removed, renamed or created."""
        if self._trail is not None:
            self._trail.forget(path)

    def _top(self) -> OpenDirectory:
        return OpenDirectory(self.fd, foreign=0 if self._is_foreign(self.fd) else None)

    def _descend(self, parent: OpenDirectory, name: bytes) -> OpenDirectory:
        """Open one name in a directory; it may be a mount point, since the caller named the path."""
        mount = parent.mount
        try:
            fd = open_directory(parent.fd, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            mount = next(self._mounts)
            fd = openat2(parent.fd, name, os.O_RDONLY | os.O_DIRECTORY, ONE_NAME & ~Resolve.NO_XDEV)
        try:
            self.admit(fd, name, Need.TRAVERSE)
        except BaseException:
            os.close(fd)
            raise
        depth, foreign = parent.depth + 1, parent.foreign
        if foreign is None and self._is_foreign(fd):
            foreign = depth
        return OpenDirectory(fd, mount, mount != parent.mount, depth, foreign)

    def _is_foreign(self, fd: int) -> bool:
        return bool(self._foreign) and any(name.startswith(self._foreign) for name in _attributes(fd))

    @contextmanager
    def parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield a descriptor of the directory that holds a path, and the last name."""
        parent, name = split(path)
        if not name:
            raise EditRefused("/ is the container's root, not a file", "name a file below it")
        if len(parent) >= PATH_MAX:
            with self.directory(parent) as directory:
                yield directory.fd, name
            return
        fd = self.open_path(parent, flags=os.O_RDONLY | os.O_DIRECTORY)
        try:
            refuse_kernel_files(fd, path)
            yield fd, name
        finally:
            os.close(fd)

    @contextmanager
    def _opened(self, path: bytes) -> Iterator[int]:
        fd = self.open_path(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def real_path(self, path: bytes) -> bytes:
        """Return the canonical path inside this root of a path that may contain symlinks."""
        with self._opened(path) as path_fd:
            try:
                return self._path_of(path_fd, path)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                with self.directory(path):  # raises for a link on the way
                    return normalized(path)

    def _path_of(self, fd: int, path: bytes) -> bytes:
        """Return the path inside this root of an open descriptor; ``path`` is what it was opened by. Raises OSError."""
        root, target = (os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in (self.fd, fd))
        root = root.rstrip("/")
        if target != root and not target.startswith(root + "/"):
            raise LayerError(f"{printable(path)} was moved out of the container's root", "try again")
        return os.fsencode(target[len(root) :] or "/")

    def target_of(self, path: bytes) -> bytes:
        """Return the target of the symlink at a canonical path; empty if it is not a link or cannot be read."""
        try:
            with self.parent(path) as (dir_fd, name):
                return os.readlink(name, dir_fd=dir_fd)
        except (DtuiError, OSError):
            return b""

    def refuse_foreign(self, path: bytes) -> None:
        """Raise EditRefused if a directory at or above a canonical path has marks that this union ignores."""
        if self._foreign:
            with self.directory(path):
                pass

    def open_regular(self, path: bytes) -> int:
        """Open a regular file for reading; symlinks are followed inside the root."""
        with self._opened(path) as fd:
            self.admit(fd, path, Need.READ)
            return reopen_regular(fd, path)


def _attributes(fd: int) -> list[str]:
    try:
        return os.listxattr(f"/proc/self/fd/{fd}")
    except OSError:  # the file system has no extended attributes
        return []


_USE_EXEC = "use docker exec, which has only the container's rights; nothing was changed"


def refuse_kernel_files(fd: int, path: bytes) -> None:
    """Raise EditRefused for files of the kernel's own, such as those in /proc. Takes O_PATH descriptors too.

    The kernel checks who opens such a file, and that would be the host's root: a symlink to ``/proc/kmsg`` would show
    the container's user what the container itself may not read. A file system on a block device holds ordinary files.
    Of the others only known ones are allowed, so that one added by a later kernel is refused.
    """
    magic = file_system_of(fd)
    if magic in _USER_FILE_SYSTEMS or (magic not in _KERNEL_FILE_SYSTEMS and _has_block_device(fd)):
        return
    display_path = printable(path)
    if magic in _KERNEL_FILE_SYSTEMS:
        raise EditRefused(f"{display_path} is a file of the kernel's, on {_KERNEL_FILE_SYSTEMS[magic]}", _USE_EXEC)
    raise EditRefused(f"{display_path} is on a file system that dtui does not know (type {magic:#x})", _USE_EXEC)


def _has_block_device(fd: int) -> bool:
    """Return whether the file system has a block device: without one, its device number has major 0."""
    return os.major(identity_of(fd)[0]) != 0


def reopen_regular(path_fd: int, path: bytes, flags: int = os.O_RDONLY) -> int:
    """Open what an O_PATH descriptor holds, if it is a regular file; for reading by default.

    FIFOs, devices and the kernel's own files are never opened, because opening alone may hang or have effects. Raises
    EditRefused for them.
    """
    refuse_kernel_files(path_fd, path)
    before = os.fstat(path_fd)
    if not stat.S_ISREG(before.st_mode):
        kind = kind_of(before.st_mode)
        hint = "the tree lists it" if kind is EntryKind.DIRECTORY else "only regular files can be read"
        raise EditRefused(f"{printable(path)} is a {kind}, not a file", hint)
    try:
        fd = os.open(f"/proc/self/fd/{path_fd}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise explain(error, path) from error
    after = os.fstat(fd)
    # opening an image's file for writing copies it up, and overlay without an index then gives it another inode number
    is_same_file = (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino) or flags & os.O_ACCMODE != os.O_RDONLY
    if not is_same_file or not stat.S_ISREG(after.st_mode):
        os.close(fd)
        raise LayerError(f"{printable(path)} changed while it was being opened", "try again")
    return fd


def reopen_to_write(path_fd: int, path: bytes) -> int:
    """Open what an O_PATH descriptor holds to read and write it, on the terms of :func:`reopen_regular`."""
    return reopen_regular(path_fd, path, os.O_RDWR)


def read_limited(fd: int, path: bytes, limit: int) -> bytes:
    """Read a file to its end; raises EditRefused beyond ``limit`` bytes. A reported size of 0 is never trusted."""
    chunks: list[bytes] = []
    total = 0
    while chunk := os.read(fd, min(1 << 20, limit + 1 - total)):
        chunks.append(chunk)
        total += len(chunk)
        if total > limit:
            raise EditRefused(
                f"{printable(path)} is larger than {human_size(limit)}",
                "read it with dtui cat, replace it with dtui write",
            )
    return b"".join(chunks)


def open_child(dir_fd: int, name: bytes, flags: int, mode: int = 0) -> int:
    """Open a single name in a directory, following no link (ELOOP) and entering no mount point (EXDEV)."""
    return openat2(dir_fd, name, flags | os.O_NOFOLLOW, ONE_NAME, mode)


def open_directory(dir_fd: int, name: bytes) -> int:
    """Open a single name in a directory for listing, following no link (ELOOP) and entering no mount point (EXDEV)."""
    return openat2(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY, ONE_NAME)


def is_mount_point(dir_fd: int, name: bytes) -> bool:
    """Return whether a name is a mount point in the mount namespace that ``dir_fd`` was opened in.

    Comparing st_dev would miss a file bind-mounted from the same file system; RESOLVE_NO_XDEV does not.
    """
    try:
        os.close(open_child(dir_fd, name, O_PATH))
    except OSError as error:
        if error.errno == errno.EXDEV:
            return True
        if error.errno == errno.ENOENT:
            return False
        raise
    return False
