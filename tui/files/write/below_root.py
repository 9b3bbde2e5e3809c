"""Writing one file below a root: the new bytes under the old name, in one step or with a journal."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui.core import progress
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotFound
from tui.core.ids import ContainerId
from tui.core.progress import Phase
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.files.history import backups, journal
from tui.files.history.backups import BackupMode, BackupWriter, UndoKind
from tui.files.history.estimate import require_room
from tui.files.history.image_bytes import FromImage, not_from_image
from tui.files.tree.parent_defaults import placed_in
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.write import atomic
from tui.files.write.atomic import Checkpoint, Metadata
from tui.files.write.version import FileVersion, version_of
from tui.layers.private_mounts import Check, no_check
from tui.linux.admission import Need
from tui.linux.name_ops import NameOps, OwnNameOps
from tui.linux.rooted_paths import Root, is_mount_point, refuse_kernel_files, reopen_regular, split
from tui.linux.sparse import Content
from tui.linux.syscalls import is_fixed

_MAX_LINKS = 40
"""Links followed in one path, as in the kernel."""


@dataclass(frozen=True, slots=True)
class SaveResult:
    """What a save did: the real path written, how, and where the bytes it replaced are kept."""

    path: bytes
    in_place: bool
    created: bool
    bytes_written: int
    backup: Path | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """One save: what to write where, what the file was when it was read, and whether the container runs.

    ``keep`` says what becomes of the old bytes, ``why_not_aside`` why they cannot be set aside, and ``from_image``
    whether the image has them; ``shared`` that the layer's own file has several names, ``raw`` that it
    is written in the layer's directory itself. ``check`` raises once the container is being removed or has ended.
    """

    container_id: ContainerId
    path: bytes
    data: Content
    stamp: FileVersion | None
    create: bool
    mode: int | None
    checkpoint: Checkpoint
    name: str = ""
    mtime_ns: int | None = None
    kind: UndoKind | None = None
    wrote: str = ""
    only_new: bool = False
    in_place: bool = False
    keep: BackupMode = BackupMode.USUAL
    shared: bool = False
    running: bool = False
    raw: bool = False
    check: Check = no_check
    why_not_aside: str = ""
    from_image: FromImage = not_from_image
    hands: NameOps = field(default_factory=OwnNameOps)


class ReplacedSince(ChangedMeanwhile):
    """The new bytes were in place, and somebody replaced the file right after."""

    tells_outcome = True


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the old bytes of a file are kept on this host, and what to say of them."""

    data: Path | None
    notes: tuple[str, ...] = ()


_OVERWRITTEN = "its own bytes are overwritten in place"


@contextmanager
def keeping_old(job: SaveRequest, real: bytes, old: int | None, *, in_place: bool = False) -> Iterator[Kept]:
    """Keep what a save is about to replace; raises TooLarge.

    More than the limit needs no copy where the image has it, and the file is not overwritten ``in_place``.
    """
    if job.keep is BackupMode.NOTHING:
        yield Kept(None, ("no backup is kept",))
        return
    kind = job.kind or (UndoKind.CREATE if old is None else UndoKind.WRITE)
    wrote = hashlib.sha256(job.data).hexdigest()
    node = EntrySnapshot(real) if old is None else replace(snapshot_of(old, real, raw=job.raw), inode=(0, 0))
    if old is not None and not in_place and (job.keep is BackupMode.ASIDE or node.disk > backups.ACT_LIMIT):
        node = job.from_image(node)
    if not node.image:
        aside = _OVERWRITTEN if in_place else job.why_not_aside
        require_room(node.disk, job.keep, aside=aside if old is not None else "")
    progress.begin(Phase.KEEP, 0 if node.image else node.disk)
    keeper = BackupWriter(job.container_id, job.name, kind, real, wrote=wrote, keep=job.keep)
    try:
        keeper.add(node, None if node.image else old)
        act = keeper.commit()
    finally:
        keeper.discard()
    try:
        if job.mode is not None:  # else the mode is no part of what is taken back
            act.expect(replace(node, mode=job.mode))
        if node.image:
            yield Kept(None, ("the image has the old bytes",))
        else:
            yield Kept(act.data if old is not None else None)
    except (ReplacedSince, atomic.NotDurable):
        act.mark("done")
        raise
    except (DtuiError, OSError):  # the file is as it was
        act.forget()
        raise
    act.mark("done")


