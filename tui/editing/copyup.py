"""Saving where no kernel does the copy-up: layers of aufs and fuse-overlayfs, and a data-root of the user's own."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from tui.core.errors import EditRefused, NotFound
from tui.core.model import Details
from tui.core.text import printable
from tui.editing import atomic
from tui.editing.atomic import Metadata
from tui.editing.session import reading, stack_of
from tui.editing.union import UnionTree
from tui.editing.writing import (
    Job,
    Receipt,
    check_stamp,
    create,
    keeping_old,
    kept_note,
    metadata_in,
    new_metadata,
    overwrite,
    put_new,
    rename_over,
    split_note,
)
from tui.layers.paths import Root, split
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_mark, is_whiteout


def save_by_hand(details: Details, job: Job, real: bytes) -> Receipt:
    """Make the directories above a file in the writable layer, then put the new file there."""
    stack = stack_of(details)
    above, name = split(real)
    if is_mark(name, stack.marks):
        raise EditRefused(f"{printable(name)} is a name that {stack.driver.name} keeps for itself", "choose another")
    job = replace(job, raw=True)
    with LayerView.open(stack) as view, Root.open(stack.writable.path) as upper:
        tree = UnionTree(stack, view, upper, job.container_id)
        tree.copy_up_directories(above)
        with upper.parent(real) as (dir_fd, name):
            receipt = _put(details, job, real, upper, dir_fd, name)
        tree.drop_mark(real)
        return receipt


def _put(details: Details, job: Job, real: bytes, upper: Root, dir_fd: int, name: bytes) -> Receipt:
    names = 1
    try:
        with reading(details, real) as old:
            before = check_stamp(job, real, old)
            metadata = _mine(new_metadata(job, atomic.metadata_of(old, raw=True)))
            status = os.fstat(old)
            with keeping_old(job, real, old) as kept:
                if job.shared:
                    written, names = overwrite(upper, job, real, old, before, metadata)
                else:
                    written = _put_into_layer(job, real, dir_fd, name, metadata)
    except NotFound:
        return _create(job, real, dir_fd, name)
    return Receipt(real, job.shared, False, written, kept, (*kept_note(kept), *split_note(status, names)))


def _create(job: Job, real: bytes, dir_fd: int, name: bytes) -> Receipt:
    """Make a new file; a whiteout in its place is replaced in the same step."""
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if job.create and is_whiteout(status):
            metadata = metadata_in(job, dir_fd)
            with keeping_old(job, real, None):
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
        return put_new(job, real, dir_fd, name, metadata)
    return rename_over(job, real, dir_fd, name, metadata, status)
