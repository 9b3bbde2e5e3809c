"""Paths of containers, resolved inside their root and nowhere else.

Every path goes through openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS (Linux 5.6): absolute symlinks and
``..`` stay inside, /proc/PID/root and the like are refused. A check of realpath followed by open loses that race.
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

from tui.core.errors import DtuiError, EditRefused, LayerError, NotFound, NotReachable, TooManyOpen, UsageError
from tui.core.records import EntryKind
from tui.core.text import human_size, printable
from tui.linux.admission import BeyondContainer, Need, Rights, refuse_beyond, refuse_taking
from tui.linux.syscalls import O_PATH, Resolve, file_system_of, identity_of, mount_of, openat2
from tui.linux.trail import Trail

IN_ROOT = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS
ONE_NAME = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_XDEV | Resolve.NO_MAGICLINKS
"""For a single name on a directory descriptor: no link is followed, no mount point entered."""

PATH_MAX = 4096
"""How many bytes of a path a system call takes, the NUL at its end among them (linux/limits.h)."""

_WAY_HOLDS = 0.1
"""Seconds after which the way to a directory is looked up again: somebody may have moved it meanwhile."""

_KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
    stat.S_IFIFO: EntryKind.FIFO,
    stat.S_IFSOCK: EntryKind.SOCKET,
    stat.S_IFCHR: EntryKind.CHARACTER,
    stat.S_IFBLK: EntryKind.BLOCK,
}


_KERNEL = {
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
"""Names of file systems whose files are the kernel's own (linux/magic.h), to name them in a refusal."""

_KEEPS_FILES = frozenset(
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
"""File systems without a block device of their own whose files are somebody's, not the kernel's (linux/magic.h)."""


def status_of(fd: int, name: bytes) -> os.stat_result | None:
    """Return a name's own status in a directory, None where it is not (any more)."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def kind_of(mode: int) -> EntryKind:
    """Return the type in a stat mode."""
    return _KINDS[stat.S_IFMT(mode)]


def normalized(path: str | bytes) -> bytes:
    """Return an absolute path with ``//``, ``.`` and lexical ``..`` taken out, clamped at the root.

    Raises UsageError for a NUL byte.
    """
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise UsageError("a path cannot hold a NUL byte", "check what was typed or piped")
    parts: list[bytes] = []
    for part in raw.split(b"/"):
        if part == b"..":
            parts = parts[:-1]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return parent and last name of a clean path; the root has no name."""
    parent, _, name = path.rpartition(b"/")
    return parent or b"/", name


def explain(error: OSError, path: bytes) -> DtuiError:
    """Turn an OSError about a container's path into ours."""
    display_path = printable(path)
    used_up = TooManyOpen.of(error)
    if used_up:
        return used_up
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"{display_path} does not exist in the container", "the tree shows what does")
    if error.errno in (errno.EACCES, errno.EPERM):
        if os.geteuid() == 0:
            return LayerError(
                f"{display_path}: the kernel does not let it be opened", "start the container to look into it"
            )
        return NotReachable(f"{display_path}: permission denied", "run dtui as root, or use sudo")
    if error.errno == errno.ELOOP:
        return LayerError(f"{display_path}: too many symbolic links, or a link out of /proc", "name the file itself")
    if error.errno == errno.ENOSYS:
        return NotReachable("this kernel has no openat2", "Linux 5.6 or newer is needed")
    return LayerError(f"{display_path}: {os.strerror(error.errno or 0).lower()}", "nothing was changed")


@contextmanager
def explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into ours, about a container's path: the tree may change under us."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


class Folder(NamedTuple):
    """A directory that is held open: its mount by number, 0 for the root's, and whether it is a mount point itself."""

    fd: int
    mount: int = 0
    mounted: bool = False
    depth: int = 0
    """Names between the root and it."""
    foreign: int | None = None
    """Depth of the first directory on the way that bears marks which its union does not honour."""


def _give_back(folder: Folder) -> None:
    os.close(folder.fd)