def source_path(root: Root, path: bytes) -> bytes:
    """Return the canonical path of the file to write; of a new one, its directory's with the name.

    A link that leads to nothing means the file that would be there.
    """
    for _ in range(_MAX_LINKS):
        try:
            return root.real_path(path)
        except NotFound:
            above, name = split(path)
            above = root.real_path(above).rstrip(b"/")
        target = root.target_of(above + b"/" + name)
        if not target:
            return above + b"/" + name
        path = target if target.startswith(b"/") else above + b"/" + target
    raise ChangedMeanwhile(f"{printable(path)} is a link again and again", "look at it, then do it again")


@contextmanager
def _old_file(root: Root, real: bytes) -> Iterator[int | None]:
    """Yield a descriptor of the file that is to be replaced, None when there is none."""
    try:
        fd = root.open_regular(real)
    except NotFound:
        fd = -1
    try:
        yield fd if fd >= 0 else None
    finally:
        if fd >= 0:
            os.close(fd)


def write_below(root: Root, job: SaveRequest, real: bytes) -> SaveResult:
    """Write below a root in which the kernel does copy-up: a mount of the layers, or a running container's own."""
    root.refuse_foreign(split(real)[0])
    with root.parent(real) as (dir_fd, name):
        refuse_kernel_files(dir_fd, real)
        with _old_file(root, real) as old:
            if old is None:
                root.admit(dir_fd, real, Need.CHANGE)
                return create(job, real, dir_fd, name)
            refuse_kernel_files(old, real)
            return _replace(root, job, real, dir_fd, name, old)


def _replace(root: Root, job: SaveRequest, real: bytes, dir_fd: int, name: bytes, old: int) -> SaveResult:
    before = check_stamp(job, real, old)
    metadata = new_metadata(job, atomic.metadata_of(old))
    status = os.fstat(old)
    several = status.st_nlink > 1 and (job.running or job.shared)
    # what was written in place where no name can be replaced is taken back the same way
    stays = is_mount_point(dir_fd, name) or (job.kind is UndoKind.UNDO and is_fixed(dir_fd))
    in_place = job.in_place or several or stays
    root.admit(old if in_place else dir_fd, real, Need.CHANGE)
    with keeping_old(job, real, old, in_place=in_place) as kept:
        if in_place:
            written, names = overwrite_below(root, job, real, old, before, metadata)
        else:
            written, names = rename_over(job, real, dir_fd, name, metadata, status), 1
    return SaveResult(real, in_place, False, written, kept.data, (*kept.notes, *split_note(status, names)))


def check_stamp(job: SaveRequest, real: bytes, old: int) -> FileVersion:
    """Return the stamp of the file to replace; raises ChangedMeanwhile when it is not the one that was read."""
    if job.only_new:
        raise EditRefused(f"{printable(real)} exists already", "edit it, or choose another name")
    now = version_of(old)
    if job.wrote and now.sha256 != job.wrote:
        raise ChangedMeanwhile(f"{printable(real)} was changed since", "dtui undo --force puts them back")
    if job.stamp is not None and now != job.stamp:
        raise ChangedMeanwhile(f"{printable(real)} was changed meanwhile", "look at the difference, then decide")
    return now


def new_metadata(job: SaveRequest, metadata: Metadata) -> Metadata:
    """Return the metadata of the new file: the old one's, with the mode and time that were asked for."""
    return replace(metadata, mode=metadata.mode if job.mode is None else job.mode, mtime_ns=job.mtime_ns)


def split_note(before: os.stat_result, names: int) -> tuple[str, ...]:
    """Say it where a file had several names and only one of them has the new bytes."""
    if before.st_nlink == 1 or names > 1:
        return ()
    return (f"{before.st_nlink} names shared this file; only this one changed",)


def rename_over(
    job: SaveRequest, real: bytes, dir_fd: int, name: bytes, metadata: Metadata, status: os.stat_result
) -> int:
    """Put a new file in the place of one; return its size. Raises ChangedMeanwhile, EditRefused."""

    def still_the_same() -> None:
        job.check()
        now = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
        ):
            raise ChangedMeanwhile(f"{printable(real)} was changed meanwhile", "look at the difference, then decide")

    atomic.refuse_fixed(dir_fd, real)
    temporary = atomic.temporary_name()
    record = journal.begin_rename(job.container_id, real, temporary)
    try:
        inode, written = atomic.replace(
            dir_fd,
            name,
            job.data,
            metadata,
            temporary=temporary,
            exclusive=False,
            before_rename=still_the_same,
            rename=job.hands.rename,
            checkpoint=job.checkpoint,
        )
    except OSError as error:
        raise atomic.explain(error, real) from error
    finally:
        if atomic.is_gone(dir_fd, temporary):
            journal.end(record)
    if os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_ino != inode:
        raise ReplacedSince(f"{printable(real)} was replaced right after the save", "read it again")
    return written


