"""The tree of a container's files, changed one entry at a time. Paths are canonical: no link is followed.

:class:`RootTree` relies on the kernel for copy-up: in a mount of the layers, a full tree, or a running container's
root.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.files.removal_watch import ContainerGone
from tui.files.tree.scratch import Durability, ScratchName
from tui.files.tree.snapshots import EntrySnapshot, is_same_entry, snapshot_of
from tui.files.write import atomic
from tui.files.write.atomic import NewEntry, Placement, Scratch
from tui.files.write.metadata import change_owner_and_mode, path_of
from tui.files.write.unchanged import require_same_bytes, require_untouched
from tui.layers.private_mounts import Check, no_check
from tui.linux.admission import Need
from tui.linux.failures import change_explained, explain, explain_change
from tui.linux.name_ops import NO_REPLACE, NameOps
from tui.linux.rooted_paths import OpenDirectory, Root, open_child, refuse_kernel_files, reopen_regular, split

OpenImage = Callable[[EntrySnapshot], int]

LeaveOut = Callable[[bytes, bool], bool]
"""Takes a path and whether it turned out to be a mount point; returns whether to skip it."""


class IsMountPoint(EditRefused):
    """A mount point where an entry of the tree was expected."""


class Tree(Protocol):
    """The operations that acts consist of. They raise DtuiError; an OSError is left to the act to explain."""

    def canonical_path(self, path: bytes) -> bytes:
        """Resolve the links above a name, but not the name itself."""
        ...

    def look(self, path: bytes) -> EntrySnapshot | None:
        """Return a snapshot of the entry at a path, or None; raises IsMountPoint."""
        ...

    def target_of(self, path: bytes) -> bytes:
        """Return the target of a symbolic link; empty for anything else."""
        ...

    def entered(self, path: bytes) -> Tree:
        """Return a tree that may look at and read one path even if it is a mount point."""
        ...

    def open_file(self, path: bytes) -> int:
        """Open a regular file for reading; the caller closes it."""
        ...

    def open_image(self, node: EntrySnapshot) -> int:
        """Open the unchanged bytes in the image; raises LayerError if they changed or are not available."""
        ...

    def names(self, path: bytes) -> list[bytes]:
        """List a directory, sorted."""
        ...

    def children(self, path: bytes, leave_out: LeaveOut | None = None) -> list[EntrySnapshot]:
        """Return snapshots of a directory's entries, by name, without those for which ``leave_out`` returns true.

        ``leave_out`` is called for each path, and again if it is a mount point; a mount point that it keeps raises
        IsMountPoint.
        """
        ...

    def beneath(self, path: bytes) -> EntrySnapshot | None:
        """Return a snapshot of the image's entry if this tree does copy-up and whiteouts itself; else None."""
        ...

    def settle(self, node: EntrySnapshot) -> None:
        """Clean up what an interrupted act left at a path; ``node`` is what was there before it."""
        ...

    def make(self, node: EntrySnapshot, data: int | None, *, over: EntrySnapshot | None = None) -> None:
        """Create an entry in one step; a file gets ``node.size`` bytes at ``node.offset`` of ``data``.

        It replaces nothing but ``over``, and only if that is unchanged; otherwise ChangedMeanwhile is raised. A
        directory over a directory only gets the node's owner, mode and attributes.
        """
        ...

    def dress(self, node: EntrySnapshot) -> None:
        """Set owner, mode, attributes and time of an existing entry to those of ``node``."""
        ...

    def permit(self, node: EntrySnapshot, desired: EntrySnapshot) -> None:
        """Set only owner and mode of the entry that ``node`` describes."""
        ...

    def remove(self, path: bytes, *, directory: bool, expected: EntrySnapshot | None = None) -> None:
        """Remove one entry: a directory if it is empty, a file if it still is as ``expected``."""
        ...

    def move(self, path: bytes, new: bytes) -> bool:
        """Rename in one step, never over an existing entry; return False if it must be copied instead."""
        ...

    def sync(self) -> None:
        """Sync all changes; a long act leaves most of them for its end."""
        ...

    def close(self) -> None:
        """Release the temporary name and open descriptors."""
        ...


