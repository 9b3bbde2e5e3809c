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

    ``left`` are paths that were left, for they are somebody else's now; ``parted`` those of files that shared their
    bytes with other names, which are gone or were written since.
    """

    left: tuple[bytes, ...] = ()
    parted: tuple[bytes, ...] = ()


def is_plain_rename(act: UndoRecord) -> bool:
    """Say whether an act was one rename, so that another takes it back."""
    return act.kind is UndoKind.RENAME and len(act.nodes) == 1


def is_one_write(act: UndoRecord) -> bool:
    """Say whether an act put bytes into a file that was there, or put the old ones back."""
    return act.kind is UndoKind.WRITE or (act.kind in (UndoKind.UNDO, UndoKind.REDO) and bool(act.wrote))


def with_present(act: UndoRecord, now: EntrySnapshot | None) -> UndoRecord:
    """Return a write with the owner, attributes and mode that its file has now: it changed none of them.

    The mode is the old one where the write gave another, which the file still has.
    """
    node = act.nodes[0]
    if now is None or now.kind is not EntryKind.FILE or node.kind is not EntryKind.FILE:
        return act
    given = (act.after or {}).get(node.path)
    mode = node.mode if given is not None and now.mode == given.mode else now.mode
    return replace(act, nodes=(replace(node, mode=mode, uid=now.uid, gid=now.gid, xattrs=now.xattrs),))


def put_back(
    tree: Tree,
    act: UndoRecord,
    *,
    force: bool = False,
    kept: Iterable[EntrySnapshot] | None = None,
    step: _Step | None = None,
) -> Restored:
    """Bring every path of an act to what it was before, unless somebody else changed it.

    May be done again after it was cut off. With ``force`` what somebody changed is not left. Where it was ``kept`` what
    stands there now, anything else is left even so. ``step`` is told of each entry.
    """
    if is_plain_rename(act):
        if tree.look(act.path) is None and tree.look(act.other) is not None:
            tree.move(act.other, act.path)
        return Restored()
    return _Restorer(tree, act, force=force, kept=kept).run(step, change=True)


def changed_since(tree: Tree, act: UndoRecord, step: _Step | None = None) -> tuple[bytes, ...]:
    """Return the paths where something stands that is neither what was there before an act nor of its making."""
    return _Restorer(tree, act, force=False).run(step, change=False).left


def look_for(tree: Tree, act: UndoRecord, path: bytes) -> EntrySnapshot | None:
    """Describe what stands at a path of an act; below a link in the place of one of its directories there is nothing.

    Raises LayerError for any other link on the way: somebody put it there just now, and perhaps takes it away again.
    """
    try:
        return tree.look(path)
    except LayerError:
        for node in act.nodes:  # parents come first
            if node.kind is EntryKind.DIRECTORY and path.startswith(node.path.rstrip(b"/") + b"/"):
                now = tree.look(node.path)
                if now is not None and now.kind is EntryKind.SYMLINK:
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
        now = look_for(self.tree, self._act, path)
        self._ends = b"" if now is not None and now.kind is EntryKind.DIRECTORY else path.rstrip(b"/") + b"/"
        return now


def same(now: EntrySnapshot | None, node: EntrySnapshot) -> bool:
    """Say whether what stands somewhere is what was kept, a directory whatever was made in it."""
    if now is None or node.kind is None:
        return now is None and node.kind is None
    if (now.path, now.kind, now.mode, now.uid, now.gid) != (node.path, node.kind, node.mode, node.uid, node.gid):
        return False
    if now.kind is not EntryKind.DIRECTORY and now.mtime_ns != node.mtime_ns:
        return False
    return (now.size, now.target, now.rdev, now.xattrs) == (node.size, node.target, node.rdev, node.xattrs)


def _like(now: EntrySnapshot, made: EntrySnapshot) -> bool:
    """Say whether what stands somewhere is what was made there; attributes may have come from the file system."""
    names = ["kind", "rdev", "target"]
    if now.kind is not EntryKind.SYMLINK:
        names.append("mode")
    if now.kind in _PLAIN:
        names += ["size", "mtime_ns"]
    if os.geteuid() == 0:  # nobody else can give files away
        names += ["uid", "gid"]
    return all(getattr(now, name) == getattr(made, name) for name in names)


def was_never_moved(act: UndoRecord, before: EntrySnapshot) -> bool:
    """Say whether what stands at the old path of a rename is what was to get the new one."""
    wanted = (act.after or {}).get(act.other)
    return wanted is not None and _like(before, wanted)


def _between(now: EntrySnapshot, before: EntrySnapshot, after: EntrySnapshot) -> bool:
    """Say whether an entry that is given another mode and owner is somewhere on its way."""
    return (
        now.kind is after.kind
        and now.uid in (before.uid, after.uid)
        and now.gid in (before.gid, after.gid)
        and now.mode & 0o777 in (before.mode & 0o777, after.mode & 0o777)
        and not now.mode & 0o7000 & ~(before.mode | after.mode)
    )


def _with_others(node: EntrySnapshot, now: EntrySnapshot, made: EntrySnapshot | None) -> tuple[tuple[str, bytes], ...]:
    """Return the attributes to put back, and as they are now those that somebody else set since.

    An ACL changes with the mode, and a capability goes with the owner: these are put back as they were.
    """
    old, ours, found = dict(node.xattrs), dict(made.xattrs) if made else {}, dict(now.xattrs)
    others = {name: value for name, value in found.items() if value not in (old.get(name), ours.get(name))}
    for name in ("system.posix_acl_access", "security.capability"):
        others.pop(name, None)
    return in_order((old | others).items())


def _metadata_only(node: EntrySnapshot) -> bool:
    return node.kind is EntryKind.FILE and not node.kept


class _Restorer:
    def __init__(
        self, tree: Tree, act: UndoRecord, *, force: bool, kept: Iterable[EntrySnapshot] | None = None
    ) -> None:
        self._tree = tree
        self._act = act
        self._force = force
        self._kept = None if kept is None else {node.path: node for node in kept}
        self._before = {node.path: node for node in act.nodes}
        self._after = act.after
        self._names: dict[bytes, list[EntrySnapshot]] = defaultdict(list)
        for node in act.nodes:
            if node.kind is EntryKind.FILE:
                self._names[node.same_as or node.path].append(node)
        self._elsewhere: dict[int, bytes] | None = None
        self._left: dict[bytes, EntrySnapshot] = {}
        self._parted: list[bytes] = []
        self._touched: set[bytes] = set()
        self._looks = PathLookup(tree, act)
        self._made: set[bytes] = set()
        """Directories that were made anew: what is in them is of our making."""
        self._whole: dict[bytes, bytes] = {}
        """Where a file of several names is what it was, by the first of its names."""

    def run(self, step: _Step | None, *, change: bool) -> Restored:
        """Go through all paths, or only find out which would be left."""
        nodes = tuple(self._before.values())  # what is kept of older acts may hold a path twice
        for node in nodes if change else ():
            self._tree.settle(node)
        if self._act.kind not in METADATA:
            looks = PathLookup(self._tree, self._act)
            for node, now in reversed([(node, now) for node in nodes if (now := looks.at(node.path)) is not None]):
                self._clear_the_way(node, now, change=change)
        self._looks = PathLookup(self._tree, self._act)
        fd = os.open(self._act.data, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for count, node in enumerate(nodes):
                if step:
                    step(count, node.path)
                self._bring(node, fd, change=change)
        finally:
            os.close(fd)
        for node in reversed(nodes):
            if node.kind is EntryKind.DIRECTORY and node.path in self._touched and node.path not in self._left:
                self._dress(node, self._tree.look(node.path))
        if change:
            self._tree.sync()
        return Restored(tuple(self._left), tuple(self._parted))

    # whose it is -------------------------------------------------------------------------------------------

    def _is_ours(self, now: EntrySnapshot) -> bool:
        """Say whether nothing is lost when an entry goes: it is kept, of the act's making, or an image's."""
        if self._kept is not None and not same(now, self._kept.get(now.path, EntrySnapshot(now.path))):
            return self._is_the_image_s(now)
        if self._force:
            return True
        before = self._before.get(now.path, EntrySnapshot(now.path))
        return same(now, before) or self._was_made(now, before) or self._is_the_image_s(now)

    def _was_made(self, now: EntrySnapshot, before: EntrySnapshot) -> bool:
        if self._act.wrote:
            return now.kind is EntryKind.FILE and self._hash(now.path) == self._act.wrote
        if self._after is None:  # an older dtui did it, and did not write down what it would make
            known = {UndoKind.REMOVE: False, UndoKind.MKDIR: now.kind is EntryKind.DIRECTORY}
            return known.get(self._act.kind, True)
        after = self._after.get(now.path)
        if after is None or after.kind is None:
            return False
        if before.kind is now.kind and not before.kept:
            return _between(now, before, after)
        return _like(now, after)

    def _hash(self, path: bytes) -> str:
        fd = self._tree.open_file(path)
        try:
            return version_of(fd).sha256
        finally:
            os.close(fd)

    def _is_the_image_s(self, now: EntrySnapshot) -> bool:
        """Where whiteouts are made by hand the image's entry may show for a moment."""
        beneath = self._tree.beneath(now.path)
        return beneath is not None and _like(now, beneath)

    def _leave(self, now: EntrySnapshot) -> None:
        self._left[now.path] = now

    # bringing it back --------------------------------------------------------------------------------------

    def _clear_the_way(self, node: EntrySnapshot, now: EntrySnapshot, *, change: bool) -> None:
        if not self._in_the_way(now, node):
            return
        held: set[bytes] = set()
        for one in reversed(self._all_of(now)):
            if not self._is_ours(one):
                self._leave(one)
                held.add(split(one.path)[0])
            elif one.path in held:
                held.add(split(one.path)[0])
            elif change:
                self._tree.remove(one.path, directory=one.kind is EntryKind.DIRECTORY, seen=one)
                self._touched.add(split(one.path)[0])
        if held and node.kind is not None:
            self._leave(now)

    def _in_the_way(self, now: EntrySnapshot, node: EntrySnapshot) -> bool:
        """Say whether one must be removed before the other can be made: only files and links replace each other."""
        if self._act.kind in METADATA or _metadata_only(node):
            return False
        if node.kind is None:
            return True
        if now.kind is node.kind:
            return now.rdev != node.rdev
        return not (now.kind in _PLAIN and node.kind in _PLAIN)

    def _all_of(self, node: EntrySnapshot) -> list[EntrySnapshot]:
        """Return an entry and all below it, parents first, in the order of the tree."""
        nodes: list[EntrySnapshot] = []
        todo = [node]
        while todo:
            here = todo.pop()
            nodes.append(here)
            if here.kind is EntryKind.DIRECTORY:
                prefix = here.path.rstrip(b"/") + b"/"
                below = [self._tree.look(prefix + name) for name in self._tree.names(here.path)]
                todo += [child for child in reversed(below) if child is not None]
        return nodes

    def _bring(self, node: EntrySnapshot, data: int, *, change: bool) -> None:
        if node.kind is None:
            return
        above = self._left.get(split(node.path)[0])
        if above is not None and above.kind is not EntryKind.DIRECTORY:
            self._left[node.path] = node  # there is nothing to put it in
            return
        now = None if split(node.path)[0] in self._made else self._looks.at(node.path)
        if same(now, node) or node.path in self._left:
            return
        if now is not None and not self._is_ours(now):
            self._leave(now)
        elif not change:
            return
        elif now is not None and self._act.kind in METADATA:
            self._tree.permit(now, node)
        elif now is not None and now.kind is node.kind and not node.kept and now.target == node.target:
            self._dress(replace(node, mtime_ns=now.mtime_ns), now)  # what it holds is as old as it is
        elif not (self._act.kind in METADATA or _metadata_only(node)):
            self._make(node, data, now)

    def _dress(self, node: EntrySnapshot, now: EntrySnapshot | None) -> None:
        """Make an entry that is there what it was, but for attributes that somebody else gave it since."""
        if now is not None and not self._force:
            node = replace(node, xattrs=_with_others(node, now, (self._after or {}).get(node.path)))
        self._tree.dress(node)

    def _make(self, node: EntrySnapshot, data: int, now: EntrySnapshot | None) -> None:
        self._touched.add(split(node.path)[0])
        other = self._other_name(node)
        if node.image and not other:
            fd = self._tree.open_image(node)
            try:
                self._tree.make(replace(node, same_as=b"", offset=0), fd, over=now)
            finally:
                os.close(fd)
            if node.same_as or node.names:
                self._whole[node.same_as or node.path] = node.path
            return
        offset = self._before[node.same_as].offset if node.same_as else node.offset
        self._tree.make(replace(node, same_as=other, offset=offset), data, over=now)
        if node.kind is EntryKind.DIRECTORY and now is None:
            self._made.add(node.path)
        elif node.kind is EntryKind.FILE and (node.same_as or node.names):
            self._whole[node.same_as or node.path] = node.path

    def _other_name(self, node: EntrySnapshot) -> bytes:
        """Return another path at which a file still is what it was, nothing for a file that has to be made."""
        first = node.same_as or node.path
        mine = self._names.get(first, [])
        if first in self._whole:
            return self._whole[first]
        for one in mine:
            if one != node and same(look_for(self._tree, self._act, one.path), one):
                self._whole[first] = one.path
                return one.path
        if node.kind is not EntryKind.FILE or node.names <= len(mine):
            return b""
        if self._elsewhere is None:
            shared = [names[0] for names in self._names.values() if names[0].names > len(names)]
            wanted = {one.inode[1]: one for one in shared}
            self._elsewhere = other_names(self._tree, wanted, lambda now, one: same(now, replace(one, path=now.path)))
        found = self._elsewhere.get(node.inode[1], b"")
        if not found:
            self._parted.append(node.path)
        return found
