"""Paths of containers, resolved inside their root and nowhere else.

Every path goes through openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS (Linux 5.6): absolute symlinks and
``..`` stay inside, /proc/PID/root and the like are refused. A check of realpath followed by open loses that race.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import NamedTuple

from tui.core.errors import DtuiError, EditRefused, LayerError, NotFound, NotReachable, UsageError
from tui.core.model import EntryKind, LayerStack
from tui.core.text import human_size, printable
from tui.kernel.syscalls import O_PATH, Resolve, file_system_of, openat2
from tui.layers.own_root import is_own_root
from tui.layers.trail import Trail

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
}
"""File systems whose files are the kernel's own settings (linux/magic.h)."""


def status_of(fd: int, name: bytes) -> os.stat_result | None:
    """Return a name's own status in a directory, None where it is not (any more)."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def kind_of(mode: int) -> EntryKind:
    """Return the type in a stat mode."""
    return _KINDS[stat.S_IFMT(mode)]


def clean(path: str | bytes) -> bytes:
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
    shown = printable(path)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"{shown} does not exist in the container", "the tree shows what does")
    if error.errno in (errno.EACCES, errno.EPERM):
        if os.geteuid() == 0:
            return LayerError(f"{shown}: the kernel does not let it be opened", "start the container to look into it")
        return NotReachable(f"{shown}: permission denied", "run dtui as root, or use sudo")
    if error.errno == errno.ELOOP:
        return LayerError(f"{shown}: too many symbolic links, or a link out of /proc", "name the file itself")
    if error.errno == errno.ENOSYS:
        return NotReachable("this kernel has no openat2", "Linux 5.6 or newer is needed")
    return LayerError(f"{shown}: {os.strerror(error.errno or 0).lower()}", "nothing was changed")


@contextmanager
def explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into ours, about a container's path: the tree may change under us."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


@contextmanager
def process_of(pid: int, container_id: str, stack: LayerStack | None = None) -> Iterator[None]:
    """Make sure that a process is the container's own, before and after what is done by its id; raises NotReachable.

    A process id may have been given to another process meanwhile: the pidfd is taken first, then the cgroup must name
    the container, and the process must still live at the end. An engine without control groups puts the container into
    its own: then the process must have the root that the engine made of the container's layers, if those are known.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            named = container_id in groups.read(65536)
        if not named and not (stack is not None and _has_own_root(pid, stack)):
            missing = "no control group of it names the container"
            if stack is not None:
                missing += ", and its root is not the one that the engine made"
            raise NotReachable(f"process {pid} is not proven to be the container's: {missing}", "look at it again")
        yield
        if select.select([pidfd], [], [], 0)[0]:
            raise NotReachable("the container's process has just ended", "look at its state again")
    except FileNotFoundError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    finally:
        os.close(pidfd)


