"""Undo acts: restore what was at each path before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from typing import Protocol

from tui.core import progress
from tui.core.errors import ChangedMeanwhile, EditRefused, NotFound, NotReachable
from tui.core.progress import Phase
from tui.core.records import Details, EntryKind
from tui.core.state import reserve_released
from tui.core.text import count_of, printable
from tui.files.history.backups import BackupMode, UndoRecord, find
from tui.files.history.estimate import replaced_size
from tui.files.history.rollback import (
    METADATA,
    PathLookup,
    Restored,
    Restorer,
    Survey,
    changed_since,
    is_one_write,
    is_plain_rename,
    is_same_state,
    was_never_moved,
    with_current_metadata,
)
from tui.files.history.transaction import Step, no_step, rollback_on_error
from tui.files.tree.drop_upper import lies_in_image, raw_states, uncovered
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.tree.workspace import refuse_used_since, writable_tree
from tui.files.verbs.acts import (
    ChangeResult,
    Inspect,
    acting,
    backup_writer,
    covers_of,
    keep_all,
    listing,
    measured,
    move_aside,
    notes_after,
    refuse_hidden,
)
from tui.files.verbs.copy import readable_tree
from tui.files.verbs.opening import stack_of
from tui.files.write import exchange, set_aside
from tui.files.write.atomic import FixedDirectory
from tui.files.write.below_root import SaveResult
from tui.files.write.options import USUAL, SaveOptions
from tui.files.write.unchanged import changed_meanwhile
from tui.files.write.version import FileVersion, version_of
from tui.layers.view import LayerView
from tui.linux.sparse import Content


class Save(Protocol):
    """Writes a file of the container, like :meth:`tui.files.ways.Files.save`."""

    def __call__(
        self, path: bytes, data: Content, stamp: FileVersion | None, options: SaveOptions = USUAL
    ) -> SaveResult:
        """Replace a file's content."""
        ...


def undo(
    act: UndoRecord,
    *,
    inspect: Inspect,
    save: Save,
    force: bool = False,
    keep: BackupMode = BackupMode.USUAL,
    step: Step = no_step,
) -> ChangeResult:
    """Undo an act; the current state is backed up first, so that the undo can be undone.

    With ``BackupMode.NOTHING`` it needs no space, and cannot be undone. ``step`` is called for progress and must not
    stop once the restore has begun: a half-restored tree is neither old nor new.

    ``save`` restores a file that must keep its inode, or that only the engine reaches. Raises ChangedMeanwhile, unless
    ``force``, if somebody changed what the act left, and EditRefused if the act cannot be undone now.
    """
    with act.pin(), reserve_released() if keep is BackupMode.NOTHING else nullcontext():
        return _undo(act, inspect, save, step, keep, force=force)


def _undo(act: UndoRecord, inspect: Inspect, save: Save, step: Step, keep: BackupMode, *, force: bool) -> ChangeResult:
    if act.aside is None and is_one_write(act) and not _may_be_replaced(act, inspect):
        refuse_closed(act, force=force)
        return _undo_write(act, save, keep, force=force)
    try:
        return _undo_by_tree(act, inspect, step, keep, force=force)
    except FixedDirectory:
        if not is_one_write(act):
            raise
        return _undo_write(act, save, keep, force=force)


