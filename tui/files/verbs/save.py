"""Save a file of a container on this host: under its lock, compared with what was read, checked, undoable."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tui.core.errors import EngineError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import Details, WhiteoutStyle
from tui.core.state import container_lock
from tui.core.text import printable
from tui.files.history.backups import BackupMode, BackupWriter, UndoKind
from tui.files.history.image_bytes import marked_of
from tui.files.removal_watch import ContainerEnded, explain_removal, removal_check, state_words
from tui.files.tree.workspace import copies_up_itself, mounted, refuse_used_since
from tui.files.verbs.opening import (
    has_several_names,
    ids_of,
    reading,
    refuse_state,
    refuse_unseen,
    running_root,
    stack_of,
)
from tui.files.write import exchange, set_aside
from tui.files.write.atomic import Checkpoint, no_checkpoint
from tui.files.write.below_root import SaveRequest, SaveResult, check_stamp, source_path, write_below
from tui.files.write.exchange import NewFile
from tui.files.write.options import USUAL, SaveOptions
from tui.files.write.unchanged import changed_meanwhile
from tui.files.write.version import FileVersion
from tui.files.write.without_kernel_overlay import save_into_layer
from tui.layers.mount_covers import Covers
from tui.layers.private_mounts import tree_root
from tui.layers.process_root import process_of
from tui.layers.view import LayerView
from tui.linux.failures import change_explained
from tui.linux.name_ops import name_ops_inside
from tui.linux.rooted_paths import normalized
from tui.linux.sparse import Content, extents_of, reserve, write_extents


def save(
    container_id: ContainerId,
    path: bytes,
    data: Content,
    stamp: FileVersion | None,
    options: SaveOptions = USUAL,
    *,
    inspect: Callable[[str], Details],
    checkpoint: Checkpoint = no_checkpoint,
) -> SaveResult:
    """Replace a file's content, whatever the container's state, and keep owner, mode and attributes.

    ``stamp`` is the file's version when it was read; None overwrites any version. Raises ChangedMeanwhile if the file
    or container changed, EditRefused for what cannot be done safely; the file then has either the old or the new
    content.
    """
    with change_explained(normalized(path)), container_lock(container_id):
        details = inspect(container_id)
        refuse_state(details)
        job = SaveRequest(container_id, normalized(path), data, stamp, options, checkpoint, name=details.container.name)
        with explain_removal(details, inspect), removal_check(details) as check:
            receipt = _save(details, inspect, replace(job, check=check))
        return _look_again(details, inspect, receipt)


def _save(details: Details, inspect: Callable[[str], Details], job: SaveRequest) -> SaveResult:
    job = replace(job, from_image=partial(marked_of, details), ids=ids_of(details))
    if not details.container.state.alive:
        return _save_at_rest(details, inspect, job)
    job = replace(job, why_not_aside=set_aside.why_not(details))
    with (
        running_root(details) as root,
        name_ops_inside(details.pid, partial(process_of, details.pid, job.container_id, details.stack)) as hands,
    ):
        receipt = write_below(root, replace(job, running=True, hands=hands), source_path(root, job.path))
        return _through(receipt, Covers.of(details.mounts, root.target_of))


def _through(receipt: SaveResult, covers: Covers) -> SaveResult:
    """Add a note if the file is on a mount."""
    mount = covers.mount_hiding(receipt.path) if receipt.in_place else None
    if mount is None:
        return receipt
    return replace(receipt, notes=(*receipt.notes, f"written through to {printable(mount.source)}"))


def _save_at_rest(details: Details, inspect: Callable[[str], Details], job: SaveRequest) -> SaveResult:
    stack = stack_of(details)
    with LayerView.open(stack, details.mounts) as view:
        canonical_path = view.resolve(job.path)
        view.refuse_unreadable(canonical_path)
        job = replace(job, shared=has_several_names(view, canonical_path))
        refuse_unseen(view.covers, canonical_path)
    job = replace(job, why_not_aside=exchange.why_not(details, canonical_path))
    if job.options.keep is BackupMode.ASIDE and not (job.why_not_aside or job.options.in_place or job.shared):
        return _save_by_exchange(details, inspect, job, canonical_path)
    if stack.whiteout_style is WhiteoutStyle.TREE:
        with tree_root(stack) as root:
            return write_below(root, job, source_path(root, job.path))
    if copies_up_itself(stack):
        return save_into_layer(details, job, canonical_path)
    with mounted(stack, job.container_id, job.check) as root:
        return write_below(root, job, source_path(root, job.path))


def _save_by_exchange(details: Details, inspect: Callable[[str], Details], job: SaveRequest, real: bytes) -> SaveResult:
    """Exchange the layer's own file with a new one, and set the old one aside."""
    stack = stack_of(details)
    old = exchange.own_file(details, real)
    if old is None:
        raise changed_meanwhile(real)
    with reading(details, real) as fd:
        check_stamp(job, real, fd)
    mode = old.mode if job.options.mode is None else job.options.mode
    mtime_ns = time.time_ns() if job.options.mtime_ns is None else job.options.mtime_ns

    def fill(fd: int) -> None:
        reserve(fd, extents_of((job.data,)))
        write_extents(fd, extents_of((job.data,)))

    new = NewFile(replace(old, mode=mode, mtime_ns=mtime_ns, size=len(job.data)), fill)
    wrote = hashlib.sha256(job.data).hexdigest()
    keeper = BackupWriter(
        job.container_id, job.name, job.options.kind or UndoKind.WRITE, real, wrote=wrote, keep=BackupMode.ASIDE
    )
    try:
        act = exchange.put(details, old, new, keeper, partial(refuse_used_since, details, stack, inspect))
    finally:
        keeper.discard()
    place = exchange.aside_of(act).directory
    return SaveResult(real, False, False, len(job.data), None, (f"the old file is set aside in {place}",))


def _look_again(before: Details, inspect: Callable[[str], Details], receipt: SaveResult) -> SaveResult:
    """Add a note if the container was started, stopped or removed during the save."""
    notes = list(receipt.notes)
    try:
        after = inspect(before.container.id)
    except NotFound:
        notes.append("the container was removed meanwhile, and the file with it")
    except ContainerEnded as error:  # the caller had stopped it
        notes.append(f"{error.message}: make sure that it sees the new file")
    except EngineError as error:  # the file itself is saved
        notes.append(f"the container cannot be looked at again: {error.message}")
    else:
        if after.session_key != before.session_key:
            notes.append(f"the container {state_words(after.container.state)}: make sure that it sees the new file")
    return replace(receipt, notes=tuple(notes))
