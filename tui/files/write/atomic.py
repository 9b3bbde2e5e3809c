"""An entry is made whole where nobody looks and named in one step, or a file's own bytes are overwritten.

Space is reserved before the first byte, and none for zeros: they become holes, or stay what they are.
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
"""Called between the steps of a write with the step's name; tests end the process there."""

Fill = Callable[[int], int]
"""Writes the bytes of a new file into an open one and returns its size; raises OSError."""

Rename = Callable[[int, bytes, int, bytes, int], None]
"""Gives a name in one directory another in the same or another one, by the flags of renameat2; raises OSError."""


def no_checkpoint(step: str) -> None:
    """Do nothing between steps."""
    del step


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


# what is made ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry that is to be made; in the ``raw`` directory of a layer overlay's marks are not its own.

    ``link_to`` is an O_PATH descriptor of the file to which it is to be one name more, with what that file is.
    """

    kind: EntryKind
    metadata: Metadata
    fill: Fill | None = None
    link_to: int | None = None
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    """What mknod takes: type and number."""
    raw: bool = False
    exact: bool = True
    """Whether what a directory gives to what is made in it, such as an ACL, is taken away again."""


def entry_like(node: EntrySnapshot, data: int | None, *, raw: bool) -> NewEntry:
    """Return an entry as a snapshot tells of it, a file with ``node.size`` bytes at ``node.offset`` of ``data``."""

    def fill(fd: int) -> int:
        if data is not None:
            for _ in copy_data(data, node.offset, node.size, fd, 0, node.path):
                pass
        if os.fstat(fd).st_size != node.size:  # it ends in a hole, or there are no bytes
            os.ftruncate(fd, node.size)
        return node.size

    kind = node.kind or EntryKind.FILE
    return NewEntry(kind, metadata_in(node), fill, None, node.target, (node.type_bits, node.rdev), raw)


def name_of(link_to: int) -> NewEntry:
    """Return one name more of the file that an O_PATH descriptor holds."""
    return NewEntry(EntryKind.FILE, Metadata(None, 0, 0), link_to=link_to)


def file_with(content: Content, metadata: Metadata) -> NewEntry:
    """Return a file with some bytes."""

    def fill(fd: int) -> int:
        reserve(fd, extents_of((content,)))
        return write_extents(fd, extents_of((content,)))

    return NewEntry(EntryKind.FILE, metadata, fill)


class Scratch(NamedTuple):
    """Where an entry stands until it is whole: a directory on the same mount as its goal, and a name in it."""

    dir_fd: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a new entry gets its name, and how.

    ``exclusive`` demands that the name is free. ``scratch`` is asked for where the entry must have a name before.
    ``before_rename`` may raise to stop it; ``synced`` makes a file durable before it gets its name.
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
    """What was placed: its inode and, of a file, its size."""

    inode: int
    size: int


def place(entry: NewEntry, placement: Placement) -> Placed:
    """Make an entry whole and put it under its name in one step, over what is there unless that is exclusive.

    Raises OSError while the name is what it was; nothing of the entry is left then.
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
            placement.before_rename()  # the bytes may have taken long
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
    """Wait until a directory's names are on the disk; raises NotDurable."""
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
    """Overwrite an open file's own bytes; the caller holds a journal of the old ones. Returns the new size.

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
    """Open a new file in a directory to read and write it; raises FileExistsError where the name is taken."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dir_fd)


def unnamed_file(dir_fd: int) -> int | None:
    """Open a new file without a name on the file system of a directory; None where there are none."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
    return None


def link_descriptor(fd: int, dir_fd: int, name: bytes) -> None:
    """Give the file that a descriptor holds a name, or one more; raises OSError."""
    os.link(path_of(fd), name, dst_dir_fd=dir_fd, follow_symlinks=True)


def make_directory(dir_fd: int, name: bytes, mode: int) -> None:
    """Make a directory; raises FileExistsError where the name is taken."""
    os.mkdir(name, mode, dir_fd=dir_fd)


def make_symlink(dir_fd: int, name: bytes, target: bytes) -> None:
    """Make a link; raises FileExistsError where the name is taken."""
    os.symlink(target, name, dir_fd=dir_fd)


def remove_any(dir_fd: int, name: bytes) -> None:
    """Remove a file or an empty directory; raises OSError."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=dir_fd)


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


def dress(dir_fd: int, name: bytes, node: EntrySnapshot, *, raw: bool) -> None:
    """Give what stands under a name the metadata of a snapshot; raises OSError.

    A link where there was none, or the other way round, was put there meanwhile: ESTALE.
    """
    fd = open_child(dir_fd, name, os.O_PATH) if name != b"." else os.dup(dir_fd)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode) != (node.kind is EntryKind.SYMLINK):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        apply_metadata(path_of(fd), metadata_in(node), raw=raw)
    finally:
        os.close(fd)
