"""Restore entries to what the image has, one or a whole tree, however they were changed.

In a union at rest, the writable layer's own entry is removed, so that the image's shows again. Where that is not
possible (a full tree, a running container, below an opaque directory), the image's entry is copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from tui.core import progress
from tui.core.errors import EditRefused, NotFound
from tui.core.ids import ContainerId
from tui.core.progress import Phase
from tui.core.records import Change, Details, EntryKind, LayerStack, PathChange, WhiteoutStyle
from tui.core.text import printable
from tui.files.history.backups import BackupMode, UndoKind, UndoRecord
from tui.files.history.estimate import replaced_size
from tui.files.history.transaction import Step, done_or_forgotten, no_step, rollback_on_error
from tui.files.tree.drop_upper import raw_states, shows_through, uncovered, upper_names
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.tree.workspace import refuse_used_since, writable_tree
from tui.files.verbs.acts import ChangeResult, Inspect, acting, backup_writer, keep_all, measured, notes_after
from tui.files.verbs.opening import refuse_covered, stack_of
from tui.files.write import set_aside
from tui.files.write.move_out import refuse_unkept
from tui.layers.changes import changes
from tui.layers.view import LayerView
from tui.linux.rooted_paths import normalized, reopen_regular, split


def revert(
    container_id: ContainerId,
    path: bytes,
    *,
    inspect: Inspect,
    keep: BackupMode = BackupMode.USUAL,
    step: Step = no_step,
) -> ChangeResult:
    """Restore an entry, or everything that changed in a directory, to what the image has.

    Raises TooLarge if the backup would exceed the limit.
    """
    with acting(container_id, inspect) as details:
        progress.begin(Phase.MEASURE)
        stack = stack_of(details)
        with LayerView.open(stack, details.mounts) as view:
            canonical_path, path_changes = _changed(view, path)
            if not details.container.state.alive:
                refuse_covered(view.covers, canonical_path)
            at_rest = partial(refuse_used_since, details, stack, inspect)
            act = _revert(details, view, canonical_path, path_changes, at_rest, keep, step)
        return ChangeResult(canonical_path, len(path_changes), act, notes_after(details, inspect))


def _changed(view: LayerView, path: bytes) -> tuple[bytes, tuple[PathChange, ...]]:
    try:
        canonical_path = view.resolve(normalized(path), follow=False)
    except NotFound as error:
        raise NotFound(error.message, "if its directory was deleted, revert that") from error
    path_changes = changes(view, under=canonical_path)
    if not path_changes:
        view.lookup(canonical_path, follow=False)  # raises NotFound if neither the container nor the image has it
        raise EditRefused(f"{printable(canonical_path)} is as the image has it", "the changes list what is not")
    return canonical_path, path_changes


def _revert(
    details: Details,
    view: LayerView,
    canonical_path: bytes,
    path_changes: tuple[PathChange, ...],
    at_rest: Callable[[], None],
    keep: BackupMode,
    step: Step,
) -> UndoRecord | None:
    stack = view.stack
    exact = not details.container.state.alive and shows_through(stack, view, canonical_path)
    states = raw_states(stack, view, canonical_path) if exact else {}
    if exact:
        path_changes = changes(
            view, under=canonical_path, own=True
        )  # back up what is removed along with it, even if it does not differ
    if not details.container.state.alive:
        _refuse_below_mounts(view, path_changes)
    why_not_aside = set_aside.why_not(details) or ("" if exact else "the image's version has to be copied over it")
    with writable_tree(details) as tree:
        nodes = measured(details, _present(tree, path_changes), keep, aside=why_not_aside)
        if keep is BackupMode.ASIDE and not replaced_size(nodes):
            keep = BackupMode.USUAL
        if keep is not BackupMode.ASIDE:
            act, backup_nodes = _keep(details, tree, canonical_path, nodes, keep, step)
        if keep is not BackupMode.ASIDE and not exact:
            with rollback_on_error(act, lambda: nullcontext(tree)) as changed, view.keep_open():
                if act is not None:
                    _foresee(act, view)
                progress.begin(Phase.COPY, _size_in_image(view, path_changes))
                _copy_back(tree, view, path_changes, backup_nodes, changed, step)
                tree.sync()
            return act
    if keep is BackupMode.ASIDE:
        return _set_aside(details, stack, view, canonical_path, nodes, at_rest)
    progress.ignore_stop()
    with done_or_forgotten(act):
        if act is not None:
            refuse_unkept(states, canonical_path, act.nodes, stack.whiteout_style)
            with view.keep_open():
                _foresee(act, view)
        with uncovered(stack, view, canonical_path, details.container.id, states, at_rest):
            if act is not None:
                act.mark("done")
    return act


def _refuse_below_mounts(view: LayerView, path_changes: tuple[PathChange, ...]) -> None:
    """Raise EditRefused for entries below a mount; a mount point itself is permitted, since each start recreates it."""
    for change in path_changes:
        refuse_covered(view.covers, split(change.path)[0])


def _present(tree: Tree, path_changes: tuple[PathChange, ...]) -> Iterator[EntrySnapshot]:
    """Yield a snapshot of each changed path."""
    for number, change in enumerate(path_changes):
        progress.step(number, change.path)
        node = None if change.change is Change.DELETED else tree.look(change.path)
        yield node or EntrySnapshot(change.path)


def _keep(
    details: Details, tree: Tree, canonical_path: bytes, nodes: list[EntrySnapshot], keep: BackupMode, step: Step
) -> tuple[UndoRecord | None, dict[bytes, EntrySnapshot]]:
    if keep is BackupMode.NOTHING:
        return None, {node.path: node for node in nodes if node.kind}
    with backup_writer(details, UndoKind.REVERT, canonical_path, keep=keep) as keeper:
        keep_all(tree, nodes, keeper, step=step, total=replaced_size(nodes))
        backup_nodes = {node.path: node for node in keeper.nodes if node.kind}
        return keeper.commit(), backup_nodes


def _set_aside(
    details: Details,
    stack: LayerStack,
    view: LayerView,
    canonical_path: bytes,
    nodes: list[EntrySnapshot],
    at_rest: Callable[[], None],
) -> UndoRecord:
    """Move the layer's own entry out of the layer, so that the image's shows."""
    parent, names = upper_names(stack, view, canonical_path)
    aside = replace(set_aside.plan_set_aside(details, canonical_path, names, replaced_size(nodes)), parent=parent)
    with backup_writer(details, UndoKind.REVERT, canonical_path, keep=BackupMode.ASIDE) as keeper:
        for node in nodes:
            keeper.add(node)
        act = keeper.commit(aside)
    progress.ignore_stop()
    set_aside.carry_out(details, act, at_rest, whiteout=False)
    return act


def _size_in_image(view: LayerView, path_changes: tuple[PathChange, ...]) -> int:
    """Return how many bytes of the image will be copied, without those in directories that are not walked yet."""
    images = (view.image_entry(change.path) for change in path_changes if change.change is not Change.ADDED)
    return sum(entry.size for entry in images if entry is not None and entry.kind is EntryKind.FILE)


def _foresee(act: UndoRecord, view: LayerView) -> None:
    """Record which entries of the image will show."""
    for node in act.nodes:
        todo = [node.path]
        while todo:
            path = todo.pop()
            try:
                fd = view.open_path(path, before=True)
            except NotFound:
                continue
            try:
                image = snapshot_of(fd, path, raw=view.stack.whiteout_style is not WhiteoutStyle.TREE)
            finally:
                os.close(fd)
            act.expect(image)
            if image.kind is EntryKind.DIRECTORY and node.kind is not EntryKind.DIRECTORY:
                todo += [path.rstrip(b"/") + b"/" + name for name in view.names(path, before=True)]


# by copying ------------------------------------------------------------------------------------------------


def _copy_back(
    tree: Tree,
    view: LayerView,
    path_changes: tuple[PathChange, ...],
    backup_nodes: dict[bytes, EntrySnapshot],
    changed: list[int],
    step: Step,
) -> None:
    for change in reversed(path_changes):
        step(len(changed), change.path)
        node = backup_nodes.get(change.path)
        if change.change is Change.ADDED and node is not None:
            tree.remove(change.path, directory=node.kind is EntryKind.DIRECTORY, expected=node)
            changed.append(1)
    for change in path_changes:
        if change.change is not Change.ADDED:
            _copy_all(tree, view, change.path, backup_nodes.get(change.path), changed, step)


def _copy_all(
    tree: Tree, view: LayerView, path: bytes, current: EntrySnapshot | None, changed: list[int], step: Step
) -> None:
    """Replace an entry by the image's; if it is a directory that is missing, by the whole tree."""
    directories: list[EntrySnapshot] = []
    todo = [path]
    while todo:
        entry_path = todo.pop()
        step(len(changed), entry_path)
        node = _copy_one(tree, view, entry_path, current if entry_path == path else None)
        changed.append(1)
        if node.kind is EntryKind.DIRECTORY and (
            entry_path != path or current is None or current.kind is not node.kind
        ):
            directories.append(node)
            todo += [entry_path.rstrip(b"/") + b"/" + name for name in reversed(view.names(entry_path, before=True))]
    for node in reversed(directories):
        tree.dress(node)


def _copy_one(tree: Tree, view: LayerView, path: bytes, current: EntrySnapshot | None) -> EntrySnapshot:
    """Replace an entry by the image's; an existing directory only gets the image's metadata."""
    fd = view.open_path(path, before=True)
    try:
        node = snapshot_of(fd, path, raw=view.stack.whiteout_style is not WhiteoutStyle.TREE)
        if current is not None and (current.kind is EntryKind.DIRECTORY) != (node.kind is EntryKind.DIRECTORY):
            tree.remove(path, directory=current.kind is EntryKind.DIRECTORY, expected=current)
            current = None
        if node.kind is EntryKind.FILE:
            data = reopen_regular(fd, path)
            try:
                tree.make(node, data, over=current)
            finally:
                os.close(data)
        else:
            tree.make(node, None, over=current)
        return node
    finally:
        os.close(fd)