class Root:
    """A directory descriptor inside which paths of a container are resolved; closes with the context.

    ``foreign`` is how attributes begin that are marks of a union mounted in another way than this one is; ``rights``
    are those of a container whose root may do less than this host's.
    """

    def __init__(self, fd: int, foreign: str = "", rights: Rights | None = None) -> None:
        self.fd = fd
        self._foreign = foreign
        self._rights = rights
        self._own_mount: int | None = None
        self._mounts = count(1)
        self._trail: Trail[Folder] | None = None

    def duplicate(self) -> Root:
        """Return the same root once more, to be closed by itself."""
        return Root(os.dup(self.fd), self._foreign, self._rights)

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back; idempotent."""
        if self._trail is not None:
            self._trail.close()
            self._trail = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open_path(self, path: bytes, *, follow: bool = True, flags: int = O_PATH) -> int:
        """Return a descriptor (O_PATH unless told otherwise) of a path inside this root."""
        open_flags = flags if follow else flags | os.O_NOFOLLOW
        if len(path) >= PATH_MAX:
            return self.open_canonical(path, open_flags)
        try:
            fd = openat2(self.fd, path.lstrip(b"/") or b".", open_flags, IN_ROOT)
        except OSError as error:
            raise explain(error, path) from error
        return self._admitted(fd, path)

    def open_canonical(self, path: bytes, flags: int = O_PATH) -> int:
        """Return a descriptor of a path in which no name is a link any more; one put there since is refused."""
        if len(path) >= PATH_MAX:  # no system call takes it as a whole
            parent, name = split(path)
            with self.directory(parent) as folder:
                return self._open_canonical(folder.fd, name, flags, path)
        return self._open_canonical(self.fd, path.lstrip(b"/") or b".", flags, path)

    def _open_canonical(self, dir_fd: int, relative_path: bytes, flags: int, path: bytes) -> int:
        try:
            fd = openat2(dir_fd, relative_path, flags, IN_ROOT | Resolve.NO_SYMLINKS)
        except OSError as error:
            raise explain(error, path) from error
        return self._admitted(fd, path)

    def admit(self, fd: int, path: bytes, need: Need) -> None:
        """Raise EditRefused for what nobody in the container may do with a file or directory that is open."""
        if self._rights is not None:
            with explained(path):
                refuse_beyond(self._rights, fd, path, need, own=self._is_own(fd))

    def admit_taking(self, dir_fd: int, name: bytes, path: bytes, *, written: int | None = None) -> None:
        """Raise EditRefused for a name that nobody in the container may remove, rename or replace.

        ``written`` is the open file whose owner and place the new one gets.
        """
        if self._rights is not None:
            with explained(path):
                entry = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                refuse_taking(self._rights, dir_fd, entry, path, written=written, own=self._is_own(dir_fd))

    def _is_own(self, fd: int) -> bool:
        """Say whether a descriptor is on the root's own mount, and not on one that was put into the container."""
        if self._own_mount is None:
            self._own_mount = mount_of(self.fd)
        return mount_of(fd) == self._own_mount

    def _admitted(self, fd: int, path: bytes) -> int:
        """Return a descriptor to which the container could have come, one directory after the other.

        It is looked for once more, since the kernel has come to it as this host's root may. Raises EditRefused.
        """
        if self._rights is None:
            return fd
        try:
            real = self._path_of(fd, path)
            above, name = split(real)
            folder = self.reach(above)
            if name and identity_of(folder.fd, name) != identity_of(fd):
                raise LayerError(f"{printable(path)} moved while it was opened", "try again")
        except OSError as error:
            os.close(fd)
            raise explain(error, path) from error
        except BaseException:
            os.close(fd)
            raise
        return fd

    def reach(self, path: bytes) -> Folder:
        """Return the directory at a canonical path, open until the next call, by as many opens as it lies away from it.

        A link on the way, put there just now, is refused, and so are marks that this union does not honour: it shows
        what they hide, such as files that were deleted.
        """
        if self._trail is None:
            self._trail = Trail(self._top(), self._descend, _give_back, max_age=_WAY_HOLDS)
        try:
            folder = self._trail.at(path)
        except OSError as error:
            raise explain(error, path) from error
        except BeyondContainer as error:
            raise BeyondContainer(path, error.owner) from error
        if folder.foreign is not None:
            marked = b"/" + b"/".join(path.split(b"/")[1 : folder.foreign + 1])
            message = f"{printable(marked)}: it bears {self._foreign}* marks, which this mount would not honour"
            raise EditRefused(message, "start the container by the Engine that made it")
        return folder

    @contextmanager
    def directory(self, path: bytes) -> Iterator[Folder]:
        """Yield the directory at a canonical path as :meth:`reach` finds it, however many others are asked for."""
        trail_folder = self.reach(path)
        folder = trail_folder._replace(fd=os.dup(trail_folder.fd))
        try:
            yield folder
        finally:
            os.close(folder.fd)

    def forget(self, path: bytes) -> None:
        """Look a directory up anew when it is asked for again: it was removed, renamed or made."""
        if self._trail is not None:
            self._trail.forget(path)

    def _top(self) -> Folder:
        return Folder(self.fd, foreign=0 if self._is_foreign(self.fd) else None)

    def _descend(self, parent: Folder, name: bytes) -> Folder:
        """Open one name, which may be a mount point as far as whoever named the path meant it."""
        mount = parent.mount
        try:
            fd = open_directory(parent.fd, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            mount = next(self._mounts)
            fd = openat2(parent.fd, name, os.O_RDONLY | os.O_DIRECTORY, ONE_NAME & ~Resolve.NO_XDEV)
        try:
            self.admit(fd, name, Need.PASS)
        except BaseException:
            os.close(fd)
            raise
        depth, foreign = parent.depth + 1, parent.foreign
        if foreign is None and self._is_foreign(fd):
            foreign = depth
        return Folder(fd, mount, mount != parent.mount, depth, foreign)

    def _is_foreign(self, fd: int) -> bool:
        return bool(self._foreign) and any(name.startswith(self._foreign) for name in _attributes(fd))

    @contextmanager
    def parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield a descriptor of the directory that holds a path, and the last name."""
        parent, name = split(path)
        if not name:
            raise EditRefused("/ is the container's root, not a file", "name a file below it")
        if len(parent) >= PATH_MAX:
            with self.directory(parent) as folder:
                yield folder.fd, name
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
        """Return the path, inside this root, that a path with links in it means."""
        with self._opened(path) as path_fd:
            try:
                return self._path_of(path_fd, path)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                with self.directory(path):  # raises for a link on the way
                    return normalized(path)

    def _path_of(self, fd: int, path: bytes) -> bytes:
        """Return the path inside this root of what a descriptor holds, which ``path`` led to; raises OSError."""
        root, target = (os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in (self.fd, fd))
        root = root.rstrip("/")
        if target != root and not target.startswith(root + "/"):
            raise LayerError(f"{printable(path)} cannot be named inside the container", "it moved meanwhile: try again")
        return os.fsencode(target[len(root) :] or "/")

    def target_of(self, path: bytes) -> bytes:
        """Say where the link at a canonical path points, nothing for what is no link or cannot be read."""
        try:
            with self.parent(path) as (dir_fd, name):
                return os.readlink(name, dir_fd=dir_fd)
        except (DtuiError, OSError):
            return b""

    def refuse_foreign(self, path: bytes) -> None:
        """Raise EditRefused where a directory at or above a canonical path bears marks that this union ignores."""
        if self._foreign:
            with self.directory(path):
                pass

    def open_regular(self, path: bytes) -> int:
        """Return a descriptor to read a regular file; links are followed inside the root."""
        with self._opened(path) as fd:
            self.admit(fd, path, Need.READ)
            return reopen_regular(fd, path)


def _attributes(fd: int) -> list[str]:
    try:
        return os.listxattr(f"/proc/self/fd/{fd}")
    except OSError:  # a file system without any
        return []


_FROM_INSIDE = "docker exec reaches it as the container may; nothing was changed"


def refuse_kernel_files(fd: int, path: bytes) -> None:
    """Raise EditRefused for what is the kernel's and no file, by a descriptor that may be O_PATH.

    The kernel judges who opens such a file, and that would be this host's root: ``/proc/kmsg`` behind a link tells a
    container's reader what the container itself may not read. A file system on a block device keeps files. Of the
    others the known ones are let through, so that one which a later kernel brings is refused.
    """
    magic = file_system_of(fd)
    if magic in _KEEPS_FILES or (magic not in _KERNEL and _on_a_disk(fd)):
        return
    display_path = printable(path)
    if magic in _KERNEL:
        raise EditRefused(f"{display_path} is the kernel's own, on {_KERNEL[magic]}", _FROM_INSIDE)
    raise EditRefused(f"{display_path} is on a file system that dtui does not know (type {magic:#x})", _FROM_INSIDE)


def _on_a_disk(fd: int) -> bool:
    """Say whether a descriptor's file system has a block device: without one its device has no major number."""
    return os.major(identity_of(fd)[0]) != 0


def reopen_regular(path_fd: int, path: bytes, flags: int = os.O_RDONLY) -> int:
    """Open, for reading unless told otherwise, what an O_PATH descriptor holds, if it is a regular file.

    FIFOs, devices and the kernel's own files are never opened, for opening alone may hang or have effects. Raises
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
    # opened to write, an image's file is copied up, and on overlay without an index it then has another number
    is_same_file = (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino) or flags & os.O_ACCMODE != os.O_RDONLY
    if not is_same_file or not stat.S_ISREG(after.st_mode):
        os.close(fd)
        raise LayerError(f"{printable(path)} changed while it was opened", "try again")
    return fd


def read_limited(fd: int, path: bytes, limit: int) -> bytes:
    """Read a file to its end; more than ``limit`` bytes are refused (a size of 0 is never trusted)."""
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
    """Open a single name in a directory: no link followed, no mount point entered (EXDEV)."""
    return openat2(dir_fd, name, flags | os.O_NOFOLLOW, ONE_NAME, mode)


def open_directory(dir_fd: int, name: bytes) -> int:
    """Open a single name in a directory to be listed: no link followed (ELOOP), no mount point entered (EXDEV)."""
    return openat2(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY, ONE_NAME)


def is_mount_point(dir_fd: int, name: bytes) -> bool:
    """Say whether a name is a mount point in the mount namespace that ``dir_fd`` was opened in.

    Comparing st_dev is blind to a file bind-mounted from the same file system; RESOLVE_NO_XDEV is not.
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
