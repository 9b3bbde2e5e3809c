"""Write one file below a root: atomically by rename, or in place with a journal."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui.core import progress
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotFound
from tui.core.id_maps import HOST_IDS, IdMap
from tui.core.ids import ContainerId
from tui.core.progress import Phase
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.files.history import backups, journal
from tui.files.history.backups import BackupMode, BackupWriter, UndoKind
from tui.files.history.estimate import require_room
from tui.files.history.image_bytes import FromImage, not_from_image
from tui.files.tree.parent_defaults import inherited_from
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.write import atomic
from tui.files.write.atomic import Checkpoint, Placed, Placement, Scratch
from tui.files.write.metadata import Metadata, metadata_of
from tui.files.write.options import SaveOptions
from tui.files.write.unchanged import COMPARE, require_same_bytes, require_same_file, require_version
from tui.files.write.version import FileVersion, version_of
from tui.layers.private_mounts import Check, no_check
from tui.linux.admission import Need
from tui.linux.failures import explain_change
from tui.linux.name_ops import NameOps, OwnNameOps
from tui.linux.rooted_paths import Root, is_mount_point, refuse_kernel_files, reopen_to_write, split
from tui.linux.sparse import Content
from tui.linux.syscalls import is_fixed

_MAX_LINKS = 40
"""Links to follow in one path at most, as in the kernel."""


@dataclass(frozen=True, slots=True)
class SaveResult:
    """The result of a save: the canonical path, how it was written, and where the backup is."""

    path: bytes
    in_place: bool
    created: bool
    bytes_written: int
    backup: Path | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """One save: what to write and where, the file's version when it was read, and whether the container runs.

    ``why_not_aside`` says why the old bytes cannot be set aside, ``from_image`` marks an entry whose bytes the image
    has, ``shared`` means that the layer's file has hard links, and ``raw`` that it is written in the layer's own
    directory. ``check`` raises if the container is being removed or has ended.
    """

    container_id: ContainerId
    path: bytes
    data: Content
    stamp: FileVersion | None
    options: SaveOptions
    checkpoint: Checkpoint
    name: str = ""
    shared: bool = False
    running: bool = False
    raw: bool = False
    check: Check = no_check
    why_not_aside: str = ""
    from_image: FromImage = not_from_image
    hands: NameOps = field(default_factory=OwnNameOps)
    ids: IdMap = HOST_IDS


class ReplacedSince(ChangedMeanwhile):
    """Somebody replaced the file right after the new bytes were in place."""

    states_outcome = True


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the old bytes are kept on this host, and notes about them."""

    data: Path | None
    notes: tuple[str, ...] = ()


_OVERWRITTEN = "its own bytes are overwritten in place"


@contextmanager
def keeping_old(job: SaveRequest, canonical_path: bytes, old: int | None, *, in_place: bool = False) -> Iterator[Kept]:
    """Back up what a save is about to replace; raises TooLarge.

    A file beyond the limit needs no copy if the image has its bytes and it is not overwritten ``in_place``.
    """
    if job.options.keep is BackupMode.NOTHING:
        yield Kept(None, ("no backup is kept",))
        return
    kind = job.options.kind or (UndoKind.CREATE if old is None else UndoKind.WRITE)
    wrote = hashlib.sha256(job.data).hexdigest()
    node = (
        EntrySnapshot(canonical_path)
        if old is None
        else replace(snapshot_of(old, canonical_path, raw=job.raw), inode=(0, 0))
    )
    if old is not None and not in_place and (job.options.keep is BackupMode.ASIDE or node.disk > backups.ACT_LIMIT):
        node = job.from_image(node)
    if not node.image:
        aside = _OVERWRITTEN if in_place else job.why_not_aside
        require_room(node.disk, job.options.keep, aside=aside if old is not None else "")
    progress.begin(Phase.KEEP, 0 if node.image else node.disk)
    keeper = BackupWriter(job.container_id, job.name, kind, canonical_path, wrote=wrote, keep=job.options.keep)
    try:
        keeper.add(node, None if node.image else old)
        act = keeper.commit()
    finally:
        keeper.discard()
    try:
        if job.options.mode is not None:  # without a new mode, undo leaves the mode alone
            act.expect(replace(node, mode=job.options.mode))
        if node.image:
            yield Kept(None, ("the image has the old bytes",))
        else:
            yield Kept(act.data if old is not None else None)
    except (ReplacedSince, atomic.NotDurable):
        act.mark("done")
        raise
    except (DtuiError, OSError):  # the file is unchanged
        act.forget()
        raise
    act.mark("done")


