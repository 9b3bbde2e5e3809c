"""All changes of a container's files other than writing, copying and reverting; each keeps a backup for undo.

Every function holds the container's lock, inspects the container before and after, and uses canonical paths. ``step``
is called with a count and a path for each entry and may raise to stop; what was done by then can be undone. They raise
NotFound, NotReachable, EditRefused, ChangedMeanwhile and LayerError.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial

from tui.core import progress
from tui.core.errors import EditRefused, EngineError, NotFound
from tui.core.ids import ContainerId
from tui.core.progress import Phase
from tui.core.records import Details, EntryKind
from tui.core.state import container_lock, reserve_released
from tui.core.text import printable
from tui.files.history.backups import BackupMode, BackupWriter, UndoKind, UndoRecord
from tui.files.history.estimate import replaced_size, require_room
from tui.files.history.image_bytes import image_of
from tui.files.history.transaction import Step, done_or_forgotten, no_step, remove_nodes, rollback_on_error
from tui.files.removal_watch import ContainerEnded, explain_removal, state_words
from tui.files.tree.drop_upper import shows_through
from tui.files.tree.parent_defaults import inherited_from
from tui.files.tree.root_tree import LeaveOut, Tree
from tui.files.tree.skip_mounts import SkippedMounts
from tui.files.tree.snapshots import EntrySnapshot, is_same_entry
from tui.files.tree.whole_removal import WholeRemoval, plan_whole_removal
from tui.files.tree.workspace import refuse_used_since, writable_tree
from tui.files.verbs.opening import ids_of, refuse_covered, refuse_state, refuse_unseen, stack_of
from tui.files.write import set_aside
from tui.files.write.move_out import CannotMoveOut
from tui.files.write.unchanged import changed_meanwhile
from tui.layers.mount_covers import Covers
from tui.layers.view import LayerView
from tui.linux.failures import change_explained
from tui.linux.rooted_paths import normalized, split

_MOVED_BY_COPY = "what is moved is made anew from it"

NodeChange = Callable[[EntrySnapshot], EntrySnapshot]
Inspect = Callable[[str], Details]


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The result of an act: the canonical path, how many entries, the record to undo it with, and notes."""

    path: bytes
    count: int
    act: UndoRecord | None
    notes: tuple[str, ...] = ()


@contextmanager
def acting(container_id: ContainerId, inspect: Inspect) -> Iterator[Details]:
    """Hold a container's lock and yield its details; raises EditRefused if its state does not permit writing."""
    with change_explained(container_id[:12].encode()), container_lock(container_id):
        details = inspect(container_id)
        refuse_state(details)
        with explain_removal(details, inspect):
            yield details


def notes_after(before: Details, inspect: Inspect) -> tuple[str, ...]:
    """Return notes if the container was started, stopped or removed during an act."""
    try:
        after = inspect(before.container.id)
    except NotFound:
        return ("the container was removed meanwhile",)
    except ContainerEnded as error:  # the caller had stopped it
        return (f"{error.message}: make sure that it sees the change",)
    except EngineError as error:  # the act itself is done
        return (f"the container cannot be looked at again: {error.message}",)
    state = after.container.state
    if after.session_key == before.session_key and (state.alive or state.at_rest):
        return ()
    if not (state.alive or state.at_rest):
        return (f"the container {state_words(state)}",)
    return (f"the container {state_words(state)}: make sure that it sees the change",)


def listing(tree: Tree, node: EntrySnapshot, leave_out: LeaveOut | None = None) -> list[EntrySnapshot]:
    """Return an entry and everything below it, parents first, without what ``leave_out`` returns true for.

    Without ``leave_out`` a mount point below raises IsMountPoint.
    """
    entries: list[EntrySnapshot] = []
    todo = [node]
    while todo:
        entry = todo.pop()
        progress.step(len(entries), entry.path)
        entries.append(entry)
        if entry.kind is EntryKind.DIRECTORY:
            todo += reversed(tree.children(entry.path, leave_out))
    return entries


