"""Saving a file of a container: the only entry to writing. Pinned to what was seen, locked, checked, undoable."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotFound
from tui.core.model import Details
from tui.core.text import printable
from tui.editing import atomic, backups, journal
from tui.editing.atomic import Checkpoint, Metadata, no_checkpoint
from tui.editing.session import (
    covering_mount,
    privileged,
    reading,
    refuse_covered,
    refuse_state,
    running_root,
    stack_of,
)
from tui.editing.stamp import Stamp, stamp_of
from tui.editing.state import container_lock
from tui.layers.mounts import in_use, write_view
from tui.layers.paths import Root, clean, is_mount_point, split
from tui.layers.view import LayerView


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a save did: the real path written, how, and where the bytes it replaced are kept."""

    path: bytes
    in_place: bool
    created: bool
    bytes_written: int
    backup: Path | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    container_id: str
    path: bytes
    data: bytes
    stamp: Stamp | None
    create: bool
    mode: int | None
    checkpoint: Checkpoint
    running: bool = False


def save(
    container_id: str,
    path: bytes,
    data: bytes,
    stamp: Stamp | None,
    *,
    inspect: Callable[[str], Details],
    create: bool = False,
    mode: int | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> Receipt:
    """Replace a file's bytes, safely in whatever state the container is, and keep owner, mode and attributes.

    ``stamp`` is what the file was when it was read; None writes over whatever is there. ``create`` makes a new file,
    with the owner of its directory and mode 0644 unless ``mode`` says otherwise. Raises ChangedMeanwhile when the
    file or the container is not as it was, EditRefused for what cannot be done safely; the file is old or new then.
    """
    job = _Job(container_id, clean(path), data, stamp, create, mode, checkpoint)
    with container_lock(container_id):
        details = inspect(container_id)
        refuse_state(details)
        if details.container.state.alive:
            with running_root(details) as root:
                receipt = _write(root, replace(job, running=True), _source(root, job.path))
        else:
            receipt = _save_at_rest(details, job)
        return _look_again(details, inspect, receipt)


def _save_at_rest(details: Details, job: _Job) -> Receipt:
    stack = stack_of(details)
    with LayerView.open(stack, details.mounts) as view:
        real = view.resolve(job.path)
    refuse_covered(details, real)
    if not privileged():
        return _save_by_hand(details, job, real)
    if in_use(stack):
        raise ChangedMeanwhile("the container's layer is in use", "the container was started: look at it again")
    with write_view(stack) as root:
        return _write(root, job, _source(root, job.path))


def _source(root: Root, path: bytes) -> bytes:
    """Return the canonical path of the file to write; of a new one, its directory's with the name."""
    try:
        return root.real_path(path)
    except NotFound:
        above, name = split(path)
        return root.real_path(above).rstrip(b"/") + b"/" + name


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


def _write(root: Root, job: _Job, real: bytes) -> Receipt:
    """Write below a root in which the kernel does copy-up: a mount of the layers, or a running container's own."""
    with root.parent(real) as (dir_fd, name), _old_file(root, real) as old:
        if old is None:
            return _create(job, real, dir_fd, name)
        before = _check_stamp(job, real, old)
        metadata = _new_metadata(job, atomic.metadata_of(old))
        kept = backups.keep(job.container_id, real, old, before)
        status = os.fstat(old)
        in_place = is_mount_point(dir_fd, name) or (status.st_nlink > 1 and job.running)
        if in_place:
            written = _overwrite(root, job, real, old, before, metadata)
        else:
            written = _rename_over(job, real, dir_fd, name, metadata, status)
        return Receipt(real, in_place, False, written, kept, _kept_note(kept))


def _check_stamp(job: _Job, real: bytes, old: int) -> Stamp:
    now = stamp_of(old)
    if job.stamp is not None and now != job.stamp:
        raise ChangedMeanwhile(f"{printable(real)} was changed meanwhile", "look at the difference, then decide")
    return now


def _new_metadata(job: _Job, metadata: Metadata) -> Metadata:
    if job.mode is None:
        return metadata
    return Metadata(job.mode, metadata.uid, metadata.gid, metadata.xattrs)


def _kept_note(kept: Path | None) -> tuple[str, ...]:
    return () if kept else ("the replaced file was too large to keep a backup of",)


def _rename_over(job: _Job, real: bytes, dir_fd: int, name: bytes, metadata: Metadata, status: os.stat_result) -> int:
    def still_the_same() -> None:
        now = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
        ):
            raise ChangedMeanwhile(f"{printable(real)} was changed meanwhile", "look at the difference, then decide")

    temporary = atomic.temporary_name()
    record = journal.begin_rename(job.container_id, real, temporary)
    try:
        inode, written = atomic.replace(
            dir_fd,
            name,
            (job.data,),
            metadata,
            size=len(job.data),
            temporary=temporary,
            exclusive=False,
            before_rename=still_the_same,
            checkpoint=job.checkpoint,
        )
    except OSError as error:
        raise atomic.explain(error, real) from error
    finally:
        journal.end(record)
    if os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_ino != inode:
        raise ChangedMeanwhile(f"{printable(real)} was replaced right after the save", "read it again")
    return written


