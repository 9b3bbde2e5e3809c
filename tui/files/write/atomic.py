"""Create entries out of sight and rename them into place in one step, or overwrite a file's own bytes.

Space is reserved before the first byte is written. Zeros take none: they become or stay holes.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from tui.core.errors import EditRefused
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.write.metadata import Metadata, apply_metadata, metadata_in, path_of
from tui.linux.name_ops import NO_REPLACE, OwnNameOps
from tui.linux.rooted_paths import open_child
from tui.linux.sparse import Content, copy_data, extents_of, reserve, write_extents
from tui.linux.syscalls import is_fixed

Checkpoint = Callable[[str], None]
"""Called with the name of each step of a write; tests kill the process there."""

Fill = Callable[[int], int]
"""Writes the content of a new file to a descriptor and returns its size; raises OSError."""

Rename = Callable[[int, bytes, int, bytes, int], None]
"""Renames between two directories, with the flags of renameat2; raises OSError."""


def no_checkpoint(step: str) -> None:
    """Do nothing."""
    del step


class NotDurable(EditRefused):
    """The new bytes are in place, but could not be synced."""

    states_outcome = True


class FixedDirectory(EditRefused):
    """The directory does not permit removing names."""


def refuse_fixed(dir_fd: int, path: bytes) -> None:
    """Raise FixedDirectory if a directory is immutable or append-only, since a temporary name could not be removed."""
    if is_fixed(dir_fd):
        message = f"{printable(path)}: its directory is immutable or append-only"
        raise FixedDirectory(message, "lsattr -d tells; nothing was changed")


# what is made ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to create; ``raw`` means in a layer's own directory, where overlay's attributes are marks.

    ``link_to`` is an O_PATH descriptor of an existing file to hard-link instead.
    """

    kind: EntryKind
    metadata: Metadata
    fill: Fill | None = None
    link_to: int | None = None
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    """The type and device number for mknod."""
    raw: bool = False
    exact: bool = True
    """Whether to remove attributes that the parent directory passed on, such as an ACL."""


def entry_like(node: EntrySnapshot, data: int | None, *, raw: bool) -> NewEntry:
    """Return an entry as in a snapshot; a file gets ``node.size`` bytes at ``node.offset`` of ``data``."""

    def fill(fd: int) -> int:
        if data is not None:
            for _ in copy_data(data, node.offset, node.size, fd, 0, node.path):
                pass
        if os.fstat(fd).st_size != node.size:  # it ends in a hole, or has no bytes
            os.ftruncate(fd, node.size)
        return node.size

    kind = node.kind or EntryKind.FILE
    return NewEntry(kind, metadata_in(node), fill, None, node.target, (node.type_bits, node.rdev), raw)


def name_of(link_to: int) -> NewEntry:
    """Return a hard link to the file of an O_PATH descriptor."""
    return NewEntry(EntryKind.FILE, Metadata(None, 0, 0), link_to=link_to)


def file_with(content: Content, metadata: Metadata) -> NewEntry:
    """Return a file with the given content."""

    def fill(fd: int) -> int:
        reserve(fd, extents_of((content,)))
        return write_extents(fd, extents_of((content,)))

    return NewEntry(EntryKind.FILE, metadata, fill)


