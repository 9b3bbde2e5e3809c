"""Opens a container's tree for one act, the way its state and storage driver ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tui.core.errors import ChangedMeanwhile
from tui.core.model import Details, LayerStack, Marks
from tui.editing import journal
from tui.editing.hands import OwnHands, hands_inside
from tui.editing.session import privileged, running_root, stack_of
from tui.editing.trees import RootTree, Tree
from tui.editing.union import UnionTree
from tui.layers.mounts import in_use, tree_root, work_dir, write_view
from tui.layers.paths import Root
from tui.layers.view import LayerView


@contextmanager
def writable_tree(details: Details) -> Iterator[Tree]:
    """Yield the tree of a container that runs or is at rest; the caller holds its lock.

    Raises NotReachable, LayerError, EditRefused, and ChangedMeanwhile when the layer of a container at rest is in use.
    """
    container = details.container.id
    if details.container.state.alive:
        with running_root(details) as root, hands_inside(details.pid, container) as hands:
            yield RootTree(root, hands, container)
        return
    stack = stack_of(details)
    if stack.marks is Marks.TREE:
        with tree_root(stack) as root:
            yield RootTree(root, OwnHands(), container)
    elif by_hand(stack):
        with LayerView.open(stack) as view, Root.open(stack.writable.path) as upper:
            yield UnionTree(stack, view, upper, container)
    else:
        with mounted(stack, container) as root:
            yield RootTree(root, OwnHands(), container)


@contextmanager
def mounted(stack: LayerStack, container_id: str) -> Iterator[Root]:
    """Yield the root of a private mount of layers that nobody uses now; its work directory never outlives a crash."""
    with journal.working(container_id, work_dir(stack)):
        _refuse_in_use(stack)
        with write_view(stack) as root:
            yield root


def by_hand(stack: LayerStack) -> bool:
    """Say whether copy-up and whiteouts are ours to make."""
    return stack.marks in (Marks.AUFS, Marks.FUSE) or (stack.marks is Marks.OVERLAY and not privileged())


def refuse_in_use(stack: LayerStack, container_id: str) -> None:
    """Raise ChangedMeanwhile while any overlay mount uses the writable layer."""
    with journal.working(container_id, work_dir(stack)):
        _refuse_in_use(stack)


def _refuse_in_use(stack: LayerStack) -> None:
    if in_use(stack):
        raise ChangedMeanwhile("the container's layer is in use", "the container was started: look at it again")
