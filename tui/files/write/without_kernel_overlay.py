"""Save where no kernel does copy-up: aufs, fuse-overlayfs, and a data-root of the user's own."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace

from tui.core.errors import EditRefused, NotFound
from tui.core.records import Details
from tui.files.tree.root_tree import RootTree
from tui.files.tree.union_tree import UnionTree, refuse_marks
from tui.files.verbs.opening import reading, stack_of
from tui.files.write.below_root import (
    SaveRequest,
    SaveResult,
    check_stamp,
    create,
    inherited_metadata,
    keeping_old,
    new_metadata,
    overwrite_below,
    put_new,
    rename_over,
    split_note,
)
from tui.files.write.metadata import Metadata, metadata_of
from tui.files.write.version import version_of
from tui.files.write.whiteout_writer import Hiding
from tui.layers.directories import upper_root
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_whiteout, uses_dot_wh
from tui.linux.name_ops import OwnNameOps
from tui.linux.rooted_paths import Root, split, status_of


def save_into_layer(details: Details, job: SaveRequest, canonical_path: bytes) -> SaveResult:
    """Copy up the directories above a file, then write the file in the writable layer."""
    stack = stack_of(details)
    refuse_marks(stack, (canonical_path,))
    job = replace(job, raw=True)
    with LayerView.open(stack) as view, upper_root(stack) as upper:
        tree = UnionTree(stack, view, upper, job.container_id, job.check)
        try:
            tree.copy_up_directories(split(canonical_path)[0])
        finally:
            tree.close()
        with upper.parent(canonical_path) as (dir_fd, name):
            return _put(details, job, canonical_path, upper, tree.hiding, dir_fd, name)


def _put(
    details: Details, job: SaveRequest, canonical_path: bytes, upper: Root, hiding: Hiding, dir_fd: int, name: bytes
) -> SaveResult:
    names = 1
    try:
        with reading(details, canonical_path) as old:
            before = check_stamp(job, canonical_path, old)
            metadata = _as_this_user(new_metadata(job, metadata_of(old, raw=True)))
            status = os.fstat(old)
            layer_status = status_of(dir_fd, name)
            in_place = job.shared or (
                job.options.in_place and layer_status is not None and stat.S_ISREG(layer_status.st_mode)
            )
            copied = ("the image's file was copied, for the layer had none to overwrite",)
            notes = copied if job.options.in_place and not in_place else ()
            with keeping_old(job, canonical_path, old, in_place=in_place) as backup_path:
                if in_place:
                    written, names = overwrite_below(upper, job, canonical_path, old, before, metadata)
                else:
                    written = _put_into_layer(job, canonical_path, dir_fd, name, metadata, status)
    except NotFound:
        return _create(job, canonical_path, hiding, dir_fd, name)
    return SaveResult(
        canonical_path,
        in_place,
        False,
        written,
        backup_path.data,
        (*backup_path.notes, *split_note(status, names), *notes),
    )


def _create(job: SaveRequest, canonical_path: bytes, hiding: Hiding, dir_fd: int, name: bytes) -> SaveResult:
    """Create a file; replace a whiteout device in the same step, and remove a whiteout file afterwards."""
    if job.options.create:
        hiding.drop_hidden(canonical_path)
    status = status_of(dir_fd, name)
    if not job.options.create or not (hiding.is_marked(canonical_path) if status is None else is_whiteout(status)):
        return create(job, canonical_path, dir_fd, name)
    metadata = inherited_metadata(job, dir_fd)
    with keeping_old(job, canonical_path, None):
        if status is not None:
            return SaveResult(
                canonical_path, False, True, rename_over(job, canonical_path, dir_fd, name, metadata, status), None
            )
        written = put_new(job, canonical_path, dir_fd, name, metadata)
        try:
            hiding.drop_mark(canonical_path)
        except OSError:
            os.unlink(name, dir_fd=dir_fd)  # nobody has seen it yet
            raise
    return SaveResult(canonical_path, False, True, written, None)


def finish_by_hand(details: Details, canonical_path: bytes, wrote: str) -> None:
    """Remove the whiteout file of a new file whose save was interrupted before that; raises DtuiError."""
    stack = details.stack
    if stack is None or details.container.state.alive or not uses_dot_wh(stack.whiteout_style):
        return
    with upper_root(stack) as upper, suppress(NotFound, EditRefused):
        own = RootTree(upper, OwnNameOps(), details.container.id, raw=True)
        hiding = Hiding(own, stack.whiteout_style, details.container.id)
        fd = upper.open_regular(canonical_path)
        try:
            if version_of(fd).sha256 == wrote:
                hiding.drop_mark(canonical_path)
        finally:
            os.close(fd)


def _as_this_user(metadata: Metadata) -> Metadata:
    """Return metadata that this process can set: only root can change owners."""
    if os.geteuid() == 0:
        return metadata
    return replace(metadata, uid=os.geteuid(), gid=os.getegid())


def _put_into_layer(
    job: SaveRequest, canonical_path: bytes, dir_fd: int, name: bytes, metadata: Metadata, status: os.stat_result
) -> int:
    """Write the layer's file, whether or not it has one yet; return the new size."""
    if status_of(dir_fd, name) is None:
        return put_new(job, canonical_path, dir_fd, name, metadata)
    return rename_over(job, canonical_path, dir_fd, name, metadata, status)