def _undo_by_tree(act: UndoRecord, inspect: Inspect, step: Step, keep: BackupMode, *, force: bool) -> ChangeResult:
    with acting(act.container, inspect) as details:
        refuse_closed(act, force=force)
        if act.aside is not None and act.aside.exchanged:
            return _exchange_back(act, details, inspect, keep, force=force)
        if act.aside is not None:
            return _move_aside_back(act, details, inspect)
        progress.begin(Phase.MEASURE)
        with writable_tree(details) as tree:
            _refuse_elsewhere(tree, act)
            refuse_hidden(details, tree, act)
            if is_plain_rename(act):
                _move_back(tree, act, force=force)
                act.mark("undone")
                return ChangeResult(act.path, 1, None)
            if is_one_write(act) and not force:
                act = with_current_metadata(act, tree.look(act.path))
            restorer = Restorer(tree, act, force=force)
            current_nodes = _surveyed(tree, act, restorer, force=force)
            count = max(len(act.nodes), len(current_nodes))
            if keep is BackupMode.NOTHING:
                restored = _put_back_for_good(restorer, act, step)
                notes = ("what stood there is not kept", *_parted_note(restored.parted))
                return ChangeResult(act.path, count, None, (*notes, *notes_after(details, inspect)))
            data = act.kind not in METADATA
            if data:
                current_nodes = measured(
                    details, current_nodes, keep, aside=_why_not_aside(details, tree, act, current_nodes)
                )
            if keep is BackupMode.ASIDE and (not data or not replaced_size(current_nodes)):
                keep = BackupMode.USUAL
            if keep is not BackupMode.ASIDE:
                with backup_writer(details, act.taken_back_by, act.path, wrote=old_sha256(act), keep=keep) as keeper:
                    keep_all(
                        tree,
                        current_nodes,
                        keeper,
                        data=data,
                        step=step,
                        total=replaced_size(current_nodes) if data else 0,
                    )
                    backup_nodes, present = keeper.nodes, keeper.commit()
                if not _may_be_uncovered(details, act, current_nodes):
                    with rollback_on_error(present, lambda: nullcontext(tree)):
                        present.expect(*act.nodes)
                        progress.begin(Phase.RESTORE, _size_to_restore(act), entries=len(act.nodes), final=True)
                        restored = restorer.put_back(backup_nodes, step)
                        refuse_changed(restored.skipped)
                        act.mark("undone")
                    notes = (*_parted_note(restored.parted), *notes_after(details, inspect))
                    return ChangeResult(act.path, count, present, notes)
        if keep is BackupMode.ASIDE:
            present = _take_back_aside(act, details, inspect, current_nodes)
        else:
            _uncover(act, present, details, inspect)
        return ChangeResult(act.path, count, present, notes_after(details, inspect))


def _surveyed(tree: Tree, act: UndoRecord, restorer: Restorer, *, force: bool) -> list[EntrySnapshot]:
    """Return the current state of each path, looked at once; raises ChangedMeanwhile unless ``force``."""
    survey = Survey(tree, act)
    current_nodes = list(_present(tree, act, survey))
    if not force:
        refuse_changed(restorer.changed_since(survey))
    return current_nodes


def _move_aside_back(act: UndoRecord, details: Details, inspect: Inspect) -> ChangeResult:
    progress.ignore_stop()
    set_aside.move_back(details, act)
    act.mark("undone")
    set_aside.discard_set_aside(act)
    return ChangeResult(act.path, len(act.nodes), None, notes_after(details, inspect))


def _why_not_aside(details: Details, tree: Tree, act: UndoRecord, now: list[EntrySnapshot]) -> str:
    """Return why undo cannot set the current entries aside, empty if it can."""
    node = act.nodes[0]
    if len(act.nodes) == 1 and node.kind is None:
        held = covers_of(details, tree).mount_below(node.path)
        return f"it holds the {held[1].description}" if held else set_aside.why_not(details)
    if len(act.nodes) == len(now) == 1 and node.kind is now[0].kind is EntryKind.FILE and not node.image:
        return exchange.why_not(details, node.path)
    return "what comes back has to be copied into its place"


def _take_back_aside(act: UndoRecord, details: Details, inspect: Inspect, now: list[EntrySnapshot]) -> UndoRecord:
    """Undo an act on one entry, and set aside the current one."""
    node = act.nodes[0]
    if node.kind is None:
        present = move_aside(details, now, inspect, act.taken_back_by)
    else:
        stack, file = stack_of(details), exchange.own_file(details, node.path)
        if file is None or not is_same_state(now[0], file):
            raise changed_meanwhile(node.path)
        at_rest = partial(refuse_used_since, details, stack, inspect)
        with (
            backup_writer(details, act.taken_back_by, act.path, keep=BackupMode.ASIDE) as keeper,
            act.data.open("rb") as data,
        ):
            new = exchange.from_file(node, data.fileno())
            present = exchange.put(details, file, new, keeper, at_rest)
    act.mark("undone")
    return present


