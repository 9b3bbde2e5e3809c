"""Restore what an act replaced, and leave what somebody else put there since."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tui.core.errors import LayerError
from tui.core.records import EntryKind
from tui.files.history.backups import UndoKind, UndoRecord
from tui.files.tree.hard_links import other_names
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot, in_order
from tui.files.write.version import version_of
from tui.linux.rooted_paths import split

_Step = Callable[[int, bytes], None]

METADATA = (UndoKind.CHMOD, UndoKind.CHOWN)
"""Acts that change metadata, never bytes or existence."""

_PLAIN = (EntryKind.FILE, EntryKind.SYMLINK)


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of undoing an act.

    ``skipped`` are paths that were left because somebody else changed them; ``parted`` are files whose other hard links
    are gone or were written since.
    """

    skipped: tuple[bytes, ...] = ()
    parted: tuple[bytes, ...] = ()


def is_plain_rename(act: UndoRecord) -> bool:
    """Return whether an act was a single rename, which another rename undoes."""
    return act.kind is UndoKind.RENAME and len(act.nodes) == 1


def is_one_write(act: UndoRecord) -> bool:
    """Return whether an act wrote an existing file, or restored its old bytes."""
    return act.kind is UndoKind.WRITE or (act.kind in (UndoKind.UNDO, UndoKind.REDO) and bool(act.wrote))


def with_current_metadata(act: UndoRecord, current: EntrySnapshot | None) -> UndoRecord:
    """Return a write with the file's current owner and attributes, since a write changes neither.

    The mode is the current one too, unless the write set it and nobody changed it since; then it is the old one.
    """
    node = act.nodes[0]
    if current is None or current.kind is not EntryKind.FILE or node.kind is not EntryKind.FILE:
        return act
    after = (act.after or {}).get(node.path)
    mode = node.mode if after is not None and current.mode == after.mode else current.mode
    return replace(act, nodes=(replace(node, mode=mode, uid=current.uid, gid=current.gid, xattrs=current.xattrs),))


def put_back(
    tree: Tree,
    act: UndoRecord,
    *,
    force: bool = False,
    backup_nodes: Iterable[EntrySnapshot] | None = None,
    step: _Step | None = None,
) -> Restored:
    """Restore every path of an act, except those that somebody else changed.

    Can be repeated after an interruption. ``force`` also overwrites what somebody changed. If ``backup_nodes`` is
    given, anything that differs from it is left even then. ``step`` is called for each entry.
    """
    if is_plain_rename(act):
        if tree.look(act.path) is None and tree.look(act.new_path) is not None:
            tree.move(act.new_path, act.path)
        return Restored()
    return Restorer(tree, act, force=force).put_back(backup_nodes, step)


def changed_since(tree: Tree, act: UndoRecord) -> tuple[bytes, ...]:
    """Return the paths whose entry is neither the old one nor the act's own."""
    return Restorer(tree, act).changed_since(PathLookup(tree, act))


def current_snapshot(tree: Tree, act: UndoRecord, path: bytes) -> EntrySnapshot | None:
    """Return a snapshot of a path of an act; None below a directory that was replaced by a link.

    Raises LayerError for any other link on the way: somebody put it there just now, and may remove it again.
    """
    try:
        return tree.look(path)
    except LayerError:
        for node in act.nodes:  # parents come first
            if node.kind is EntryKind.DIRECTORY and path.startswith(node.path.rstrip(b"/") + b"/"):
                current = tree.look(node.path)
                if current is not None and current.kind is EntryKind.SYMLINK:
                    return None
        raise


class PathLookup:
    """Looks at the paths of an act one after another, parents first; below anything but a directory is nothing."""

    def __init__(self, tree: Tree, act: UndoRecord) -> None:
        self.tree = tree
        self._act = act
        self._ends = b""

    def at(self, path: bytes) -> EntrySnapshot | None:
        """Return a snapshot, or None."""
        if self._ends and path.startswith(self._ends):
            return None
        current = self._look(path)
        self._ends = b"" if current is not None and current.kind is EntryKind.DIRECTORY else path.rstrip(b"/") + b"/"
        return current

    @property
    def below_nothing(self) -> bytes:
        """The prefix of paths below the last entry, if that is not a directory; else empty."""
        return self._ends

    def _look(self, path: bytes) -> EntrySnapshot | None:
        return current_snapshot(self.tree, self._act, path)


