"""Back to what the image has: edited, deleted, added, replaced or otherwise changed entries, one or a whole subtree.

At rest on a union the writable layer's own entry is taken away, so that the image's shows again and no trace is left.
Where that is not possible (a full tree, a running container, below an opaque directory) the image's entry is copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from tui.core.errors import ChangedMeanwhile, EditRefused, NotFound
from tui.core.model import Change, Details, EntryKind, LayerStack, Marks, PathChange
from tui.core.record_ids import ContainerId
from tui.core.text import printable
from tui.editing.acts import (
    Inspect,
    Outcome,
    acting,
    keep_one,
    keeping,
    notes_after,
)
from tui.editing.backups import Act, ActKind
from tui.editing.guard import Step, guarded, no_step
from tui.editing.nodes import Node, node_of
from tui.editing.session import refuse_covered, stack_of
from tui.editing.trees import Tree
from tui.editing.uncover import NotPutBack, raw, refuse_unkept, shows_through, uncovered
from tui.editing.workspace import by_hand, refuse_in_use, writable_tree
from tui.layers.changes import changes
from tui.layers.paths import clean, reopen_regular, split
from tui.layers.view import LayerView


def revert(container_id: ContainerId, path: bytes, *, inspect: Inspect, step: Step = no_step) -> Outcome:
    """Bring an entry, of a directory all that changed in it, back to what the image has."""
    with acting(container_id, inspect) as details:
        stack = stack_of(details)
        with LayerView.open(stack, details.mounts) as view:
            real, found = _changed(view, path)
            if not details.container.state.alive:
                refuse_covered(view.covers, real)
            at_rest = partial(_refuse_changed_state, details, stack, inspect)
            act = _revert(details, stack, view, real, found, at_rest, step)
        return Outcome(real, len(found), act, notes_after(details, inspect))


def _changed(view: LayerView, path: bytes) -> tuple[bytes, tuple[PathChange, ...]]:
    try:
        real = view.resolve(clean(path), follow=False)
    except NotFound as error:
        raise NotFound(error.message, "if its directory was deleted, revert that") from error
    found = changes(view, under=real)
    if not found:
        view.lookup(real, follow=False)  # raises NotFound for what is neither there nor in the image
        raise EditRefused(f"{printable(real)} is as the image has it", "the changes list what is not")
    return real, found


def _revert(
    details: Details,
    stack: LayerStack,
    view: LayerView,
    real: bytes,
    found: tuple[PathChange, ...],
    at_rest: Callable[[], None],
    step: Step,
) -> Act:
    exact = not details.container.state.alive and shows_through(stack, view, real)
    seen = raw(stack, view, real) if exact else {}
    if exact:
        found = changes(view, under=real, own=True)  # what goes with it though it does not differ is kept, too
    if not details.container.state.alive:
        _refuse_below_mounts(view, found)
    with writable_tree(details) as tree:
        act, kept = _keep(details, tree, real, found, step)
        if not exact:
            with guarded(act, lambda: nullcontext(tree)) as changed, view.held():
                _foresee(act, view)
                _copy_back(tree, view, found, kept, changed, step)
            return act
    try:
        refuse_unkept(seen, real, act.nodes, stack.marks)
        with view.held():
            _foresee(act, view)
        with uncovered(stack, view, real, details.container.id, seen, at_rest):
            act.mark("done")
    except NotPutBack:
        act.mark("done")
        raise
    except Exception:
        if not act.done:
            act.forget()
        raise
    return act


def _refuse_below_mounts(view: LayerView, found: tuple[PathChange, ...]) -> None:
    """Raise EditRefused for what lies below a mount; where one lies is made anew at each start."""
    for change in found:
        refuse_covered(view.covers, split(change.path)[0])


def _refuse_changed_state(details: Details, stack: LayerStack, inspect: Inspect) -> None:
    """Raise ChangedMeanwhile unless a container is at rest as it was when looked at, its layer used by nobody."""
    if inspect(details.container.id).session_key != details.session_key:
        raise ChangedMeanwhile("the container was started or stopped meanwhile", "look at it again")
    if stack.marks is Marks.OVERLAY and not by_hand(stack):
        refuse_in_use(stack, details.container.id)


def _keep(
    details: Details, tree: Tree, real: bytes, found: tuple[PathChange, ...], step: Step
) -> tuple[Act, dict[bytes, Node]]:
    with keeping(details, ActKind.REVERT, real) as keeper:
        for number, change in enumerate(found):
            step(number, change.path)
            node = None if change.change is Change.DELETED else tree.look(change.path)
            if node is None:
                keeper.add(Node(change.path))
            else:
                keep_one(tree, node, keeper)
        kept = {node.path: node for node in keeper.nodes if node.kind}
        return keeper.commit(), kept


def _foresee(act: Act, view: LayerView) -> None:
    """Write down which entries of the image will show."""
    for node in act.nodes:
        todo = [node.path]
        for path in todo:
            try:
                fd = view.open_path(path, before=True)
            except NotFound:
                continue
            try:
                image = node_of(fd, path, raw=view.stack.marks is not Marks.TREE)
            finally:
                os.close(fd)
            act.expect(image)
            if image.kind is EntryKind.DIRECTORY and node.kind is not EntryKind.DIRECTORY:
                todo += [path.rstrip(b"/") + b"/" + name for name in view.names(path, before=True)]


# by copying ------------------------------------------------------------------------------------------------


def _copy_back(
    tree: Tree,
    view: LayerView,
    found: tuple[PathChange, ...],
    kept: dict[bytes, Node],
    changed: list[int],
    step: Step,
) -> None:
    for change in reversed(found):
        step(len(changed), change.path)
        node = kept.get(change.path)
        if change.change is Change.ADDED and node is not None:
            tree.remove(change.path, directory=node.kind is EntryKind.DIRECTORY, seen=node)
            changed.append(1)
    for change in found:
        if change.change is not Change.ADDED:
            _copy_all(tree, view, change.path, kept.get(change.path), changed, step)


def _copy_all(tree: Tree, view: LayerView, path: bytes, now: Node | None, changed: list[int], step: Step) -> None:
    """Put the image's entry, with all below a directory that is not there, in the place of what was kept."""
    made: list[Node] = []
    todo = [path]
    while todo:
        here = todo.pop()
        step(len(changed), here)
        node = _copy_one(tree, view, here, now if here == path else None)
        changed.append(1)
        if node.kind is EntryKind.DIRECTORY and (here != path or now is None or now.kind is not node.kind):
            made.append(node)
            todo += [here.rstrip(b"/") + b"/" + name for name in reversed(view.names(here, before=True))]
    for node in reversed(made):
        tree.dress(node)


def _copy_one(tree: Tree, view: LayerView, path: bytes, now: Node | None) -> Node:
    """Put the image's entry in the place of what was kept; of a directory that is there only what it is itself."""
    fd = view.open_path(path, before=True)
    try:
        node = node_of(fd, path, raw=view.stack.marks is not Marks.TREE)
        if now is not None and (now.kind is EntryKind.DIRECTORY) != (node.kind is EntryKind.DIRECTORY):
            tree.remove(path, directory=now.kind is EntryKind.DIRECTORY, seen=now)
            now = None
        if node.kind is EntryKind.FILE:
            data = reopen_regular(fd, path)
            try:
                tree.make(node, data, over=now)
            finally:
                os.close(data)
        else:
            tree.make(node, None, over=now)
        return node
    finally:
        os.close(fd)