def keep_all(
    tree: Tree,
    nodes: Iterable[EntrySnapshot],
    keeper: BackupWriter,
    *,
    data: bool = True,
    step: Step = no_step,
    total: int = 0,
) -> None:
    """Back up entries, with the bytes of files that the image does not have; ``total`` is the size of the copies."""
    progress.begin(Phase.KEEP, total)
    for node in nodes:
        step(keeper.count, node.path)
        keep_one(tree, node, keeper, data=data)


def measured(
    details: Details, nodes: Iterable[EntrySnapshot], keep: BackupMode, *, aside: str, nothing: str = ""
) -> list[EntrySnapshot]:
    """Return entries, marked if the image has their bytes; raises TooLarge if the backup would exceed the limit.

    ``aside`` and ``nothing`` say why setting aside, or keeping no backup, is not possible.
    """
    with image_of(details) as from_image:
        marked_nodes = [from_image(node) for node in nodes]
    require_room(replaced_size(marked_nodes), keep, aside=aside, nothing=nothing)
    return marked_nodes


def keep_one(tree: Tree, node: EntrySnapshot, keeper: BackupWriter, *, data: bool = True) -> None:
    """Back up one entry, of a file its bytes too; raises ChangedMeanwhile if the file was replaced."""
    if node.kind is not EntryKind.FILE or not data or node.image:
        keeper.add(node)
        return
    fd = tree.open_file(node.path)
    try:
        if not is_same_entry(os.fstat(fd), node):
            raise changed_meanwhile(node.path)
        keeper.add(node, fd)
    finally:
        os.close(fd)


def entry_at(tree: Tree, path: bytes) -> EntrySnapshot:
    """Return a snapshot of the entry at a canonical path; raises NotFound."""
    node = tree.look(path)
    if node is None:
        raise NotFound(f"{printable(path)} does not exist in the container", "the tree shows what does")
    return node


def covers_of(details: Details, tree: Tree) -> Covers:
    """Return the mounts over a container's tree, with the links on their paths resolved."""
    return Covers.of(details.mounts, tree.target_of)


def refuse_hidden(details: Details, tree: Tree, act: UndoRecord) -> None:
    """Raise EditRefused if a mount hides part of what an act changed, and the container is at rest.

    A mount's own mount point belongs to the layer.
    """
    if not details.container.state.alive:
        covers = covers_of(details, tree)
        refuse = refuse_covered if act.kind is UndoKind.REVERT else refuse_unseen
        parents = {split(node.path)[0] for node in act.nodes}
        for path in filter(None, (act.path, act.new_path, *sorted(parents))):
            refuse(covers, path)


def refuse_mounts(details: Details, covers: Covers, path: bytes) -> None:
    """Raise EditRefused for a path that a mount covers or that contains a mount point."""
    if not details.container.state.alive:
        refuse_unseen(covers, path)
    inner_mount = covers.mount_below(path)
    if inner_mount is not None:
        description = f"the {inner_mount[1].description} at {printable(inner_mount[0])}"
        raise EditRefused(f"{printable(path)} holds {description}", "take what is beside it, entry by entry")


def remove(
    container_id: ContainerId,
    path: bytes,
    *,
    inspect: Inspect,
    recursive: bool = False,
    keep: BackupMode = BackupMode.USUAL,
    step: Step = no_step,
) -> ChangeResult:
    """Delete a file, or with ``recursive`` a tree; raises TooLarge if the backup would exceed the limit."""
    with acting(container_id, inspect) as details:
        progress.begin(Phase.MEASURE)
        with writable_tree(details) as tree:
            canonical_path = tree.canonical_path(normalized(path))
            if canonical_path == b"/":
                raise EditRefused("/ is the container itself", "docker rm removes containers")
            node = entry_at(tree, canonical_path)
            refuse_mounts(details, covers_of(details, tree), canonical_path)
            if node.kind is EntryKind.DIRECTORY and not recursive and tree.names(canonical_path):
                raise EditRefused(
                    f"{printable(canonical_path)} is a directory that is not empty", "-r deletes all below it"
                )
            nodes = measured(details, listing(tree, node), keep, aside=set_aside.why_not(details))
            if keep is BackupMode.ASIDE and not replaced_size(nodes):
                keep = BackupMode.USUAL
            if keep is not BackupMode.ASIDE:
                whole = plan_whole_removal(details, nodes, inspect)
                act, nodes = _keep_removed(details, tree, nodes, keep, step)
                if whole is None:
                    _remove_one_by_one(tree, nodes, act, step)
        if keep is BackupMode.ASIDE:
            act = move_aside(details, nodes, inspect)
        elif whole is not None:
            _remove_whole(details, whole, nodes, act, step)
        return ChangeResult(canonical_path, len(nodes), act, notes_after(details, inspect))


