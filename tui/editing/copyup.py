"""Saving where no kernel does the copy-up: layers of aufs and fuse-overlayfs, and a data-root of the user's own.

Only for a container at rest. Offline changes of an upper directory are allowed while the union is not mounted
(kernel: overlayfs.rst, "Offline changes"; aufs and fuse-overlayfs read their branches anew with each mount).
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from tui.core.errors import EditRefused, NotFound
from tui.core.model import Details
from tui.core.text import printable
from tui.editing import atomic, backups, journal
from tui.editing.atomic import Metadata
from tui.editing.session import reading, stack_of
from tui.editing.writing import Job, Receipt, check_stamp, create, kept_note, new_metadata, rename_over
from tui.layers.paths import Root, split
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_mark, is_whiteout, mark_of


def save_by_hand(details: Details, job: Job, real: bytes) -> Receipt:
    """Make the directories above a file in the writable layer, then put the new file there."""
    stack = stack_of(details)
    above, name = split(real)
    if is_mark(name, stack.marks):
        raise EditRefused(f"{printable(name)} is a name that {stack.driver.name} keeps for itself", "choose another")
    with LayerView.open(stack) as view, Root.open(stack.writable.path) as upper:
        _make_parents(view, upper, above, job)
        with upper.parent(real) as (dir_fd, name):
            receipt = _put(details, job, real, dir_fd, name)
            mark = mark_of(name, stack.marks)
            if mark:
                with suppress(FileNotFoundError):
                    os.unlink(mark, dir_fd=dir_fd)
            return receipt


def _put(details: Details, job: Job, real: bytes, dir_fd: int, name: bytes) -> Receipt:
    try:
        with reading(details, real) as old:
            before = check_stamp(job, real, old)
            metadata = _mine(new_metadata(job, atomic.metadata_of(old)))
            kept = backups.keep(job.container_id, real, old, before)
    except NotFound:
        return _create(job, real, dir_fd, name)
    written = _put_into_layer(job, real, dir_fd, name, metadata)
    return Receipt(real, False, False, written, kept, kept_note(kept))


def _create(job: Job, real: bytes, dir_fd: int, name: bytes) -> Receipt:
    """Make a new file; a whiteout in its place is replaced in the same step."""
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if job.create and is_whiteout(status):
            parent = os.fstat(dir_fd)
            metadata = Metadata(0o644 if job.mode is None else job.mode, parent.st_uid, parent.st_gid)
            return Receipt(real, False, True, rename_over(job, real, dir_fd, name, metadata, status), None)
    return create(job, real, dir_fd, name)


def _mine(metadata: Metadata) -> Metadata:
    """Return metadata that this process can give: only root can give files away."""
    if os.geteuid() == 0:
        return metadata
    return replace(metadata, uid=os.geteuid(), gid=os.getegid())


def _put_into_layer(job: Job, real: bytes, dir_fd: int, name: bytes, metadata: Metadata) -> int:
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return create(job, real, dir_fd, name, metadata).bytes_written
    return rename_over(job, real, dir_fd, name, metadata, status)


def _make_parents(view: LayerView, upper: Root, path: bytes, job: Job) -> None:
    """Copy directories up, outermost first, each with its owner, mode, attributes and time before it gets its name."""
    done = b""
    for part in filter(None, path.split(b"/")):
        done += b"/" + part
        with upper.parent(done) as (dir_fd, name):
            try:
                os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            except FileNotFoundError:
                _copy_directory(view, done, dir_fd, name, job)


def _copy_directory(view: LayerView, path: bytes, dir_fd: int, name: bytes, job: Job) -> None:
    entry = view.lookup(path, follow=False)
    temporary = atomic.temporary_name()
    record = journal.begin_rename(job.container_id, path, temporary)
    try:
        os.mkdir(temporary, mode=0o700, dir_fd=dir_fd)
        made = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            atomic.put_metadata(made, _mine(_metadata_of(view, path)))
            os.utime(made, ns=(entry.mtime_ns, entry.mtime_ns))
            os.fsync(made)
            os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.fsync(dir_fd)
        finally:
            os.close(made)
            with suppress(FileNotFoundError):
                os.rmdir(temporary, dir_fd=dir_fd)
    except OSError as error:
        raise atomic.explain(error, path) from error
    finally:
        journal.end(record)


def _metadata_of(view: LayerView, path: bytes) -> Metadata:
    fd = view.open_path(path)
    try:
        readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(fd)
    try:
        return atomic.metadata_of(readable)
    finally:
        os.close(readable)
