"""The tree of a container at rest where no kernel copies up: aufs, fuse-overlayfs, a data-root of the user's own.

Copy-up, whiteouts and opaque directories are made here, in the writable layer alone. Offline changes of an upper
directory are allowed while the union is not mounted (kernel: overlayfs.rst, "Offline changes"; aufs and fuse-overlayfs
read their branches anew with each mount).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tui.core.errors import EditRefused, NotFound
from tui.core.ids import ContainerId
from tui.core.records import EntryKind, LayerStack, View, WhiteoutStyle
from tui.core.text import printable
from tui.files.history.image_bytes import open_in_image
from tui.files.history.rollback import is_same_state
from tui.files.tree.root_tree import LeaveOut, RootTree, Tree
from tui.files.tree.snapshots import EntrySnapshot, is_untouched, snapshot_of
from tui.files.write.metadata import set_times
from tui.files.write.unchanged import changed_meanwhile
from tui.files.write.whiteout_writer import Hiding, make_opaque
from tui.layers.private_mounts import Check, no_check
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_mark
from tui.linux.failures import explain_change
from tui.linux.name_ops import OwnNameOps
from tui.linux.rooted_paths import Root, split


class UnionTree:
    """The union, read through all layers, written in the topmost one. Fulfils :class:`.root_tree.Tree`."""

    def __init__(
        self, stack: LayerStack, view: LayerView, upper: Root, container_id: ContainerId, check: Check = no_check
    ) -> None:
        """``check`` is asked before each step whether the container is still there."""
        self._stack = stack
        self._view = view
        self._upper = upper
        self._check = check
        self._own = RootTree(upper, OwnNameOps(), container_id, raw=True, check=check)
        self.hiding = Hiding(self._own, stack.marks, container_id)

    def canonical_path(self, path: bytes) -> bytes:
        """Return the canonical path of a name; raises EditRefused for one that the driver keeps for itself."""
        refuse_marks(self._stack, (path,))
        return self._view.resolve(path, follow=False)

    def look(self, path: bytes) -> EntrySnapshot | None:
        """Describe what stands at a path."""
        self._check()
        try:
            fd = self._view.open_path(path)
        except NotFound:
            return None
        try:
            return snapshot_of(fd, path, raw=self._stack.marks is not WhiteoutStyle.TREE)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Make durable what was changed."""
        self._own.sync()

    def close(self) -> None:
        """Take back what is held for making entries."""
        self._own.close()

    def target_of(self, path: bytes) -> bytes:
        """Say where the link at a path points."""
        return self._view.target_of(path)

    def entered(self, path: bytes) -> Tree:
        """Return this tree: nothing is mounted in it."""
        del path
        return self

    def open_file(self, path: bytes) -> int:
        """Return a descriptor to read a regular file, in whichever layer its bytes are."""
        return self._view.open_bytes(path)

    def open_image(self, node: EntrySnapshot) -> int:
        """Return a descriptor of bytes that lie unchanged in the image."""
        return open_in_image(self._view, node)

    def names(self, path: bytes) -> list[bytes]:
        """List a directory."""
        return sorted(entry.name for entry in self._view.children(path, View.MERGED))

    def children(self, path: bytes, leave_out: LeaveOut | None = None) -> list[EntrySnapshot]:
        """Describe all that stands in a directory; nothing is mounted in it."""
        prefix = path.rstrip(b"/") + b"/"
        paths = [prefix + name for name in self.names(path)]
        nodes = (self.look(child) for child in paths if leave_out is None or not leave_out(child, False))
        return [node for node in nodes if node is not None]

    def settle(self, node: EntrySnapshot) -> None:
        """Let what stands beside the file that hides it be seen again where it is what was kept, else remove it.

        An act that was cut off leaves both: a deletion marks first and then removes, a making drops the mark last.
        """
        try:
            layer_entry = self._own.look(node.path) if self.hiding.is_marked(node.path) else None
            if (
                layer_entry is not None
                and layer_entry.kind is not EntryKind.DIRECTORY
                and is_same_state(layer_entry, node)
            ):
                self.hiding.drop_mark(node.path)
            elif layer_entry is not None:
                self.hiding.drop_hidden(node.path)
                self._forget(node.path)
        except OSError as error:
            raise explain_change(error, node.path) from error

    # making ------------------------------------------------------------------------------------------------

    def make(self, node: EntrySnapshot, data: int | None, *, over: EntrySnapshot | None = None) -> None:
        """Put an entry in its place; what hid it is taken away, what lay below it stays hidden."""
        self._require(node.path, over)
        refuse_marks(self._stack, (node.path,))
        self.copy_up_directories(split(node.path)[0])
        self.hiding.drop_hidden(node.path, directories_only=True)
        node = _as_this_user(node)
        if node.kind is not EntryKind.DIRECTORY:
            if node.same_as:
                self._copy_up(node.same_as)
            self._own.make(node, data, over=self._own.look(node.path))  # a whiteout is replaced in the same step
            self.hiding.drop_mark(node.path)
        elif over is not None and over.kind is EntryKind.DIRECTORY:
            self.dress(node)
        else:
            self._make_directory(node)

    def _make_directory(self, node: EntrySnapshot) -> None:
        """Make a directory; over one of a lower layer, which is hidden now and must stay so, an opaque one."""
        image_entry = self.beneath(node.path)
        self.hiding.unhide(node.path)
        self._own.make(node, None)
        if image_entry is not None and image_entry.kind is EntryKind.DIRECTORY:
            self._make_opaque(node.path)
        self.hiding.drop_mark(node.path)
        self._forget(node.path)

    def _forget(self, path: bytes) -> None:
        """Look a directory up anew: the writable layer has another one now, or none."""
        self._own.forget(path)
        self._view.forget(path)

    def _make_opaque(self, path: bytes) -> None:
        self._check()
        fd = self._upper.open_canonical(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            make_opaque(fd, self._stack)
        except OSError as error:
            raise explain_change(error, path) from error
        finally:
            os.close(fd)

    def beneath(self, path: bytes) -> EntrySnapshot | None:
        """Describe what the layers below the writable one have at a path, whatever hides it now."""
        try:
            fd = self._view.open_path(path, before=True)
        except NotFound:
            return None
        try:
            return snapshot_of(fd, path, raw=self._stack.marks is not WhiteoutStyle.TREE)
        finally:
            os.close(fd)

    def copy_up_directories(self, path: bytes) -> None:
        """Copy directories up, outermost first, each with its owner, mode, attributes and time."""
        missing: list[bytes] = []
        while path != b"/" and not self._in_upper(path):
            missing.append(path)
            path = split(path)[0]
        for directory in reversed(missing):
            self._copy_one_up(directory)

    def _copy_up(self, path: bytes) -> None:
        """Copy one entry up, and the directories above it, unless the writable layer has it."""
        if not self._in_upper(path):
            self.copy_up_directories(split(path)[0])
            self._copy_one_up(path)

    def _copy_one_up(self, path: bytes) -> None:
        node = self.look(path)
        if node is None:
            raise NotFound(f"{printable(path)} does not exist in the container", "the tree shows what does")
        with self._time_kept(path):
            if node.kind is not EntryKind.FILE:
                self._own.make(_as_this_user(node), None)
                self._forget(path)
                return
            fd = self.open_file(path)
            try:
                self._own.make(_as_this_user(node), fd)
            finally:
                os.close(fd)

    @contextmanager
    def _time_kept(self, path: bytes) -> Iterator[None]:
        """Give the directory that something is copied up into its time back: nothing in it was changed."""
        with self._upper.parent(path) as (dir_fd, _):
            before = os.fstat(dir_fd)
            yield
            set_times(dir_fd, before)

    def _in_upper(self, path: bytes) -> bool:
        parent, name = split(path)
        try:
            with self._upper.directory(parent) as folder:
                os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        except (NotFound, FileNotFoundError):
            return False
        return True

    def dress(self, node: EntrySnapshot) -> None:
        """Copy up what is there and give it the node's owner, mode, attributes and time."""
        if node.path != b"/":
            self._copy_up(node.path)
        self._own.dress(_as_this_user(node))

    def permit(self, node: EntrySnapshot, desired: EntrySnapshot) -> None:
        """Copy up what is there and give it the owner and mode that are wanted."""
        self._require(node.path, node)
        if node.path != b"/":
            self._copy_up(node.path)
        self._own.permit(replace(node, inode_version=None), _as_this_user(desired))

    def _require(self, path: bytes, node: EntrySnapshot | None) -> None:
        """Raise ChangedMeanwhile unless what stands at a path is what was looked at, nothing for None."""
        try:
            fd = self._view.open_path(path)
        except NotFound as error:
            if node is None:
                return
            raise changed_meanwhile(path) from error
        try:
            if node is None or not is_untouched(os.fstat(fd), node):
                raise changed_meanwhile(path)
        finally:
            os.close(fd)

    # removing ----------------------------------------------------------------------------------------------

    def remove(self, path: bytes, *, directory: bool, expected: EntrySnapshot | None = None) -> None:
        """Remove one entry from the writable layer and hide what lies below it."""
        if expected is not None:
            self._require(path, expected)
        image_entry = self.beneath(path)
        if image_entry is not None:
            self.copy_up_directories(split(path)[0])
        try:
            if image_entry is None:
                self.hiding.remove(path, directory=directory)
            else:
                self.hiding.hide(path)
            if directory:
                self._forget(path)
        except OSError as error:
            raise explain_change(error, path) from error

    def move(self, path: bytes, new: bytes) -> bool:
        """Rename what only the writable layer has; everything else has to be copied."""
        refuse_marks(self._stack, (new,))
        node = self.look(path)
        alone = self.beneath(path) is None and self.beneath(new) is None and self._stack.marks is not WhiteoutStyle.TREE
        if not alone or node is None or node.kind is EntryKind.DIRECTORY or self.hiding.is_marked(new):
            return False
        self.copy_up_directories(split(new)[0])
        return self._own.move(path, new)


def refuse_marks(stack: LayerStack | None, paths: Iterable[bytes]) -> None:
    """Raise EditRefused for a path with a name that the driver keeps for itself: no container sees it."""
    for name in (name for path in paths for name in path.split(b"/")):
        if stack is not None and is_mark(name, stack.marks):
            message = f"{printable(name)} is a name that {stack.driver.name} keeps for itself"
            raise EditRefused(message, "choose another")


def _as_this_user(node: EntrySnapshot) -> EntrySnapshot:
    """Return a node that this process can make: only root can give files away, and attributes but users' and ACLs."""
    if os.geteuid() == 0:
        return node
    xattrs = tuple((name, value) for name, value in node.xattrs if name.startswith(("user.", "system.posix_acl_")))
    return replace(node, uid=os.geteuid(), gid=os.getegid(), xattrs=xattrs)
