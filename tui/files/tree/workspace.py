"""Open a container's tree for one act, depending on its state and storage driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tui.core.errors import ChangedMeanwhile, EditRefused, LayerError
from tui.core.ids import ContainerId
from tui.core.records import Details, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.files.history import journal
from tui.files.history.image_bytes import open_in_image
from tui.files.removal_watch import ContainerGone, LayerInUse, being_removed, removal_check
from tui.files.tree.root_tree import LeaveOut, RootTree, Tree
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.tree.union_tree import UnionTree
from tui.files.verbs.opening import privileged, running_root, stack_of
from tui.layers.directories import upper_root
from tui.layers.private_mounts import Check, is_in_use, no_check, tree_root, work_dir, write_view
from tui.layers.process_root import process_of
from tui.layers.readers import is_read_by_engine
from tui.layers.view import LayerView
from tui.linux.name_ops import OwnNameOps, name_ops_inside
from tui.linux.rooted_paths import Root, split


@contextmanager
def writable_tree(details: Details) -> Iterator[Tree]:
    """Yield the tree of a container that runs or is at rest; the caller holds its lock.

    Raises NotReachable, LayerError, EditRefused, and ChangedMeanwhile if a layer at rest turns out to be in use.
    """
    with removal_check(details) as check, _tree_of(details, check) as tree:
        try:
            yield tree
        finally:
            tree.close()


@contextmanager
def _tree_of(details: Details, check: Check) -> Iterator[Tree]:
    container = details.container.id
    if details.container.state.alive:
        with (
            running_root(details) as root,
            name_ops_inside(details.pid, partial(process_of, details.pid, container, details.stack)) as hands,
        ):
            yield RootTree(root, hands, container, image=partial(_open_image, details), check=check)
        return
    stack = stack_of(details)
    if stack.whiteout_style is WhiteoutStyle.TREE:
        with tree_root(stack) as root:
            yield RootTree(root, OwnNameOps(), container, check=check)
    elif copies_up_itself(stack):
        with LayerView.open(stack) as view, view.keep_open(), upper_root(stack) as upper:
            yield UnionTree(stack, view, upper, container, check)
    else:
        with LayerView.open(stack) as view, view.keep_open(), mounted(stack, container, check) as root:
            yield _MountedTree(root, view, container, check)


def _open_image(details: Details, node: EntrySnapshot) -> int:
    """Open a running container's file in its image, which no process of the container can change."""
    with LayerView.open(stack_of(details)) as view, view.keep_open():
        return open_in_image(view, node)


class _MountedTree(RootTree):
    """Layers at rest, mounted; refuses directories in which the kernel hides entries of the layers.

    When the kernel lists a directory, it omits a metacopy and anything else that it cannot look up
    (fs/overlayfs/readdir.c, kernel 6.18). An act on the whole directory would miss these.
    """

    def __init__(self, root: Root, view: LayerView, container_id: ContainerId, check: Check) -> None:
        super().__init__(root, OwnNameOps(), container_id, image=partial(open_in_image, view), check=check)
        self._view = view

    def canonical_path(self, path: bytes) -> bytes:
        """Return the canonical path of a name; raises EditRefused for a metacopy or a redirected directory."""
        try:
            canonical_path = super().canonical_path(path)
        except LayerError:
            self._view.refuse_unreadable(split(path)[0])
            raise
        self._view.refuse_unreadable(canonical_path)
        return canonical_path

    def look(self, path: bytes) -> EntrySnapshot | None:
        """Return a snapshot; raises EditRefused for a metacopy, which the kernel does not open."""
        try:
            return super().look(path)
        except LayerError:
            self._view.refuse_unreadable(path)
            raise

    def children(self, path: bytes, leave_out: LeaveOut | None = None) -> list[EntrySnapshot]:
        """Return snapshots of a directory's entries; raises EditRefused for a metacopy."""
        try:
            return super().children(path, leave_out)
        except LayerError:
            for name in super().names(path):
                self._view.refuse_unreadable(path.rstrip(b"/") + b"/" + name)
            raise

    def make(self, node: EntrySnapshot, data: int | None, *, over: EntrySnapshot | None = None) -> None:
        self._view.forget()
        super().make(node, data, over=over)

    def dress(self, node: EntrySnapshot) -> None:
        self._view.forget()
        super().dress(node)

    def permit(self, node: EntrySnapshot, desired: EntrySnapshot) -> None:
        self._view.forget()
        super().permit(node, desired)

    def remove(self, path: bytes, *, directory: bool, expected: EntrySnapshot | None = None) -> None:
        self._view.forget()
        super().remove(path, directory=directory, expected=expected)

    def move(self, path: bytes, new: bytes) -> bool:
        self._view.forget()
        return super().move(path, new)

    def names(self, path: bytes) -> list[bytes]:
        """List a directory; raises EditRefused if the layers have an entry that the kernel does not list."""
        names = super().names(path)
        for name in sorted(set(self._view.names(path)).difference(names)):
            unseen = path.rstrip(b"/") + b"/" + name
            self._view.refuse_unreadable(unseen)
            raise EditRefused(f"{printable(unseen)} is there, but this kernel does not show it", "start the container")
        return names


@contextmanager
def mounted(stack: LayerStack, container_id: ContainerId, check: Check = no_check) -> Iterator[Root]:
    """Yield the root of a private mount of layers at rest; the journal has its work directory until that is gone.

    ``check`` is called right before anything is created next to the layer.
    """
    with journal.work_dir_recorded(container_id, work_dir(stack)):
        _refuse_in_use(stack, check)
        with write_view(stack, check) as root:
            yield root


def copies_up_itself(stack: LayerStack) -> bool:
    """Return whether dtui does copy-up and whiteouts itself."""
    return stack.whiteout_style in (WhiteoutStyle.AUFS, WhiteoutStyle.FUSE) or (
        stack.whiteout_style is WhiteoutStyle.OVERLAY and not privileged()
    )


def refuse_in_use(stack: LayerStack, container_id: ContainerId, check: Check = no_check) -> None:
    """Raise LayerInUse if an overlay mount uses the writable layer."""
    with journal.work_dir_recorded(container_id, work_dir(stack)):
        _refuse_in_use(stack, check)


def _refuse_in_use(stack: LayerStack, check: Check) -> None:
    if is_in_use(stack, check):
        message = "the container's layer is in use"
        raise LayerInUse(message, "the container was started, or docker cp or export is at work: look at it again")


def refuse_read(stack: LayerStack) -> None:
    """Raise ChangedMeanwhile if an engine is just reading a full tree, which would fail if a part of it vanished."""
    if stack.whiteout_style is WhiteoutStyle.TREE and is_read_by_engine(stack):
        hint = "docker commit, cp or export is at work, or an image is being added: do it again afterwards"
        raise ChangedMeanwhile("the container's layer is in use", hint)


def refuse_used_since(details: Details, stack: LayerStack, inspect: Callable[[str], Details]) -> None:
    """Raise ChangedMeanwhile unless a container is still at rest and its layer unused.

    Raises ContainerGone if the container is being removed.
    """
    if inspect(details.container.id).session_key != details.session_key:
        raise ChangedMeanwhile("the container was started or stopped meanwhile", "look at it again")

    def check() -> None:
        if being_removed(details):
            raise ContainerGone("the container is being removed", "what was done goes with it")

    check()
    if stack.whiteout_style is WhiteoutStyle.OVERLAY and not copies_up_itself(stack):
        refuse_in_use(stack, details.container.id, check)
    refuse_read(stack)