def source_path(root: Root, path: bytes) -> bytes:
    """Return the canonical path of the file to write, whether or not it exists.

    A dangling link stands for the file it points to.
    """
    for _ in range(_MAX_LINKS):
        try:
            return root.real_path(path)
        except NotFound:
            parent, name = split(path)
            parent = root.real_path(parent).rstrip(b"/")
        target = root.target_of(parent + b"/" + name)
        if not target:
            return parent + b"/" + name
        path = target if target.startswith(b"/") else parent + b"/" + target
    raise ChangedMeanwhile(f"{printable(path)} is a link again and again", "look at it, then do it again")


@contextmanager
def _old_file(root: Root, canonical_path: bytes) -> Iterator[int | None]:
    """Yield a descriptor of the file to replace, None if there is none."""
    try:
        fd = root.open_regular(canonical_path)
    except NotFound:
        fd = -1
    try:
        yield fd if fd >= 0 else None
    finally:
        if fd >= 0:
            os.close(fd)


def write_below(root: Root, job: SaveRequest, canonical_path: bytes) -> SaveResult:
    """Write below a root where the kernel does copy-up: a mount of the layers, or a running container's root."""
    root.refuse_foreign(split(canonical_path)[0])
    with root.parent(canonical_path) as (dir_fd, name):
        refuse_kernel_files(dir_fd, canonical_path)
        with _old_file(root, canonical_path) as old:
            if old is None:
                root.admit(dir_fd, canonical_path, Need.WRITE)
                return create(job, canonical_path, dir_fd, name)
            refuse_kernel_files(old, canonical_path)
            return _replace(root, job, canonical_path, dir_fd, name, old)


def _replace(root: Root, job: SaveRequest, canonical_path: bytes, dir_fd: int, name: bytes, old: int) -> SaveResult:
    before = check_stamp(job, canonical_path, old)
    metadata = new_metadata(job, metadata_of(old))
    status = os.fstat(old)
    several = status.st_nlink > 1 and (job.running or job.shared)
    # undo of a write in place has to write in place, too, if the directory permits no new names
    stays = is_mount_point(dir_fd, name) or (job.options.kind is UndoKind.UNDO and is_fixed(dir_fd))
    in_place = job.options.in_place or several or stays
    if in_place:
        root.admit(old, canonical_path, Need.WRITE)
    else:
        root.admit_taking(dir_fd, name, canonical_path, replaced_fd=old)
    with keeping_old(job, canonical_path, old, in_place=in_place) as backup_path:
        if in_place:
            written, names = overwrite_below(root, job, canonical_path, old, before, metadata)
        else:
            written, names = rename_over(job, canonical_path, dir_fd, name, metadata, status), 1
    return SaveResult(
        canonical_path, in_place, False, written, backup_path.data, (*backup_path.notes, *split_note(status, names))
    )


def check_stamp(job: SaveRequest, canonical_path: bytes, old: int) -> FileVersion:
    """Return the version of the file to replace; raises ChangedMeanwhile if it differs from the one that was read."""
    return require_version(canonical_path, version_of(old), job.stamp, job.options)


def new_metadata(job: SaveRequest, metadata: Metadata) -> Metadata:
    """Return the metadata of the new file: those of the old one, with the requested mode and time."""
    return replace(
        metadata, mode=metadata.mode if job.options.mode is None else job.options.mode, mtime_ns=job.options.mtime_ns
    )


def split_note(before: os.stat_result, names: int) -> tuple[str, ...]:
    """Return a note if the file had hard links and only one of them has the new bytes."""
    if before.st_nlink == 1 or names > 1:
        return ()
    return (f"{before.st_nlink} names shared this file; only this one changed",)


def rename_over(
    job: SaveRequest, canonical_path: bytes, dir_fd: int, name: bytes, metadata: Metadata, status: os.stat_result
) -> int:
    """Replace a file by rename; return the new size. Raises ChangedMeanwhile, EditRefused."""

    def still_the_same() -> None:
        job.check()
        require_same_file(canonical_path, os.stat(name, dir_fd=dir_fd, follow_symlinks=False), status)

    placed = _place(job, canonical_path, dir_fd, name, metadata, before_rename=still_the_same, exclusive=False)
    if os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_ino != placed.inode:
        raise ReplacedSince(f"{printable(canonical_path)} was replaced right after the save", "read it again")
    return placed.size