def _exchange_back(
    act: UndoRecord, details: Details, inspect: Inspect, keep: BackupMode, *, force: bool
) -> ChangeResult:
    """Restore a file that was set aside by exchange, which sets the current one aside without a copy."""
    reason = set_aside.why_not(details)
    if reason:
        told = f"what was set aside of {printable(act.path)} cannot be put back: {reason}"
        raise EditRefused(
            told, "stop the container, then undo" if details.container.state.alive else "look at it again"
        )
    stack, now = stack_of(details), exchange.own_file(details, act.path)
    if now is None:
        return _move_aside_back(act, details, inspect)
    if not force:
        exchange.refuse_other(act, now)
    wanted = with_current_metadata(act, now).nodes[0] if is_one_write(act) else act.nodes[0]
    at_rest = partial(refuse_used_since, details, stack, inspect)
    with backup_writer(details, act.taken_back_by, act.path, keep=BackupMode.ASIDE) as keeper:
        present = exchange.put_back(details, act, now, wanted, keeper, at_rest)
    act.mark("undone")
    set_aside.discard_set_aside(act)
    if keep is BackupMode.NOTHING:
        set_aside.discard_set_aside(present)
        present.forget()
        return ChangeResult(act.path, 1, None, ("what stood there is not kept", *notes_after(details, inspect)))
    return ChangeResult(act.path, 1, present, notes_after(details, inspect))


def _put_back_for_good(restorer: Restorer, act: UndoRecord, step: Step) -> Restored:
    """Restore what an act replaced without a backup of the current state, so that no space is needed.

    If interrupted, the next start finishes it like an act that has only begun.
    """
    progress.begin(Phase.RESTORE, _size_to_restore(act), entries=len(act.nodes), final=True)
    act.mark("begun")
    try:
        restored = restorer.put_back(None, step)
        refuse_changed(restored.skipped)
    except BaseException:
        act.mark("done")
        raise
    act.mark("undone")
    return restored


def _size_to_restore(act: UndoRecord) -> int:
    """Return how many bytes a restore copies."""
    if act.kind in METADATA:
        return 0
    return sum(node.size for node in act.nodes if node.has_bytes and not node.same_as)


def _may_be_uncovered(details: Details, act: UndoRecord, current_nodes: list[EntrySnapshot]) -> bool:
    """Return whether the image has what is to be restored, and the layer at rest only has to stop hiding it."""
    stack = details.stack
    if stack is None or details.container.state.alive or any(node.kind for node in current_nodes):
        return False
    with LayerView.open(stack) as view, view.keep_open():
        return lies_in_image(stack, view, act.nodes)


def _uncover(act: UndoRecord, present: UndoRecord, details: Details, inspect: Inspect) -> None:
    """Remove what hides the image's entry."""
    stack = stack_of(details)
    at_rest = partial(refuse_used_since, details, stack, inspect)
    with rollback_on_error(present, lambda: writable_tree(details)):
        present.expect(*act.nodes)
        progress.ignore_stop()
        with LayerView.open(stack) as view:
            states = raw_states(stack, view, act.path)
            with uncovered(stack, view, act.path, act.container, states, at_rest):
                act.mark("undone")


