"""Other names of a file, found by its inode number: a hard link says of itself only how many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui.core.errors import DtuiError
from tui.core.records import EntryKind
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot


def other_names(
    tree: Tree, wanted: Mapping[int, EntrySnapshot], same: Callable[[EntrySnapshot, EntrySnapshot], bool]
) -> dict[int, bytes]:
    """Walk a container's tree until each file that is wanted, by inode number, was met; return where.

    What is mounted in the tree is not entered: no name there is one of a file outside.
    """
    met: dict[int, bytes] = {}
    todo = [b""]
    while todo and len(met) < len(wanted):
        above = todo.pop()
        for name in _listed(tree, above or b"/"):
            node = _looked_at(tree, above + b"/" + name)
            if node is None:
                continue
            if node.kind is EntryKind.DIRECTORY:
                todo.append(node.path)
            elif node.seen and node.seen.inode in wanted and same(node, wanted[node.seen.inode]):
                met[node.seen.inode] = node.path
    return met


def _listed(tree: Tree, path: bytes) -> list[bytes]:
    try:
        return tree.names(path)
    except DtuiError:  # it is gone meanwhile, or not for us to list
        return []


def _looked_at(tree: Tree, path: bytes) -> EntrySnapshot | None:
    try:
        return tree.look(path)
    except DtuiError:  # a mount point
        return None