def create(job: SaveRequest, canonical_path: bytes, dir_fd: int, name: bytes) -> SaveResult:
    """Create a file with its directory's owner; raises NotFound unless ``create`` was requested."""
    if not job.options.create:
        raise NotFound(f"{printable(canonical_path)} does not exist in the container", "--create makes a new file")
    metadata = inherited_metadata(job, dir_fd)
    with keeping_old(job, canonical_path, None):
        return SaveResult(canonical_path, False, True, put_new(job, canonical_path, dir_fd, name, metadata), None)


def inherited_metadata(job: SaveRequest, dir_fd: int) -> Metadata:
    """Return the metadata of a new file in a directory."""
    new_node = EntrySnapshot(job.path, EntryKind.FILE, 0o644 if job.options.mode is None else job.options.mode)
    placed_node = inherited_from(snapshot_of(dir_fd, split(job.path)[0]), new_node, job.ids)
    return Metadata(placed_node.mode, placed_node.uid, placed_node.gid, placed_node.xattrs)


def put_new(job: SaveRequest, canonical_path: bytes, dir_fd: int, name: bytes, metadata: Metadata) -> int:
    """Create a file under a free name; return its size."""
    return _place(job, canonical_path, dir_fd, name, metadata, before_rename=job.check, exclusive=True).size


def _place(
    job: SaveRequest,
    canonical_path: bytes,
    dir_fd: int,
    name: bytes,
    metadata: Metadata,
    *,
    before_rename: Callable[[], None],
    exclusive: bool,
) -> Placed:
    """Create a file with the new bytes, and record its temporary name in the journal first."""
    atomic.refuse_fixed(dir_fd, canonical_path)
    scratch = Scratch(dir_fd, atomic.temporary_name())
    placement = Placement(
        dir_fd,
        name,
        exclusive=exclusive,
        scratch=lambda: scratch,
        before_rename=before_rename,
        rename=job.hands.rename,
        checkpoint=job.checkpoint,
    )
    record = journal.begin_rename(job.container_id, canonical_path, scratch.name)
    try:
        placed = atomic.place(atomic.file_with(job.data, metadata), placement)
        atomic.confirm_names(dir_fd)
        return placed
    except OSError as error:
        raise explain_change(error, canonical_path) from error
    finally:
        if atomic.is_gone(*scratch):
            journal.end(record)


def overwrite_below(
    root: Root, job: SaveRequest, canonical_path: bytes, old: int, before: FileVersion, metadata: Metadata
) -> tuple[int, int]:
    """Overwrite a file in place with a journal; return its size and its number of hard links."""
    job.check()
    fd = _open_to_write(root, canonical_path, old)
    try:
        record = journal.begin_in_place(job.container_id, canonical_path, old, job.data, before.sha256, metadata)
        try:
            require_same_bytes(canonical_path, os.fstat(fd), before.size, before.mtime_ns, COMPARE)
            written = atomic.overwrite(fd, lambda: (job.data,), metadata, checkpoint=job.checkpoint)
        except ChangedMeanwhile:
            journal.end(record)
            raise
        except OSError as error:
            _put_old_back(fd, record)
            journal.end(record)
            raise explain_change(error, canonical_path) from error
        except BaseException:  # a half-written file must not stay until the next start
            _put_old_back(fd, record)
            journal.end(record)
            raise
        journal.end(record)
        return written, os.fstat(fd).st_nlink
    finally:
        os.close(fd)


def _open_to_write(root: Root, canonical_path: bytes, old: int) -> int:
    """Open a file for writing if it still is the one that was read; a device is never opened."""
    path_fd = root.open_canonical(canonical_path)
    try:
        current_status, old_status = os.fstat(path_fd), os.fstat(old)
        if not stat.S_ISREG(current_status.st_mode) or current_status.st_ino != old_status.st_ino:
            raise ChangedMeanwhile(f"{printable(canonical_path)} was replaced meanwhile", "read it again")
        return reopen_to_write(path_fd, canonical_path)
    except DtuiError as error:
        if isinstance(error.__cause__, OSError):
            raise explain_change(error.__cause__, canonical_path) from error
        raise
    finally:
        os.close(path_fd)


def _put_old_back(fd: int, record: journal.Record) -> None:
    """Restore the old bytes after a failed write; if that fails too, the journal still has them."""
    try:
        journal.put_old_back(record, fd)
    except OSError as worse:
        hint = f"the old bytes are in {record.data}; the next start of dtui puts them back"
        raise EditRefused(f"{printable(os.fsencode(record.path))}: the disk fails: {worse.strerror}", hint) from worse