def _keep_removed(
    details: Details, tree: Tree, nodes: list[EntrySnapshot], keep: BackupMode, step: Step
) -> tuple[UndoRecord | None, list[EntrySnapshot]]:
    if keep is BackupMode.NOTHING:
        return None, nodes
    with backup_writer(details, UndoKind.REMOVE, nodes[0].path, keep=keep) as keeper:
        keep_all(tree, nodes, keeper, step=step, total=replaced_size(nodes))
        return keeper.commit(), list(keeper.nodes)


def _remove_one_by_one(tree: Tree, nodes: list[EntrySnapshot], act: UndoRecord | None, step: Step) -> None:
    with (
        reserve_released() if act is None else nullcontext(),
        rollback_on_error(act, lambda: nullcontext(tree)) as changed,
    ):
        progress.begin(Phase.DELETE, entries=len(nodes))
        remove_nodes(tree, tuple(nodes), changed, step)


def _remove_whole(
    details: Details, whole: WholeRemoval, nodes: list[EntrySnapshot], act: UndoRecord | None, step: Step
) -> None:
    """Remove a tree in one step, or one by one if nothing can be renamed out of its layer."""
    with reserve_released() if act is None else nullcontext(), done_or_forgotten(act):
        progress.begin(Phase.DELETE, entries=len(nodes))
        step(0, whole.path)
        progress.ignore_stop()
        try:
            with whole.carried_out(nodes):
                if act is not None:
                    act.mark("done")
            return
        except CannotMoveOut:
            pass
    with writable_tree(details) as tree:
        _remove_one_by_one(tree, nodes, act, step)


def move_aside(
    details: Details, nodes: list[EntrySnapshot], inspect: Inspect, kind: UndoKind = UndoKind.REMOVE
) -> UndoRecord:
    """Delete an entry by moving it out of the layer."""
    stack, path = stack_of(details), nodes[0].path
    with LayerView.open(stack) as view:
        whiteout = view.image_entry(path) is not None and shows_through(stack, view, path)
    aside = set_aside.plan_set_aside(details, path, (split(path)[1],), replaced_size(nodes))
    with backup_writer(details, kind, path, keep=BackupMode.ASIDE) as keeper:
        for node in nodes:
            keeper.add(node)
        act = keeper.commit(aside)
    progress.ignore_stop()
    set_aside.carry_out(details, act, partial(refuse_used_since, details, stack, inspect), whiteout=whiteout)
    return act


@contextmanager
def backup_writer(
    details: Details,
    kind: UndoKind,
    path: bytes,
    *,
    new_path: bytes = b"",
    wrote: str = "",
    keep: BackupMode = BackupMode.USUAL,
) -> Iterator[BackupWriter]:
    """Yield a backup writer for an act, and discard what was not committed."""
    keeper = BackupWriter(
        details.container.id, details.container.name, kind, path, new_path=new_path, wrote=wrote, keep=keep
    )
    try:
        yield keeper
    finally:
        keeper.discard()


def rename(
    container_id: ContainerId,
    path: bytes,
    new: bytes,
    *,
    inspect: Inspect,
    keep: BackupMode = BackupMode.USUAL,
    step: Step = no_step,
) -> ChangeResult:
    """Rename or move an entry, never over another; if ``new`` is a directory, move it into that."""
    with acting(container_id, inspect) as details:
        with writable_tree(details) as tree:
            canonical_path = tree.canonical_path(normalized(path))
            node = entry_at(tree, canonical_path)
            goal = _free(tree, goal_of(tree, new, split(canonical_path)[1], directory=node.kind is EntryKind.DIRECTORY))
            refuse_mounts(details, covers_of(details, tree), canonical_path)
            refuse_mounts(details, covers_of(details, tree), goal)
            if (goal + b"/").startswith(canonical_path.rstrip(b"/") + b"/"):
                raise EditRefused(f"{printable(canonical_path)} cannot be moved into itself", "choose another place")
            act, count = _rename(details, tree, node, goal, keep, step)
        return ChangeResult(goal, count, act, notes_after(details, inspect))