def create(job: SaveRequest, real: bytes, dir_fd: int, name: bytes) -> SaveResult:
    """Make a new file where there is none, with its directory's owner; raises NotFound unless one was asked for."""
    if not job.create:
        raise NotFound(f"{printable(real)} does not exist in the container", "--create makes a new file")
    given = metadata_in(job, dir_fd)
    with keeping_old(job, real, None):
        return SaveResult(real, False, True, put_new(job, real, dir_fd, name, given), None)


def metadata_in(job: SaveRequest, dir_fd: int) -> Metadata:
    """Return what a new file gets in a directory."""
    wanted = EntrySnapshot(job.path, EntryKind.FILE, 0o644 if job.mode is None else job.mode)
    made = placed_in(snapshot_of(dir_fd, split(job.path)[0]), wanted)
    return Metadata(made.mode, made.uid, made.gid, made.xattrs)


def put_new(job: SaveRequest, real: bytes, dir_fd: int, name: bytes, metadata: Metadata) -> int:
    """Put a new file under a name that is free; return its size."""
    atomic.refuse_fixed(dir_fd, real)
    temporary = atomic.temporary_name()
    record = journal.begin_rename(job.container_id, real, temporary)
    try:
        return atomic.replace(
            dir_fd,
            name,
            job.data,
            metadata,
            temporary=temporary,
            exclusive=True,
            before_rename=job.check,
            rename=job.hands.rename,
            checkpoint=job.checkpoint,
        )[1]
    except OSError as error:
        raise atomic.explain(error, real) from error
    finally:
        if atomic.is_gone(dir_fd, temporary):
            journal.end(record)


def overwrite_below(
    root: Root, job: SaveRequest, real: bytes, old: int, before: FileVersion, metadata: Metadata
) -> tuple[int, int]:
    """Overwrite a file's own bytes with a journal of the old ones; return its size and how many names it has."""
    job.check()
    fd = _open_to_write(root, real, old)
    try:
        record = journal.begin_in_place(job.container_id, real, old, job.data, before.sha256, metadata)
        try:
            now = os.fstat(fd)
            if (now.st_size, now.st_mtime_ns) != (before.size, before.mtime_ns):
                raise ChangedMeanwhile(f"{printable(real)} was changed meanwhile", "look at the difference first")
            written = atomic.overwrite(fd, lambda: (job.data,), metadata, checkpoint=job.checkpoint)
        except ChangedMeanwhile:
            journal.end(record)
            raise
        except OSError as error:
            _put_old_back(fd, record)
            journal.end(record)
            raise atomic.explain(error, real) from error
        except BaseException:  # nobody is to read half a file until the next start
            _put_old_back(fd, record)
            journal.end(record)
            raise
        journal.end(record)
        return written, os.fstat(fd).st_nlink
    finally:
        os.close(fd)


def _open_to_write(root: Root, real: bytes, old: int) -> int:
    """Open a file to write it, once it is sure that it is the one that was read: a device is never opened."""
    held = root.open_canonical(real)
    try:
        mine, theirs = os.fstat(held), os.fstat(old)
        if not stat.S_ISREG(mine.st_mode) or mine.st_ino != theirs.st_ino:
            raise ChangedMeanwhile(f"{printable(real)} was replaced meanwhile", "read it again")
        return reopen_regular(held, real, os.O_RDWR)
    except DtuiError as error:
        if isinstance(error.__cause__, OSError):
            raise atomic.explain(error.__cause__, real) from error
        raise
    finally:
        os.close(held)


def _put_old_back(fd: int, record: journal.Record) -> None:
    """Bring the old bytes back after a write failed; what fails too stays in the journal."""
    try:
        journal.put_old_back(record, fd)
    except OSError as worse:
        hint = f"the old bytes are in {record.data}; the next start of dtui puts them back"
        raise EditRefused(f"{printable(os.fsencode(record.path))}: the disk fails: {worse.strerror}", hint) from worse