class Scratch(NamedTuple):
    """A directory on the target's mount, and a temporary name in it."""

    dir_fd: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a new entry gets its name.

    ``exclusive`` requires that the name is free. ``scratch`` is called if the entry needs a temporary name.
    ``before_rename`` may raise to cancel; ``synced`` syncs a file before it gets its name.
    """

    dir_fd: int
    name: bytes
    exclusive: bool
    scratch: Callable[[], Scratch]
    before_rename: Callable[[], None]
    rename: Rename = OwnNameOps().rename
    synced: bool = True
    checkpoint: Checkpoint = no_checkpoint


class Placed(NamedTuple):
    """The inode of a new entry and, of a file, its size."""

    inode: int
    size: int


def place(entry: NewEntry, placement: Placement) -> Placed:
    """Create an entry and give it its name in one step, replacing what is there unless ``exclusive``.

    Raises OSError; then the name is unchanged and nothing of the entry is left.
    """
    if entry.link_to is not None:
        return _place_link(entry.link_to, placement)
    if entry.kind is EntryKind.FILE:
        return _place_file(entry, placement)
    scratch = placement.scratch()
    try:
        _make(entry, scratch)
        fd = open_child(scratch.dir_fd, scratch.name, os.O_PATH)
        try:
            apply_metadata(path_of(fd), entry.metadata, exact=entry.exact, raw=entry.raw)
            inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        _rename_to_its_name(scratch, placement)
    except BaseException:
        _withdraw(scratch)
        raise
    return Placed(inode, 0)


def _make(entry: NewEntry, scratch: Scratch) -> None:
    if entry.kind is EntryKind.DIRECTORY:
        os.mkdir(scratch.name, 0o700, dir_fd=scratch.dir_fd)
    elif entry.kind is EntryKind.SYMLINK:
        os.symlink(entry.target, scratch.name, dir_fd=scratch.dir_fd)
    else:
        type_bits, number = entry.device
        os.mknod(scratch.name, type_bits | 0o600, number, dir_fd=scratch.dir_fd)


def _place_link(link_to: int, placement: Placement) -> Placed:
    status = os.fstat(link_to)
    if placement.exclusive:
        placement.before_rename()
        link_descriptor(link_to, placement.dir_fd, placement.name)
        return Placed(status.st_ino, status.st_size)
    scratch = placement.scratch()
    try:
        link_descriptor(link_to, *scratch)
        _rename_to_its_name(scratch, placement)
    except BaseException:
        _withdraw(scratch)
        raise
    return Placed(status.st_ino, status.st_size)


def _place_file(entry: NewEntry, placement: Placement) -> Placed:
    scratch = None
    fd = unnamed_file(placement.dir_fd)
    if fd is None:
        scratch = placement.scratch()
        fd = new_file(*scratch)
    try:
        placement.checkpoint("created")
        size = entry.fill(fd) if entry.fill else 0
        placement.checkpoint("written")
        apply_metadata(fd, entry.metadata, exact=entry.exact, raw=entry.raw)
        if placement.synced:
            os.fsync(fd)
        placement.checkpoint("synced")
        if scratch is None and placement.exclusive:
            placement.before_rename()  # writing the bytes may have taken long
            link_descriptor(fd, placement.dir_fd, placement.name)
            placement.checkpoint("linked")
        else:
            if scratch is None:
                scratch = placement.scratch()
                link_descriptor(fd, *scratch)
                placement.checkpoint("linked")
            _rename_to_its_name(scratch, placement)
        placement.checkpoint("renamed")
        return Placed(os.fstat(fd).st_ino, size)
    except BaseException:
        if scratch is not None:
            _withdraw(scratch)
        raise
    finally:
        os.close(fd)


def _rename_to_its_name(scratch: Scratch, placement: Placement) -> None:
    placement.before_rename()
    flags = NO_REPLACE if placement.exclusive else 0
    placement.rename(scratch.dir_fd, scratch.name, placement.dir_fd, placement.name, flags)


def _withdraw(scratch: Scratch) -> None:
    with suppress(OSError):
        remove_any(scratch.dir_fd, scratch.name)


def confirm_names(dir_fd: int) -> None:
    """Sync a directory; raises NotDurable."""
    try:
        os.fsync(dir_fd)
    except OSError as error:
        raise NotDurable("the new bytes are there, but the disk did not confirm it", "dmesg tells why") from error


def overwrite(
    fd: int,
    chunks: Callable[[], Iterable[Content]],
    metadata: Metadata,
    *,
    checkpoint: Checkpoint = no_checkpoint,
) -> int:
    """Overwrite a file's own bytes and return its new size; the caller keeps the old ones in the journal.

    Space is reserved first, so that a full disk leaves the old bytes. Raises OSError.
    """
    reserve(fd, extents_of(chunks()))
    checkpoint("reserved")
    written = write_extents(fd, extents_of(chunks()))
    checkpoint("written")
    apply_metadata(fd, metadata, exact=False)
    os.fsync(fd)
    checkpoint("synced")
    return written


# single names ------------------------------------------------------------------------------------------------


def new_file(dir_fd: int, name: bytes, mode: int = 0o600) -> int:
    """Create a file and open it for reading and writing; raises FileExistsError."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dir_fd)


def unnamed_file(dir_fd: int) -> int | None:
    """Open a new file without a name on a directory's file system; None if that has no support for it."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
    return None


def link_descriptor(fd: int, dir_fd: int, name: bytes) -> None:
    """Create a hard link to an open file; raises OSError."""
    os.link(path_of(fd), name, dst_dir_fd=dir_fd, follow_symlinks=True)


def make_directory(dir_fd: int, name: bytes, mode: int) -> None:
    """Create a directory; raises FileExistsError."""
    os.mkdir(name, mode, dir_fd=dir_fd)


def make_symlink(dir_fd: int, name: bytes, target: bytes) -> None:
    """Create a symbolic link; raises FileExistsError."""
    os.symlink(target, name, dir_fd=dir_fd)


def remove_any(dir_fd: int, name: bytes) -> None:
    """Remove a file or an empty directory; raises OSError."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=dir_fd)


def is_gone(dir_fd: int, name: bytes) -> bool:
    """Return whether a name surely does not exist."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def temporary_name() -> bytes:
    """Return a random temporary name."""
    return b".dtui-" + secrets.token_hex(8).encode() + b"~"


def dress(dir_fd: int, name: bytes, node: EntrySnapshot, *, raw: bool) -> None:
    """Set an entry's metadata to those of a snapshot; raises OSError.

    ESTALE if a link was replaced by something else, or the reverse.
    """
    fd = open_child(dir_fd, name, os.O_PATH) if name != b"." else os.dup(dir_fd)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode) != (node.kind is EntryKind.SYMLINK):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        apply_metadata(path_of(fd), metadata_in(node), raw=raw)
    finally:
        os.close(fd)
