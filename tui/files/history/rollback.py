"""Bringing back what an act replaced, and nothing else: what somebody put there since is left as it is."""

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
"""Acts that change what an entry is, never its bytes nor whether it is there."""

_PLAIN = (EntryKind.FILE, EntryKind.SYMLINK)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of taking an act back.

    ``skipped`` are paths that were left, for they are somebody else's now; ``parted`` those of files that shared their
    bytes with other names, which are gone or were written since.
    """

    skipped: tuple[bytes, ...] = ()
    parted: tuple[bytes, ...] = ()


def is_plain_rename(act: UndoRecord) -> bool:
    """Say whether an act was one rename, so that another takes it back."""
    return act.kind is UndoKind.RENAME and len(act.nodes) == 1


def is_one_write(act: UndoRecord) -> bool:
    """Say whether an act put bytes into a file that was there, or put the old ones back."""
    return act.kind is UndoKind.WRITE or (act.kind in (UndoKind.UNDO, UndoKind.REDO) and bool(act.wrote))


def with_current_metadata(act: UndoRecord, current: EntrySnapshot | None) -> UndoRecord:
    """Return a write with the owner, attributes and mode that its file has now: it changed none of them.

    The mode is the old one where the write gave another, which the file still has.
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
    """Bring every path of an act to what it was before, unless somebody else changed it.

    May be done again after it was cut off. With ``force`` what somebody changed is not left. Where it was
    ``backup_nodes`` what stands there now, anything else is left even so. ``step`` is told of each entry.
    """
    if is_plain_rename(act):
        if tree.look(act.path) is None and tree.look(act.new_path) is not None:
            tree.move(act.new_path, act.path)
        return Restored()
    return Restorer(tree, act, force=force).put_back(backup_nodes, step)


def changed_since(tree: Tree, act: UndoRecord) -> tuple[bytes, ...]:
    """Return the paths where something stands that is neither what was there before an act nor of its making."""
    return Restorer(tree, act).changed_since(PathLookup(tree, act))


def current_snapshot(tree: Tree, act: UndoRecord, path: bytes) -> EntrySnapshot | None:
    """Describe what stands at a path of an act; below a link in the place of one of its directories there is nothing.

    Raises LayerError for any other link on the way: somebody put it there just now, and perhaps takes it away again.
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
    """Looks at the paths of an act one after another, parents first; below what is no directory there is nothing."""

    def __init__(self, tree: Tree, act: UndoRecord) -> None:
        self.tree = tree
        self._act = act
        self._ends = b""

    def at(self, path: bytes) -> EntrySnapshot | None:
        """Describe what stands at a path, None for nothing."""
        if self._ends and path.startswith(self._ends):
            return None
        current = self._look(path)
        self._ends = b"" if current is not None and current.kind is EntryKind.DIRECTORY else path.rstrip(b"/") + b"/"
        return current

    @property
    def below_nothing(self) -> bytes:
        """How the paths begin that lie below the last one that was looked at, where that is no directory."""
        return self._ends

    def _look(self, path: bytes) -> EntrySnapshot | None:
        return current_snapshot(self.tree, self._act, path)


class Survey(PathLookup):
    """What was found at the paths of an act, each looked at once and remembered."""

    def __init__(self, tree: Tree, act: UndoRecord) -> None:
        super().__init__(tree, act)
        self._current: dict[bytes, EntrySnapshot | None] = {}

    def _look(self, path: bytes) -> EntrySnapshot | None:
        if path not in self._current:
            self._current[path] = super()._look(path)
        return self._current[path]


def is_same_state(current: EntrySnapshot | None, node: EntrySnapshot) -> bool:
    """Say whether what stands somewhere is what was kept, a directory whatever was made in it."""
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
    """Say whether what stands somewhere is what was made there; attributes may have come from the file system."""
    names = ["kind", "rdev", "target"]
    if current.kind is not EntryKind.SYMLINK:
        names.append("mode")
    if current.kind in _PLAIN:
        names += ["size", "mtime_ns"]
    if os.geteuid() == 0:  # nobody else can give files away
        names += ["uid", "gid"]
    return all(getattr(current, name) == getattr(expected, name) for name in names)


def was_never_moved(act: UndoRecord, before: EntrySnapshot) -> bool:
    """Say whether what stands at the old path of a rename is what was to get the new one."""
    expected = (act.after or {}).get(act.new_path)
    return expected is not None and _resembles(before, expected)


def _is_partly_changed(current: EntrySnapshot, before: EntrySnapshot, after: EntrySnapshot) -> bool:
    """Say whether an entry that is given another mode and owner is somewhere on its way."""
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
    """Return the attributes to put back, and as they are now those that somebody else set since.

    An ACL changes with the mode, and a capability goes with the owner: these are put back as they were.
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
    """Tells what would be left when an act is taken back, and takes it back."""

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
        """Directories that were made anew: what is in them is of our making."""
        self._restored_names: dict[bytes, bytes] = {}
        """Where a file of several names is what it was, by the first of its names."""

    def changed_since(self, lookup: PathLookup) -> tuple[bytes, ...]:
        """Return the paths that would be left, by a lookup that has not begun or that remembers."""
        self._lookup = lookup
        return self._run(None, change=False).skipped

    def put_back(self, backup_nodes: Iterable[EntrySnapshot] | None, step: _Step | None) -> Restored:
        """Take the act back, on the terms of :func:`put_back`."""
        self._lookup = PathLookup(self._tree, self._act)
        self._backup_nodes = None if backup_nodes is None else {node.path: node for node in backup_nodes}
        return self._run(step, change=True)

    def _run(self, step: _Step | None, *, change: bool) -> Restored:
        nodes = self._before.values()  # what is kept of older acts may hold a path twice
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
        """Say whether nothing is lost when an entry goes: it is kept, of the act's making, or an image's."""
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
        if self._after is None:  # an older dtui did it, and did not write down what it would make
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
        """Where whiteouts are made by hand the image's entry may show for a moment."""
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
        """Say whether one must be removed before the other can be made: only files and links replace each other."""
        if self._act.kind in METADATA or _metadata_only(node):
            return False
        if node.kind is None:
            return True
        if current.kind is node.kind:
            return current.rdev != node.rdev
        return not (current.kind in _PLAIN and node.kind in _PLAIN)

    def _subtree(self, node: EntrySnapshot) -> list[EntrySnapshot]:
        """Return an entry and all below it, parents first, in the order of the tree."""
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
            self._skipped[node.path] = node  # there is nothing to put it in
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
            self._dress(replace(node, mtime_ns=current.mtime_ns), current)  # what it holds is as old as it is
        elif not (self._act.kind in METADATA or _metadata_only(node)):
            self._make(node, data, current)

    def _dress(self, node: EntrySnapshot, current: EntrySnapshot | None) -> None:
        """Make an entry that is there what it was, but for attributes that somebody else gave it since."""
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
        """Return another path at which a file still is what it was, nothing for a file that has to be made."""
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