def goal_of(tree: Tree, path: bytes, name: bytes, *, directory: bool) -> bytes:
    """Return the target of a move or copy: in a directory that exists, the same name; otherwise the path itself.

    A link to a directory counts as the directory. Raises NotFound for a path with a trailing slash that is not a
    directory, unless a directory is moved or copied.
    """
    target_path = normalized(path)
    with suppress(NotFound):
        inside = tree.canonical_path(target_path.rstrip(b"/") + b"/" + name)
        parent = split(inside)[0]
        node = tree.entered(parent).look(parent)
        if node is not None and node.kind is EntryKind.DIRECTORY:
            return inside
    if path.endswith(b"/") and not directory:
        raise NotFound(f"{printable(target_path)} is no directory of the container", "make it, or leave the slash out")
    return tree.canonical_path(target_path)


def _free(tree: Tree, goal: bytes) -> bytes:
    """Return a path if it is free; raises EditRefused."""
    if tree.look(goal) is not None:
        raise EditRefused(f"{printable(goal)} exists already", "delete it first, or choose another name")
    return goal


def holder(tree: Tree, path: bytes) -> EntrySnapshot:
    """Return a snapshot of the parent directory, the mounted one at a mount point; raises NotFound, EditRefused."""
    parent = split(path)[0]
    node = entry_at(tree.entered(parent), parent)
    if node.kind is not EntryKind.DIRECTORY:
        raise EditRefused(f"{printable(parent)} is a {node.kind}, not a directory", "choose another name")
    return node


def _rename(
    details: Details, tree: Tree, node: EntrySnapshot, goal: bytes, keep: BackupMode, step: Step
) -> tuple[UndoRecord, int]:
    with backup_writer(details, UndoKind.RENAME, node.path, new_path=goal) as keeper:
        keeper.add(EntrySnapshot(goal))
        act = keeper.commit()
    with rollback_on_error(act, lambda: nullcontext(tree)) as changed:
        act.expect(replace(node, path=goal))
        if tree.move(node.path, goal):
            changed.append(1)
            return act, 1
    act.forget()
    progress.begin(Phase.MEASURE)
    listed_nodes = listing(tree, node)
    require_room(replaced_size(listed_nodes), keep, aside=_MOVED_BY_COPY, nothing=_MOVED_BY_COPY)
    with backup_writer(details, UndoKind.RENAME, node.path, new_path=goal, keep=keep) as keeper:
        keeper.add(EntrySnapshot(goal))
        keep_all(tree, listed_nodes, keeper, step=step, total=replaced_size(listed_nodes))
        nodes = keeper.nodes[1:]
        act = keeper.commit()
    with rollback_on_error(act, lambda: nullcontext(tree)) as changed:
        progress.begin(Phase.COPY, replaced_size(nodes))
        moved = _moved(nodes, node.path, goal)
        act.expect(*moved)
        make_nodes(tree, moved, act, changed, step)
        remove_nodes(tree, nodes, changed, step)
    return act, len(act.nodes) - 1


def _moved(nodes: tuple[EntrySnapshot, ...], old: bytes, new: bytes) -> tuple[EntrySnapshot, ...]:
    def there(path: bytes) -> bytes:
        return new + path[len(old) :] if path else b""

    return tuple(replace(node, path=there(node.path), same_as=there(node.same_as)) for node in nodes)