def old_sha256(act: UndoRecord) -> str:
    """Return the SHA-256 of the bytes that a write replaced, empty for any other act."""
    if not is_one_write(act) or act.nodes[0].image:
        return ""
    fd = os.open(act.data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return version_of(fd).sha256
    finally:
        os.close(fd)


def _may_be_replaced(act: UndoRecord, inspect: Inspect) -> bool:
    """Return whether a written file can be created anew, with holes and of any size: it has no hard links."""
    try:
        with readable_tree(inspect(act.container)) as tree:
            _refuse_elsewhere(tree, act)
            current = tree.look(act.path)
    except (NotReachable, EditRefused):  # only the engine reaches it, or it is a mount point
        return False
    return current is None or current.inode == (0, 0)


def refuse_closed(act: UndoRecord, *, force: bool) -> None:
    """Raise EditRefused for an act that was undone already or is not complete."""
    if act.undone and not force:
        raise EditRefused(f"{printable(act.path)}: this {act.kind} was taken back already", "--force does it once more")
    if not act.done:
        state = "was cut off" if act.cut_off else "is under way"
        raise EditRefused(f"{printable(act.path)}: this {act.kind} {state}", "dtui backups tells how each one ended")


def _refuse_elsewhere(tree: Tree, act: UndoRecord) -> None:
    """Raise ChangedMeanwhile if a link now leads elsewhere: what is there is not what the act changed."""
    for path in filter(None, (act.path, act.new_path)):
        with suppress(NotFound):  # then nothing is there
            resolved_path = tree.canonical_path(path)
            if resolved_path != path:
                raise moved_away(path, resolved_path)


def moved_away(path: bytes, resolved_path: bytes) -> ChangedMeanwhile:
    """Return the error for a path that now leads elsewhere."""
    message = f"{printable(path)} leads to {printable(resolved_path)} now, by a link that was not there"
    return ChangedMeanwhile(message, "take the link away first")


def refuse_changed(paths: tuple[bytes, ...]) -> None:
    """Raise ChangedMeanwhile if somebody else changed what an act left."""
    if paths:
        more = f", and {count_of(len(paths) - 1, 'other entry', 'other entries')}" if len(paths) > 1 else ""
        raise ChangedMeanwhile(
            f"{printable(paths[0])} was changed since{more}",
            "--force takes it back all the same, and keeps what is there",
        )


def _parted_note(paths: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return a note about restored files that are no longer hard-linked to others."""
    if not paths:
        return ()
    if len(paths) == 1:
        return (f"{printable(paths[0])} is a file of its own now: it shared its bytes with other names",)
    return (f"{len(paths):,} files are files of their own now: they shared their bytes with other names",)


def _undo_write(act: UndoRecord, save: Save, keep: BackupMode, *, force: bool) -> ChangeResult:
    expected = "" if force else act.wrote
    if act.nodes[0].image:
        told = f"{printable(act.path)}: its old bytes are in the image, and the file there now cannot be replaced"
        raise EditRefused(told, "revert it")
    try:
        data = act.data.read_bytes()
    except MemoryError as error:  # the backup has holes, but reading it into memory fills them
        hint = f"nothing was changed; the old bytes are in {act.data}"
        raise EditRefused(f"{printable(act.path)}: there is not enough memory to put it back", hint) from error
    old = act.nodes[0]
    mode = old.mode if force or act.path in (act.after or {}) else None
    receipt = save(
        act.path,
        data,
        None,
        SaveOptions(mode=mode, mtime_ns=old.mtime_ns, kind=act.taken_back_by, wrote=expected, keep=keep),
    )
    act.mark("undone")
    backup = find(receipt.backup.parent.name) if receipt.backup else None
    return ChangeResult(receipt.path, 1, backup, receipt.notes)


def _move_back(tree: Tree, act: UndoRecord, *, force: bool) -> None:
    before, current = tree.look(act.path), tree.look(act.new_path)
    if before is not None:
        if current is None and was_never_moved(act, before):
            return
        raise ChangedMeanwhile(f"{printable(act.path)} exists again", "rename or delete it first")
    if current is not None and current.kind is not EntryKind.DIRECTORY and not force:
        refuse_changed(changed_since(tree, act))
    if current is None:
        raise ChangedMeanwhile(f"{printable(act.new_path)} is gone", "undo what deleted it first")
    if not tree.move(act.new_path, act.path):
        raise ChangedMeanwhile(f"{printable(act.new_path)} cannot be renamed in one step", "rename it by hand")


def _present(tree: Tree, act: UndoRecord, lookup: PathLookup) -> Iterator[EntrySnapshot]:
    """Yield the current entries at the paths of an act, as far as a restore would replace them.

    A missing directory is yielded once; the paths below it are skipped.
    """
    nothing = b""
    yielded: set[bytes] = set()
    for count, node in enumerate(act.nodes):
        progress.step(count, node.path)
        if node.path in yielded or (nothing and node.path.startswith(nothing)):  # yielded with the directory above it
            continue
        current = lookup.at(node.path)
        nothing = lookup.below_nothing if current is None else b""
        if current is None:
            yield EntrySnapshot(node.path)
        elif act.kind not in METADATA and current.kind is EntryKind.DIRECTORY and node.kind is not EntryKind.DIRECTORY:
            for entry in listing(tree, current):
                yielded.add(entry.path)
                yield entry
        else:
            yield current
