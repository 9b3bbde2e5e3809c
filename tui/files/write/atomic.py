"""The two ways to write a file: a new one renamed over it, or its own bytes overwritten. Nothing else writes.

Order and care measured on ext4 below overlay, kernel 6.18: chown drops setuid bits and capabilities, writing drops
capabilities, so owner comes first, attributes next, then the mode, the capability last. Space is reserved before the
first byte, and none for zeros: they become holes, or stay what they are.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotReachable, OwnPlaceFailed, TooManyOpen
from tui.core.state import is_own_place
from tui.core.text import printable
from tui.files.tree.snapshots import MARKS
from tui.linux.sparse import Content, extents_of, reserve, write_extents
from tui.linux.syscalls import is_fixed

Checkpoint = Callable[[str], None]
"""Called between the steps of a write with the step's name; tests end the process there."""


Rename = Callable[[int, bytes, int, bytes], None]
"""Gives a name in one directory another in the same or another one; raises OSError."""


CAPABILITY = "security.capability"
"""The attribute that writing takes away."""

_ACL = "system.posix_acl_access"


def no_checkpoint(step: str) -> None:
    """Do nothing between steps."""
    del step


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file keeps when its bytes are replaced: permission bits, owner, attributes with ACL and capabilities."""

    mode: int
    uid: int
    gid: int
    xattrs: tuple[tuple[str, bytes], ...] = ()
    mtime_ns: int | None = None
    """The time to give it back; None for that of the write itself."""


def metadata_of(fd: int, *, raw: bool = False) -> Metadata:
    """Read the metadata of an open file; below the ``raw`` directory of a layer overlay's marks are not the file's."""
    status = os.fstat(fd)
    names = [name for name in attribute_names(fd) if not (raw and name.startswith(MARKS))]
    names.sort(key=lambda name: name == CAPABILITY)  # set last, for other changes drop it
    pairs = tuple((name, os.getxattr(fd, name)) for name in names)
    return Metadata(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, pairs)


def attribute_names(fd: int) -> list[str]:
    """Return the names of an open file's attributes, none on a file system without any."""
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []


def put_metadata(fd: int, metadata: Metadata) -> None:
    """Give an open file its metadata."""
    status = os.fstat(fd)
    if (status.st_uid, status.st_gid) != (metadata.uid, metadata.gid):
        os.fchown(fd, metadata.uid, metadata.gid)
    if _ACL in attribute_names(fd) and _ACL not in dict(metadata.xattrs):
        os.removexattr(fd, _ACL)  # which a directory gives to what is made in it
    for name, value in metadata.xattrs:
        try:
            if name != CAPABILITY:
                os.setxattr(fd, name, value)
        except OSError as error:
            # A label of a security module that is not active here cannot be set and means nothing.
            if error.errno != errno.EOPNOTSUPP or name != "security.selinux":
                raise
    os.fchmod(fd, metadata.mode)
    if metadata.mtime_ns is not None:
        os.utime(fd, ns=(metadata.mtime_ns, metadata.mtime_ns))
    capability = dict(metadata.xattrs).get(CAPABILITY)
    if capability is not None:  # last: on FUSE a change of the mode is what writes the bytes, which takes it away
        os.setxattr(fd, CAPABILITY, capability)


def explain(error: OSError, path: bytes) -> DtuiError:
    """Turn what a write failed with into one line; nothing was changed in any of these cases."""
    display_path = printable(path)
    used_up = TooManyOpen.of(error)
    if used_up:
        return used_up
    if isinstance(error.filename, str) and is_own_place(error.filename):
        return OwnPlaceFailed.of(error, error.filename)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EditRefused(
            f"{display_path}: no space left on the layer's disk", "nothing was changed; free some and save again"
        )
    if error.errno == errno.EROFS:
        return EditRefused(f"{display_path} is on a read-only file system", "nothing was changed")
    if error.errno in (errno.EPERM, errno.EACCES):
        if os.geteuid() != 0:
            return NotReachable(f"{display_path}: permission denied", "nothing was changed; run dtui as root")
        return EditRefused(
            f"{display_path} cannot be changed: it may be immutable", "lsattr tells; nothing was changed"
        )
    if error.errno in (errno.EBUSY, errno.EXDEV):
        return EditRefused(f"{display_path} is a mount point or in use", "nothing was changed")
    if error.errno == errno.EEXIST:
        return ChangedMeanwhile(f"{display_path} exists now", "look at it, then save again")
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return ChangedMeanwhile(
            f"{display_path}: its directory is gone", "the container was changed or removed meanwhile"
        )
    return EditRefused(f"{display_path}: {os.strerror(error.errno or 0).lower()}", "nothing was changed")