class Survey(PathLookup):
    """A lookup that remembers what it found."""

    def __init__(self, tree: Tree, act: UndoRecord) -> None:
        super().__init__(tree, act)
        self._current: dict[bytes, EntrySnapshot | None] = {}

    def _look(self, path: bytes) -> EntrySnapshot | None:
        if path not in self._current:
            self._current[path] = super()._look(path)
        return self._current[path]


def is_same_state(current: EntrySnapshot | None, node: EntrySnapshot) -> bool:
    """Return whether an entry equals its backup; of a directory, its content and time are ignored."""
    if current is None or node.kind is None:
        return current is None and node.kind is None
    if (current.path, current.kind, current.mode, current.uid, current.gid) != (
        node.path,
        node.kind,
        node.mode,
        node.uid,
        node.gid,
    ):
        return False
    if current.kind is not EntryKind.DIRECTORY and current.mtime_ns != node.mtime_ns:
        return False
    return (current.size, current.target, current.rdev, current.xattrs) == (
        node.size,
        node.target,
        node.rdev,
        node.xattrs,
    )


def _resembles(current: EntrySnapshot, expected: EntrySnapshot) -> bool:
    """Return whether an entry is what the act created; attributes may come from the file system."""
    names = ["kind", "rdev", "target"]
    if current.kind is not EntryKind.SYMLINK:
        names.append("mode")
    if current.kind in _PLAIN:
        names += ["size", "mtime_ns"]
    if os.geteuid() == 0:  # only root can change owners
        names += ["uid", "gid"]
    return all(getattr(current, name) == getattr(expected, name) for name in names)


def was_never_moved(act: UndoRecord, before: EntrySnapshot) -> bool:
    """Return whether the entry at the old path of a rename is the one that was to be renamed."""
    expected = (act.after or {}).get(act.new_path)
    return expected is not None and _resembles(before, expected)


def _is_partly_changed(current: EntrySnapshot, before: EntrySnapshot, after: EntrySnapshot) -> bool:
    """Return whether an entry's mode and owner are between those before and after a change."""
    return (
        current.kind is after.kind
        and current.uid in (before.uid, after.uid)
        and current.gid in (before.gid, after.gid)
        and current.mode & 0o777 in (before.mode & 0o777, after.mode & 0o777)
        and not current.mode & 0o7000 & ~(before.mode | after.mode)
    )


def _merged_xattrs(
    node: EntrySnapshot, current: EntrySnapshot, after: EntrySnapshot | None
) -> tuple[tuple[str, bytes], ...]:
    """Return the attributes to restore, merged with those that somebody else set since.

    ACLs depend on the mode and capabilities on the owner, so both are restored as they were.
    """
    old, act_xattrs, current_xattrs = dict(node.xattrs), dict(after.xattrs) if after else {}, dict(current.xattrs)
    foreign_xattrs = {
        name: value for name, value in current_xattrs.items() if value not in (old.get(name), act_xattrs.get(name))
    }
    for name in ("system.posix_acl_access", "security.capability"):
        foreign_xattrs.pop(name, None)
    return in_order((old | foreign_xattrs).items())


def _metadata_only(node: EntrySnapshot) -> bool:
    return node.kind is EntryKind.FILE and not node.has_bytes