class RootTree:
    """A tree below a root; the kernel does copy-up and whiteouts."""

    def __init__(
        self,
        root: Root,
        hands: NameOps,
        container_id: ContainerId,
        entered: bytes = b"",
        *,
        raw: bool = False,
        image: OpenImage | None = None,
        check: Check = no_check,
    ) -> None:
        """``raw``: the root is a layer's own directory, where overlay's attributes are marks and not the entries'.

        ``check`` is called before each step and raises if the container is being removed or has ended.
        """
        self._root = root
        self._hands = hands
        self._id = container_id
        self._entered = entered
        self._raw = raw
        self._image = image
        self._check = check
        self._scratch = ScratchName(container_id)
        self._durability = Durability()
        self._link_root: Root | None = None
        """A second handle on the root for hard links, since a lookup may close the directory before it."""

    def changed(self, folder: OpenDirectory) -> None:
        """Sync a directory's names now, or at the end of a long act."""
        self._durability.changed(folder)

    def sync(self) -> None:
        with change_explained(b"/"):
            self._durability.sync()

    def close(self) -> None:
        """Release the temporary name and open descriptors; the tree can be used again."""
        self._scratch.close()
        self._durability.close()
        if self._link_root is not None:
            self._link_root.close()
            self._link_root = None

    def forget(self, path: bytes) -> None:
        """Drop a directory from the cached trail."""
        for root in (self._root, self._link_root):
            if root is not None:
                root.forget(path)

    def entered(self, path: bytes) -> Tree:
        return RootTree(self._root, self._hands, self._id, path, raw=self._raw, image=self._image, check=self._check)

    def canonical_path(self, path: bytes) -> bytes:
        parent, name = split(path)
        return self._root.real_path(parent).rstrip(b"/") + b"/" + name if name else b"/"

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the directory that contains a name; a link on the way was put there meanwhile.

        Kernel file systems such as proc are refused: a change there would affect this host.
        """
        with self.folder(path) as (folder, name):
            yield folder.fd, name

    @contextmanager
    def folder(self, path: bytes) -> Iterator[tuple[OpenDirectory, bytes]]:
        """Yield the directory that contains a name, and the name."""
        self._check()
        parent, name = split(path)
        try:
            with self._root.directory(parent) as folder:
                if folder.mount:
                    refuse_kernel_files(folder.fd, path)
                yield folder, name or b"."
        except (DtuiError, OSError):
            self._check()  # a layer that is being removed fails in many ways
            raise

    def _reach(self, path: bytes) -> tuple[OpenDirectory, bytes]:
        """Return the directory that contains a name, open until the next call, and the name."""
        self._check()
        parent, name = split(path)
        folder = self._root.kept_directory(parent)
        if folder.mount:
            refuse_kernel_files(folder.fd, path)
        return folder, name or b"."

    def _open(self, path: bytes) -> int:
        """Return an O_PATH descriptor; raises IsMountPoint or NotFound."""
        folder, name = self._reach(path)
        if name == b".":
            return os.dup(folder.fd)
        try:
            return open_child(folder.fd, name, os.O_PATH)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise explain(error, path) from error
            if path != self._entered:
                raise IsMountPoint(f"{printable(path)} is a mount point", "nothing was changed") from error
        fd = self._root.open_canonical(path)
        try:
            refuse_kernel_files(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def look(self, path: bytes) -> EntrySnapshot | None:
        try:
            fd = self._open(path)
        except NotFound:
            return None
        try:
            return snapshot_of(fd, path, raw=self._raw)
        finally:
            os.close(fd)

    def children(self, path: bytes, leave_out: LeaveOut | None = None) -> list[EntrySnapshot]:
        names = self.names(path)
        self._check()
        prefix = path.rstrip(b"/") + b"/"
        nodes = []
        with self._root.directory(path) as folder:
            for name in names:
                child = prefix + name
                if leave_out is not None and leave_out(child, False):
                    continue
                try:
                    fd = open_child(folder.fd, name, os.O_PATH)
                except FileNotFoundError:  # removed meanwhile
                    continue
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise explain(error, child) from error
                    if leave_out is not None and leave_out(child, True):
                        continue
                    raise IsMountPoint(f"{printable(child)} is a mount point", "nothing was changed") from error
                try:
                    nodes.append(snapshot_of(fd, child, raw=self._raw))
                finally:
                    os.close(fd)
        return nodes

    def target_of(self, path: bytes) -> bytes:
        return self._root.target_of(path)

    def open_file(self, path: bytes) -> int:
        fd = self._open(path)
        try:
            self._root.admit(fd, path, Need.READ)
            return reopen_regular(fd, path)
        finally:
            os.close(fd)

    def open_image(self, node: EntrySnapshot) -> int:
        if self._image is None:
            raise LayerError(f"{printable(node.path)} lies in an image that is not at hand", "nothing was changed")
        return self._image(node)

    def names(self, path: bytes) -> list[bytes]:
        folder = self._root.kept_directory(path)
        if folder.mounted and path != self._entered:
            raise IsMountPoint(f"{printable(path)} is a mount point", "nothing was changed")
        if folder.mount:
            refuse_kernel_files(folder.fd, path)
        self._root.admit(folder.fd, path, Need.READ)
        try:
            return sorted(map(os.fsencode, os.listdir(folder.fd)))
        except OSError as error:
            raise explain(error, path) from error

    def beneath(self, path: bytes) -> EntrySnapshot | None:
        """Return None: the kernel does whiteouts, so no hidden entry of the image can show."""
        del path
        return None

    def settle(self, node: EntrySnapshot) -> None:
        """Do nothing: the kernel leaves no half-made whiteout."""
        del node

    # making ------------------------------------------------------------------------------------------------

    def make(self, node: EntrySnapshot, data: int | None, *, over: EntrySnapshot | None = None) -> None:
        try:
            if over is not None and over.kind is node.kind is EntryKind.DIRECTORY:
                self.dress(node)
                return
            folder, name = self._reach(node.path)  # open until another directory is asked for, which nothing here does
            if over is None:
                self._root.admit(folder.fd, node.path, Need.WRITE)
            else:
                self._root.admit_taking(folder.fd, name, node.path)
            atomic.refuse_fixed(folder.fd, node.path)
            if node.same_as:
                with self._other_name(node) as entry:
                    self._place(node.path, entry, folder, name, over)
            else:
                self._place(node.path, atomic.entry_like(node, data, raw=self._raw), folder, name, over)
            self._withdraw_if_gone(folder, name)
            self.changed(folder)
        except OSError as error:
            raise explain_change(error, node.path) from error

    def _withdraw_if_gone(self, folder: OpenDirectory, name: bytes) -> None:
        """Remove a new entry if the container's removal began meanwhile, because the removal would fail over it."""
        try:
            self._check()
        except ContainerGone:
            with suppress(OSError):
                atomic.remove_any(folder.fd, name)
            raise

    @contextmanager
    def _other_name(self, node: EntrySnapshot) -> Iterator[NewEntry]:
        """Yield a hard link to exactly the file that ``node.same_as`` names."""
        if self._link_root is None:
            self._link_root = self._root.duplicate()
        parent, other_name = split(node.same_as)
        with self._link_root.directory(parent) as folder:
            fd = open_child(folder.fd, other_name, os.O_PATH)
            try:
                require_same_bytes(node.same_as, os.fstat(fd), node.size, node.mtime_ns)
                yield atomic.name_of(fd)
            finally:
                os.close(fd)

    def _place(
        self, path: bytes, entry: NewEntry, folder: OpenDirectory, name: bytes, over: EntrySnapshot | None
    ) -> None:
        """Create an entry under a temporary name and rename it over nothing but ``over``."""
        fresh = True

        def scratch() -> Scratch:
            nonlocal fresh
            place, fresh = self._scratch.place(folder, path)
            return place

        def before_rename() -> None:
            if over is not None:
                require_untouched(folder.fd, name, over)
            self._check()

        placement = Placement(
            folder.fd,
            name,
            exclusive=over is None,
            scratch=scratch,
            before_rename=before_rename,
            rename=self._hands.rename,
            synced=over is not None or self._durability.at_once,
        )
        try:
            atomic.place(entry, placement)
        except OSError as error:
            if fresh or error.errno != errno.EXDEV:
                raise
            self._scratch.close()  # one mount with several file systems, or with directories that have their own quotas
            atomic.place(entry, placement)

    def dress(self, node: EntrySnapshot) -> None:
        try:
            if node.path == b"/":
                atomic.dress(self._root.fd, b".", node, raw=self._raw)
                return
            with self._parent(node.path) as (dir_fd, name):
                self._admit_dressing(dir_fd, name, node)
                atomic.dress(dir_fd, name, node, raw=self._raw)
        except OSError as error:
            raise explain_change(error, node.path) from error

    def _admit_dressing(self, dir_fd: int, name: bytes, node: EntrySnapshot) -> None:
        """Raise EditRefused if no process of the container may set what ``node`` has."""
        if not self._root.is_restricted:
            return
        fd = open_child(dir_fd, name, os.O_PATH)
        try:
            present = snapshot_of(fd, node.path, raw=self._raw)
            need = _need_to_permit(os.fstat(fd), node)
            if present.mode != node.mode or present.xattrs != node.xattrs:
                need |= Need.OWN
            self._root.admit(fd, node.path, need)
        finally:
            os.close(fd)

    def permit(self, node: EntrySnapshot, desired: EntrySnapshot) -> None:
        """Change owner and mode by descriptor, so that no other entry can get them."""
        try:
            fd = self._open(node.path)
            try:
                status = os.fstat(fd)
                if not is_same_entry(status, node):
                    raise ChangedMeanwhile(f"{printable(node.path)} was replaced meanwhile", "look at it again")
                self._root.admit(fd, node.path, _need_to_permit(status, desired))
                change_owner_and_mode(path_of(fd), status, desired)
            finally:
                os.close(fd)
        except OSError as error:
            raise explain_change(error, node.path) from error

    # removing and renaming ---------------------------------------------------------------------------------

    def remove(self, path: bytes, *, directory: bool, expected: EntrySnapshot | None = None) -> None:
        if directory:
            self.forget(path)
        folder, name = self._reach(path)
        self._root.admit_taking(folder.fd, name, path)
        try:
            if expected is not None:
                require_untouched(folder.fd, name, expected)
            if directory:
                self._hands.rmdir(folder.fd, name)
            else:
                self._hands.unlink(folder.fd, name)
            self.changed(folder)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                raise ChangedMeanwhile(f"{printable(path)} is not empty", "somebody made something in it") from error
            raise explain_change(error, path) from error

    def move(self, path: bytes, new: bytes) -> bool:
        """Rename in one step; return False for a directory of the image, which overlay cannot rename (EXDEV)."""
        with self._parent(path) as (dir_fd, name), self._parent(new) as (new_fd, new_name):
            self._root.admit_taking(dir_fd, name, path)
            self._root.admit(new_fd, new, Need.WRITE)
            try:
                atomic.refuse_fixed(new_fd, new)
                self._hands.rename(dir_fd, name, new_fd, new_name, NO_REPLACE)
                self.forget(path)
                self.forget(new)
                os.fsync(dir_fd)
                os.fsync(new_fd)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    return False
                raise explain_change(error, new if error.errno == errno.EEXIST else path) from error
        return True


def _need_to_permit(status: os.stat_result, desired: EntrySnapshot) -> Need:
    """Return the rights needed to set owner and mode; what is set already needs none."""
    need = Need(0)
    if (status.st_uid, status.st_gid) != (desired.uid, desired.gid):
        need |= Need.CHOWN
    if status.st_mode & 0o7777 != desired.mode & 0o7777:
        need |= Need.OWN
    return need