def _has_own_root(pid: int, stack: LayerStack) -> bool:
    try:
        fd = os.open(f"/proc/{pid}/root/", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_own_root(fd, pid, stack)
    finally:
        os.close(fd)


class Folder(NamedTuple):
    """A directory that is held open: its mount by number, 0 for the root's, and whether it is a mount point itself."""

    fd: int
    mount: int = 0
    mounted: bool = False
    foreign: bool = False
    """Whether it or one above it bears marks that its union does not honour."""


def _give_back(folder: Folder) -> None:
    os.close(folder.fd)


class Root:
    """A directory descriptor inside which paths of a container are resolved; closes with the context.

    ``foreign`` is how attributes begin that are marks of a union mounted in another way than this one is.
    """

    def __init__(self, fd: int, foreign: str = "") -> None:
        self.fd = fd
        self._foreign = foreign
        self._mounts = count(1)
        self._trail: Trail[Folder] | None = None

    @classmethod
    def of_process(cls, pid: int, container_id: str, stack: LayerStack | None = None) -> Root:
        """Open the root of a running container's process, after making sure that it is that container's."""
        root = cls(-1)
        try:
            with process_of(pid, container_id, stack):
                root.fd = os.open(f"/proc/{pid}/root/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotReachable(f"/proc/{pid}/root: {error.strerror}", "run dtui as root on this host") from error
        except NotReachable:
            root.close()
            raise
        return root

    def again(self) -> Root:
        """Return the same root once more, to be closed by itself."""
        return Root(os.dup(self.fd), self._foreign)

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
        wanted = flags if follow else flags | os.O_NOFOLLOW
        if len(path) >= PATH_MAX:
            return self.open_canonical(path, wanted)
        try:
            return openat2(self.fd, path.lstrip(b"/") or b".", wanted, IN_ROOT)
        except OSError as error:
            raise explain(error, path) from error

    def open_canonical(self, path: bytes, flags: int = O_PATH) -> int:
        """Return a descriptor of a path in which no name is a link any more; one put there since is refused."""
        if len(path) >= PATH_MAX:  # no system call takes it as a whole
            above, name = split(path)
            with self.directory(above) as folder:
                return self._open_canonical(folder.fd, name, flags, path)
        return self._open_canonical(self.fd, path.lstrip(b"/") or b".", flags, path)

    def _open_canonical(self, dir_fd: int, place: bytes, flags: int, path: bytes) -> int:
        try:
            return openat2(dir_fd, place, flags, IN_ROOT | Resolve.NO_SYMLINKS)
        except OSError as error:
            raise explain(error, path) from error

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
        if folder.foreign:
            told = f"{printable(path)}: it bears {self._foreign}* marks, which this mount would not honour"
            raise EditRefused(told, "start the container by the Engine that made it")
        return folder

    @contextmanager
    def directory(self, path: bytes) -> Iterator[Folder]:
        """Yield the directory at a canonical path as :meth:`reach` finds it, however many others are asked for."""
        there = self.reach(path)
        folder = there._replace(fd=os.dup(there.fd))
        try:
            yield folder
        finally:
            os.close(folder.fd)

    def forget(self, path: bytes) -> None:
        """Look a directory up anew when it is asked for again: it was removed, renamed or made."""
        if self._trail is not None:
            self._trail.forget(path)

    def _top(self) -> Folder:
        return Folder(self.fd, foreign=self._is_foreign(self.fd))

    def _descend(self, above: Folder, name: bytes) -> Folder:
        """Open one name, which may be a mount point as far as whoever named the path meant it."""
        mount = above.mount
        try:
            fd = open_directory(above.fd, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            mount = next(self._mounts)
            fd = openat2(above.fd, name, os.O_RDONLY | os.O_DIRECTORY, ONE_NAME & ~Resolve.NO_XDEV)
        return Folder(fd, mount, mount != above.mount, above.foreign or self._is_foreign(fd))

    def _is_foreign(self, fd: int) -> bool:
        return bool(self._foreign) and any(name.startswith(self._foreign) for name in _attributes(fd))

    @contextmanager
    def parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield a descriptor of the directory that holds a path, and the last name."""
        above, name = split(path)
        if not name:
            raise EditRefused("/ is the container's root, not a file", "name a file below it")
        if len(above) >= PATH_MAX:
            with self.directory(above) as folder:
                yield folder.fd, name
            return
        fd = self.open_path(above, flags=os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd, name
        finally:
            os.close(fd)

    @contextmanager
    def _held(self, path: bytes) -> Iterator[int]:
        fd = self.open_path(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def real_path(self, path: bytes) -> bytes:
        """Return the path, inside this root, that a path with links in it means."""
        try:
            with self._held(b"/") as here, self._held(path) as there:
                root, target = (os.readlink(f"/proc/self/fd/{fd}") for fd in (here, there))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            with self.directory(path):  # raises for a link on the way
                return clean(path)
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
        with self._held(path) as fd:
            return reopen_regular(fd, path)


def _attributes(fd: int) -> list[str]:
    try:
        return os.listxattr(f"/proc/self/fd/{fd}")
    except OSError:  # a file system without any
        return []


def refuse_kernel_files(fd: int, path: bytes) -> None:
    """Raise EditRefused for what is the kernel's and no file: writing it would change this host."""
    name = _KERNEL.get(file_system_of(fd))
    if name:
        raise EditRefused(f"{printable(path)} is the kernel's own, on {name}", "nothing was changed")


def reopen_regular(path_fd: int, path: bytes, flags: int = os.O_RDONLY) -> int:
    """Open, for reading unless told otherwise, what an O_PATH descriptor holds, if it is a regular file.

    FIFOs and devices are never opened, for opening alone may hang or have effects. Raises EditRefused for them.
    """
    before = os.fstat(path_fd)
    if not stat.S_ISREG(before.st_mode):
        what = kind_of(before.st_mode)
        hint = "the tree lists it" if what is EntryKind.DIRECTORY else "only regular files can be read"
        raise EditRefused(f"{printable(path)} is a {what}, not a file", hint)
    try:
        fd = os.open(f"/proc/self/fd/{path_fd}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise explain(error, path) from error
    after = os.fstat(fd)
    # opened to write, an image's file is copied up, and on overlay without an index it then has another number
    same = (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino) or flags & os.O_ACCMODE != os.O_RDONLY
    if not same or not stat.S_ISREG(after.st_mode):
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