def _create(job: _Job, real: bytes, dir_fd: int, name: bytes) -> Receipt:
    if not job.create:
        raise NotFound(f"{printable(real)} does not exist in the container", "--create makes a new file")
    parent = os.fstat(dir_fd)
    metadata = Metadata(0o644 if job.mode is None else job.mode, parent.st_uid, parent.st_gid)
    temporary = atomic.temporary_name()
    record = journal.begin_rename(job.container_id, real, temporary)
    try:
        _, written = atomic.replace(
            dir_fd,
            name,
            (job.data,),
            metadata,
            size=len(job.data),
            temporary=temporary,
            exclusive=True,
            before_rename=lambda: None,
            checkpoint=job.checkpoint,
        )
    except OSError as error:
        raise atomic.explain(error, real) from error
    finally:
        journal.end(record)
    return Receipt(real, False, True, written, None)


def _overwrite(root: Root, job: _Job, real: bytes, old: int, before: Stamp, metadata: Metadata) -> int:
    try:
        fd = root.open_path(real, follow=False, flags=os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    except DtuiError as error:
        raise EditRefused(f"{printable(real)} cannot be written in place: {error.message}", error.hint) from error
    try:
        mine, theirs = os.fstat(fd), os.fstat(old)
        if not stat.S_ISREG(mine.st_mode) or mine.st_ino != theirs.st_ino:
            raise ChangedMeanwhile(f"{printable(real)} was replaced meanwhile", "read it again")
        record = journal.begin_in_place(job.container_id, real, old, job.data, before.sha256, metadata)
        try:
            written = atomic.overwrite(fd, (job.data,), metadata, size=len(job.data), checkpoint=job.checkpoint)
        except OSError as error:
            atomic.overwrite(fd, (record.data.read_bytes(),), metadata, size=before.size)
            journal.end(record)
            raise atomic.explain(error, real) from error
        journal.end(record)
        return written
    finally:
        os.close(fd)


def _save_by_hand(details: Details, job: _Job, real: bytes) -> Receipt:
    """Save in a user's own data-root, without a mount: make the parents in the writable layer, then rename into it.

    Only for a container at rest. The kernel allows changes of the upper directory while no overlay is mounted
    (overlayfs.rst, "Offline changes"); there is nobody but this user who could have mounted it.
    """
    stack = stack_of(details)
    above, _ = split(real)
    with LayerView.open(stack) as view, Root.open(stack.writable.path) as upper:
        _make_parents(view, upper, above)
        with upper.parent(real) as (dir_fd, name):
            try:
                with reading(details, real) as old:
                    before = _check_stamp(job, real, old)
                    metadata = _new_metadata(job, atomic.metadata_of(old))
                    kept = backups.keep(job.container_id, real, old, before)
            except NotFound:
                return _create(job, real, dir_fd, name)
            own = Metadata(metadata.mode, os.geteuid(), os.getegid(), metadata.xattrs)
            written = _put_into_layer(job, real, dir_fd, name, own)
            return Receipt(real, False, False, written, kept, _kept_note(kept))


def _put_into_layer(job: _Job, real: bytes, dir_fd: int, name: bytes, metadata: Metadata) -> int:
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return _create(replace(job, create=True, mode=metadata.mode), real, dir_fd, name).bytes_written
    return _rename_over(job, real, dir_fd, name, metadata, status)


def _make_parents(view: LayerView, upper: Root, path: bytes) -> None:
    done = b""
    for part in filter(None, path.split(b"/")):
        done += b"/" + part
        with upper.parent(done) as (dir_fd, name):
            entry = view.lookup(done, follow=False)
            try:
                os.mkdir(name, dir_fd=dir_fd)
            except FileExistsError:
                continue
            except OSError as error:
                raise atomic.explain(error, done) from error
            os.chmod(name, entry.mode, dir_fd=dir_fd)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=dir_fd)


def _look_again(before: Details, inspect: Callable[[str], Details], receipt: Receipt) -> Receipt:
    """Look whether the container was started or stopped while we wrote, and say so."""
    notes = list(receipt.notes)
    try:
        after = inspect(before.container.id)
    except NotFound:
        notes.append("the container was removed meanwhile, and the file with it")
    else:
        if after.session_key != before.session_key:
            notes.append(f"the container is {after.container.state} now: make sure that it sees the new file")
        elif receipt.in_place and (mount := covering_mount(before, receipt.path)):
            notes.append(f"written through to {printable(mount.source)}")
    return Receipt(receipt.path, receipt.in_place, receipt.created, receipt.bytes_written, receipt.backup, tuple(notes))