def make_nodes(tree: Tree, nodes: tuple[EntrySnapshot, ...], act: UndoRecord, changed: list[int], step: Step) -> None:
    """Create entries, parents first, with file contents from the backup; set directories' times at the end."""
    fd = os.open(act.data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for node in nodes:
            step(len(changed), node.path)
            tree.make(node, fd)
            changed.append(1)
        for node in reversed(nodes):
            if node.kind is EntryKind.DIRECTORY:
                tree.dress(node)
        tree.sync()
    finally:
        os.close(fd)


def make_directory(
    container_id: ContainerId, path: bytes, *, inspect: Inspect, mode: int = 0o755, parents: bool = False
) -> ChangeResult:
    """Create a directory with the owner of its parent; ``parents`` creates missing parents too."""
    with acting(container_id, inspect) as details:
        with writable_tree(details) as tree:
            target_path = normalized(path)
            missing = _missing(tree, target_path)
            if not missing:
                raise EditRefused(f"{printable(target_path)} exists already", "choose another name")
            parent = holder(tree, missing[0])
            if len(missing) > 1 and not parents:
                raise NotFound(f"{printable(split(target_path)[0])} does not exist in the container", "-p makes it too")
            refuse_mounts(details, covers_of(details, tree), missing[0])
            with backup_writer(details, UndoKind.MKDIR, missing[0]) as keeper:
                keeper.add(EntrySnapshot(missing[0]))
                act = keeper.commit()
            with rollback_on_error(act, lambda: nullcontext(tree)) as changed:
                created_ns = time.time_ns()
                new_nodes = [
                    EntrySnapshot(missing_path, EntryKind.DIRECTORY, mode, mtime_ns=created_ns)
                    for missing_path in missing
                ]
                nodes = [inherited_from(parent, node, ids_of(details)) for node in new_nodes]
                act.expect(*nodes)
                for node in nodes:
                    tree.make(node, None)
                    changed.append(1)
                tree.sync()
        return ChangeResult(missing[-1], len(missing), act, notes_after(details, inspect))


def _missing(tree: Tree, target_path: bytes) -> list[bytes]:
    """Return the canonical paths of the directories to create, outermost first."""
    names: list[bytes] = []
    while True:
        try:
            canonical_path = tree.canonical_path(target_path)
        except NotFound:
            names.append(split(target_path)[1])
            target_path = split(target_path)[0]
            continue
        break
    node = tree.look(canonical_path)
    if node is not None and (names and node.kind is not EntryKind.DIRECTORY):
        raise EditRefused(f"{printable(canonical_path)} is a {node.kind}, not a directory", "choose another name")
    missing = [] if node is not None else [canonical_path]
    for name in reversed(names):
        canonical_path = canonical_path.rstrip(b"/") + b"/" + name
        missing.append(canonical_path)
    return missing


def change_metadata(
    container_id: ContainerId,
    path: bytes,
    change: NodeChange,
    kind: UndoKind,
    *,
    inspect: Inspect,
    recursive: bool = False,
    step: Step = no_step,
) -> ChangeResult:
    """Change mode or owner of an entry, or with ``recursive`` of a tree.

    Symbolic links and mount points below are skipped.
    """
    with acting(container_id, inspect) as details:
        with writable_tree(details) as tree:
            canonical_path = tree.canonical_path(normalized(path))
            node = entry_at(tree, canonical_path)
            skipped_mounts = SkippedMounts(covers := covers_of(details, tree))
            if not details.container.state.alive:
                refuse_unseen(covers, canonical_path)
            if node.kind is EntryKind.SYMLINK:
                message = f"{printable(canonical_path)} is a link to {printable(node.target)}"
                raise EditRefused(message, "name what it leads to; nothing was changed")
            with backup_writer(details, kind, canonical_path) as keeper:
                entries = listing(tree, node, skipped_mounts.leave_out) if recursive else [node]
                keep_all(tree, entries, keeper, data=False, step=step)
                nodes = keeper.nodes
                act = keeper.commit()
            with rollback_on_error(act, lambda: nullcontext(tree)) as changed:
                pairs = [(entry, change(entry)) for entry in nodes if entry.kind is not EntryKind.SYMLINK]
                act.expect(*(desired for _, desired in pairs))
                for entry, desired in pairs:
                    step(len(changed), entry.path)
                    if desired != entry:
                        tree.permit(entry, desired)
                        changed.append(1)
            if not changed:
                act.forget()
        notes = (*skipped_mounts.notes, *notes_after(details, inspect))
        return ChangeResult(canonical_path, len(changed), act if changed else None, notes)
