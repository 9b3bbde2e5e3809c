"""The tree of a container at rest where no kernel does copy-up: aufs, fuse-overlayfs, a data-root of the user's own.

Copy-up, whiteouts and opaque directories are made here, only in the writable layer. Changing an upper directory is
permitted while the union is not mounted (kernel: overlayfs.rst, "Offline changes"; aufs and fuse-overlayfs read their
branches anew with each mount).
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
    """Reads the union of all layers and writes the topmost one. Implements :class:`.root_tree.Tree`."""

    def __init__(
        self, stack: LayerStack, view: LayerView, upper: Root, container_id: ContainerId, check: Check = no_check
    ) -> None:
        """``check`` is called before each step and raises if the container is being removed or has ended."""
        self._stack = stack
        self._view = view
        self._upper = upper
        self._check = check
        self._own = RootTree(upper, OwnNameOps(), container_id, raw=True, check=check)
        self.hiding = Hiding(self._own, stack.whiteout_style, container_id)

    def canonical_path(self, path: bytes) -> bytes:
        """Return the canonical path of a name; raises EditRefused for a name that the driver reserves."""
        refuse_marks(self._stack, (path,))
        return self._view.resolve(path, follow=False)

    def look(self, path: bytes) -> EntrySnapshot | None:
        self._check()
        try:
            fd = self._view.open_path(path)
        except NotFound:
            return None
        try:
            return snapshot_of(fd, path, raw=self._stack.whiteout_style is not WhiteoutStyle.TREE)
        finally:
            os.close(fd)

    def sync(self) -> None:
        self._own.sync()

    def close(self) -> None:
        self._own.close()

    def target_of(self, path: bytes) -> bytes:
        return self._view.target_of(path)

    def entered(self, path: bytes) -> Tree:
        """Return this tree: nothing is mounted in it."""
        del path
        return self

    def open_file(self, path: bytes) -> int:
        """Open a regular file for reading, in the layer that has its bytes."""
        return self._view.open_bytes(path)

    def open_image(self, node: EntrySnapshot) -> int:
        return open_in_image(self._view, node)

    def names(self, path: bytes) -> list[bytes]:
        return sorted(entry.name for entry in self._view.children(path, View.MERGED))

    def children(self, path: bytes, leave_out: LeaveOut | None = None) -> list[EntrySnapshot]:
        """Return snapshots of a directory's entries; nothing is mounted in it."""
        prefix = path.rstrip(b"/") + b"/"
        paths = [prefix + name for name in self.names(path)]
        nodes = (self.look(child) for child in paths if leave_out is None or not leave_out(child, False))
        return [node for node in nodes if node is not None]

    def settle(self, node: EntrySnapshot) -> None:
        """Clean up where both an entry and a whiteout file that hides it exist.

        An interrupted act can leave both: a deletion creates the whiteout first, and a creation drops it last. If the
        entry is still ``node``, drop the whiteout, else the entry.
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
        """Create an entry and remove its whiteout; the image's entry below it stays hidden."""
        self._require(node.path, over)
        refuse_marks(self._stack, (node.path,))
        self.copy_up_directories(split(node.path)[0])
        self.hiding.drop_hidden(node.path, directories_only=True)
        node = _as_this_user(node)
        if node.kind is not EntryKind.DIRECTORY:
            if node.same_as:
                self._copy_up(node.same_as)
            self._own.make(node, data, over=self._own.look(node.path))  # a whiteout device is replaced in the same step
            self.hiding.drop_mark(node.path)
        elif over is not None and over.kind is EntryKind.DIRECTORY:
            self.dress(node)
        else:
            self._make_directory(node)

    def _make_directory(self, node: EntrySnapshot) -> None:
        """Create a directory; make it opaque if the image has one there, which must stay hidden."""
        image_entry = self.beneath(node.path)
        self.hiding.unhide(node.path)
        self._own.make(node, None)
        if image_entry is not None and image_entry.kind is EntryKind.DIRECTORY:
            self._make_opaque(node.path)
        self.hiding.drop_mark(node.path)
        self._forget(node.path)

    def _forget(self, path: bytes) -> None:
        """Drop a directory from the caches: the writable layer's one has changed."""
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
        """Return a snapshot of what the layers below have at a path, even if it is hidden now."""
        try:
            fd = self._view.open_path(path, before=True)
        except NotFound:
            return None
        try:
            return snapshot_of(fd, path, raw=self._stack.whiteout_style is not WhiteoutStyle.TREE)
        finally:
            os.close(fd)

    def copy_up_directories(self, path: bytes) -> None:
        """Copy up directories, outermost first, with owner, mode, attributes and time."""
        missing: list[bytes] = []
        while path != b"/" and not self._in_upper(path):
            missing.append(path)
            path = split(path)[0]
        for directory in reversed(missing):
            self._copy_one_up(directory)

    def _copy_up(self, path: bytes) -> None:
        """Copy up one entry and the directories above it, unless the writable layer has it."""
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
        """Restore the time of the directory that receives a copy-up, since its content stays the same."""
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
        if node.path != b"/":
            self._copy_up(node.path)
        self._own.dress(_as_this_user(node))

    def permit(self, node: EntrySnapshot, desired: EntrySnapshot) -> None:
        self._require(node.path, node)
        if node.path != b"/":
            self._copy_up(node.path)
        self._own.permit(replace(node, inode_version=None), _as_this_user(desired))

    def _require(self, path: bytes, node: EntrySnapshot | None) -> None:
        """Raise ChangedMeanwhile unless the entry at a path is unchanged; None requires that there is none."""
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
        """Remove one entry from the writable layer and hide the image's."""
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
        """Rename an entry that only the writable layer has; return False if it must be copied instead."""
        refuse_marks(self._stack, (new,))
        node = self.look(path)
        alone = (
            self.beneath(path) is None
            and self.beneath(new) is None
            and self._stack.whiteout_style is not WhiteoutStyle.TREE
        )
        if not alone or node is None or node.kind is EntryKind.DIRECTORY or self.hiding.is_marked(new):
            return False
        self.copy_up_directories(split(new)[0])
        return self._own.move(path, new)


def refuse_marks(stack: LayerStack | None, paths: Iterable[bytes]) -> None:
    """Raise EditRefused for a path with a name that the driver reserves, and that no container can see."""
    for name in (name for path in paths for name in path.split(b"/")):
        if stack is not None and is_mark(name, stack.whiteout_style):
            message = f"{printable(name)} is a name that {stack.driver.name} keeps for itself"
            raise EditRefused(message, "choose another")


def _as_this_user(node: EntrySnapshot) -> EntrySnapshot:
    """Return what this process can create: only root can set owners, and attributes other than user's and ACLs."""
    if os.geteuid() == 0:
        return node
    xattrs = tuple((name, value) for name, value in node.xattrs if name.startswith(("user.", "system.posix_acl_")))
    return replace(node, uid=os.geteuid(), gid=os.getegid(), xattrs=xattrs)