@contextmanager
def explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into ours, about a path that was to be changed."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


class NotDurable(EditRefused):
    """The new bytes are in place, but the disk did not confirm it."""

    tells_outcome = True


class FixedDirectory(EditRefused):
    """A directory that lets no name be taken away again."""


def refuse_fixed(dir_fd: int, path: bytes) -> None:
    """Raise FixedDirectory for a directory that is immutable or append-only: a temporary name would stay there."""
    if is_fixed(dir_fd):
        message = f"{printable(path)}: its directory is immutable or append-only"
        raise FixedDirectory(message, "lsattr -d tells; nothing was changed")


def new_file(dir_fd: int, temporary: bytes) -> tuple[int, bytes]:
    """Open a new file in a directory: without a name where the file system can (empty name), else the temporary one."""
    fd = unnamed_file(dir_fd)
    if fd is not None:
        return fd, b""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(temporary, flags, 0o600, dir_fd=dir_fd), temporary


def unnamed_file(dir_fd: int) -> int | None:
    """Open a new file without a name on the file system of a directory; None where there are none."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
    return None


def is_gone(dir_fd: int, name: bytes) -> bool:
    """Say whether a directory surely has no such name."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def temporary_name() -> bytes:
    """Return a name that no file has."""
    return b".dtui-" + secrets.token_hex(8).encode() + b"~"


@dataclass(frozen=True, slots=True)
class Placement:
    """How a new file gets its name: from ``temporary``, where what could not be removed stands.

    ``before_rename`` may raise to stop it; ``rename`` is how it is done. ``exclusive`` demands that the name is free.
    """

    temporary: bytes
    exclusive: bool
    before_rename: Callable[[], None]
    rename: Rename
    checkpoint: Checkpoint = no_checkpoint


def replace(dir_fd: int, name: bytes, data: Content, metadata: Metadata, placement: Placement) -> tuple[int, int]:
    """Write a new file and put it under a name in one step; return its inode number and size.

    Raises OSError while the name has its old file, NotDurable when it has the new one.
    """
    temporary, exclusive, checkpoint = placement.temporary, placement.exclusive, placement.checkpoint
    fd, named = new_file(dir_fd, temporary)
    try:
        checkpoint("created")
        reserve(fd, extents_of((data,)))
        written = write_extents(fd, extents_of((data,)))
        checkpoint("written")
        put_metadata(fd, metadata)
        os.fsync(fd)
        checkpoint("synced")
        if not named:
            named = b"" if exclusive else temporary
            os.link(f"/proc/self/fd/{fd}", named or name, dst_dir_fd=dir_fd, follow_symlinks=True)
            checkpoint("linked")
        placement.before_rename()
        if named:
            if exclusive:
                os.link(named, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
            else:
                placement.rename(dir_fd, named, dir_fd, name)
                named = b""
        checkpoint("renamed")
        try:
            os.fsync(dir_fd)
        except OSError as error:
            raise NotDurable("the new bytes are there, but the disk did not confirm it", "dmesg tells why") from error
        return os.fstat(fd).st_ino, written
    finally:
        if named:
            with suppress(OSError):
                os.unlink(named, dir_fd=dir_fd)
        os.close(fd)


def overwrite(
    fd: int,
    chunks: Callable[[], Iterable[Content]],
    metadata: Metadata,
    *,
    checkpoint: Checkpoint = no_checkpoint,
) -> int:
    """Overwrite an open file's own bytes; the caller holds a journal of the old ones. Returns the new size.

    Space is reserved first, so that a full disk leaves the old bytes. Raises OSError.
    """
    reserve(fd, extents_of(chunks()))
    checkpoint("reserved")
    written = write_extents(fd, extents_of(chunks()))
    checkpoint("written")
    put_metadata(fd, metadata)
    os.fsync(fd)
    checkpoint("synced")
    return written