class Restorer:
    """Undoes an act, or predicts which paths would be left."""

    def __init__(self, tree: Tree, act: UndoRecord, *, force: bool = False) -> None:
        self._tree = tree
        self._act = act
        self._force = force
        self._backup_nodes: dict[bytes, EntrySnapshot] | None = None
        self._before = {node.path: node for node in act.nodes}
        self._after = act.after
        self._names: dict[bytes, list[EntrySnapshot]] = defaultdict(list)
        for node in act.nodes:
            if node.kind is EntryKind.FILE and (node.names or node.same_as):
                self._names[node.same_as or node.path].append(node)
        self._elsewhere: dict[int, bytes] | None = None
        self._skipped: dict[bytes, EntrySnapshot] = {}
        self._parted: list[bytes] = []
        self._touched: set[bytes] = set()
        self._lookup = PathLookup(tree, act)
        self._new_directories: set[bytes] = set()
        """Directories that this restore created, so their content is its own."""
        self._restored_names: dict[bytes, bytes] = {}
        """Hard links: the first name of a file in the backup, and where that file is restored now."""

    def changed_since(self, lookup: PathLookup) -> tuple[bytes, ...]:
        """Return the paths that would be left, using a fresh lookup or one that remembers."""
        self._lookup = lookup
        return self._run(None, change=False).skipped

    def put_back(self, backup_nodes: Iterable[EntrySnapshot] | None, step: _Step | None) -> Restored:
        """Undo the act as :func:`put_back` describes."""
        self._lookup = PathLookup(self._tree, self._act)
        self._backup_nodes = None if backup_nodes is None else {node.path: node for node in backup_nodes}
        return self._run(step, change=True)

    def _run(self, step: _Step | None, *, change: bool) -> Restored:
        nodes = self._before.values()  # backups of older versions may contain a path twice
        for node in nodes if change else ():
            self._tree.settle(node)
        if self._act.kind not in METADATA:
            present_nodes = [(node, current) for node in nodes if (current := self._lookup.at(node.path)) is not None]
            for node, current in reversed(present_nodes):
                self._remove_obstacles(node, current, change=change)
            del present_nodes
            if change:
                self._lookup = PathLookup(self._tree, self._act)
        fd = os.open(self._act.data, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for count, node in enumerate(nodes):
                if step:
                    step(count, node.path)
                self._restore(node, fd, change=change)
        finally:
            os.close(fd)
        for node in reversed(nodes):
            if node.kind is EntryKind.DIRECTORY and node.path in self._touched and node.path not in self._skipped:
                self._dress(node, self._tree.look(node.path))
        if change:
            self._tree.sync()
        return Restored(tuple(self._skipped), tuple(self._parted))

    # whose it is -------------------------------------------------------------------------------------------

    def _is_ours(self, current: EntrySnapshot) -> bool:
        """Return whether removing an entry loses nothing: the backup, the act or the image has it."""
        if self._backup_nodes is not None and not is_same_state(
            current, self._backup_nodes.get(current.path, EntrySnapshot(current.path))
        ):
            return self._is_from_image(current)
        if self._force:
            return True
        before = self._before.get(current.path, EntrySnapshot(current.path))
        return is_same_state(current, before) or self._was_made(current, before) or self._is_from_image(current)

    def _was_made(self, current: EntrySnapshot, before: EntrySnapshot) -> bool:
        if self._act.wrote:
            return current.kind is EntryKind.FILE and self._hash(current.path) == self._act.wrote
        if self._after is None:  # an older dtui did not record what it created
            made_by_kind = {UndoKind.REMOVE: False, UndoKind.MKDIR: current.kind is EntryKind.DIRECTORY}
            return made_by_kind.get(self._act.kind, True)
        after = self._after.get(current.path)
        if after is None or after.kind is None:
            return False
        if before.kind is current.kind and not before.has_bytes:
            return _is_partly_changed(current, before, after)
        return _resembles(current, after)

    def _hash(self, path: bytes) -> str:
        fd = self._tree.open_file(path)
        try:
            return version_of(fd).sha256
        finally:
            os.close(fd)

    def _is_from_image(self, current: EntrySnapshot) -> bool:
        """Return whether it is the image's entry, which may show briefly if dtui makes whiteouts itself."""
        beneath = self._tree.beneath(current.path)
        return beneath is not None and _resembles(current, beneath)

    def _skip(self, current: EntrySnapshot) -> None:
        self._skipped[current.path] = current

    # bringing it back --------------------------------------------------------------------------------------

    def _remove_obstacles(self, node: EntrySnapshot, current: EntrySnapshot, *, change: bool) -> None:
        if not self._is_obstacle(current, node):
            return
        occupied: set[bytes] = set()
        for entry in reversed(self._subtree(current)):
            if not self._is_ours(entry):
                self._skip(entry)
                occupied.add(split(entry.path)[0])
            elif entry.path in occupied:
                occupied.add(split(entry.path)[0])
            elif change:
                self._tree.remove(entry.path, directory=entry.kind is EntryKind.DIRECTORY, expected=entry)
                self._touched.add(split(entry.path)[0])
        if occupied and node.kind is not None:
            self._skip(current)

    def _is_obstacle(self, current: EntrySnapshot, node: EntrySnapshot) -> bool:
        """Return whether ``current`` must be removed first: only files and links replace each other."""
        if self._act.kind in METADATA or _metadata_only(node):
            return False
        if node.kind is None:
            return True
        if current.kind is node.kind:
            return current.rdev != node.rdev
        return not (current.kind in _PLAIN and node.kind in _PLAIN)

    def _subtree(self, node: EntrySnapshot) -> list[EntrySnapshot]:
        """Return an entry and everything below it, parents first."""
        nodes: list[EntrySnapshot] = []
        todo = [node]
        while todo:
            entry = todo.pop()
            nodes.append(entry)
            if entry.kind is EntryKind.DIRECTORY:
                todo += reversed(self._tree.children(entry.path))
        return nodes

    def _restore(self, node: EntrySnapshot, data: int, *, change: bool) -> None:
        if node.kind is None:
            return
        parent = self._skipped.get(split(node.path)[0])
        if parent is not None and parent.kind is not EntryKind.DIRECTORY:
            self._skipped[node.path] = node  # its parent was left and is no directory
            return
        current = None if split(node.path)[0] in self._new_directories else self._lookup.at(node.path)
        if is_same_state(current, node) or node.path in self._skipped:
            return
        if current is not None and not self._is_ours(current):
            self._skip(current)
        elif not change:
            return
        elif current is not None and self._act.kind in METADATA:
            self._tree.permit(current, node)
        elif current is not None and current.kind is node.kind and not node.has_bytes and current.target == node.target:
            self._dress(replace(node, mtime_ns=current.mtime_ns), current)  # only its metadata changes
        elif not (self._act.kind in METADATA or _metadata_only(node)):
            self._make(node, data, current)

    def _dress(self, node: EntrySnapshot, current: EntrySnapshot | None) -> None:
        """Restore an entry's metadata, except attributes that somebody else set since."""
        if current is not None and not self._force:
            node = replace(node, xattrs=_merged_xattrs(node, current, (self._after or {}).get(node.path)))
        self._tree.dress(node)

    def _make(self, node: EntrySnapshot, data: int, current: EntrySnapshot | None) -> None:
        self._touched.add(split(node.path)[0])
        existing_path = self._surviving_name(node)
        if node.image and not existing_path:
            fd = self._tree.open_image(node)
            try:
                self._tree.make(replace(node, same_as=b"", offset=0), fd, over=current)
            finally:
                os.close(fd)
            if node.same_as or node.names:
                self._restored_names[node.same_as or node.path] = node.path
            return
        offset = self._before[node.same_as].offset if node.same_as else node.offset
        self._tree.make(replace(node, same_as=existing_path, offset=offset), data, over=current)
        if node.kind is EntryKind.DIRECTORY and current is None:
            self._new_directories.add(node.path)
        elif node.kind is EntryKind.FILE and (node.same_as or node.names):
            self._restored_names[node.same_as or node.path] = node.path

    def _surviving_name(self, node: EntrySnapshot) -> bytes:
        """Return another path at which this file exists unchanged, empty if it has to be created."""
        first = node.same_as or node.path
        linked_nodes = self._names.get(first, [])
        if first in self._restored_names:
            return self._restored_names[first]
        for candidate in linked_nodes:
            if candidate != node and is_same_state(current_snapshot(self._tree, self._act, candidate.path), candidate):
                self._restored_names[first] = candidate.path
                return candidate.path
        if node.kind is not EntryKind.FILE or node.names <= len(linked_nodes):
            return b""
        if self._elsewhere is None:
            shared = [names[0] for names in self._names.values() if names[0].names > len(names)]
            nodes_by_inode = {candidate.inode[1]: candidate for candidate in shared}
            self._elsewhere = other_names(
                self._tree, nodes_by_inode, lambda current, one: is_same_state(current, replace(one, path=current.path))
            )
        other_path = self._elsewhere.get(node.inode[1], b"")
        if not other_path:
            self._parted.append(node.path)
        return other_path
