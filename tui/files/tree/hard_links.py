"""Find the other names of a file by its inode number; a file knows only how many names it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui.core.errors import DtuiError
from tui.core.records import EntryKind
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot


def other_names(
    tree: Tree, nodes_by_inode: Mapping[int, EntrySnapshot], is_same: Callable[[EntrySnapshot, EntrySnapshot], bool]
) -> dict[int, bytes]:
    """Walk a container's tree for the files with these inode numbers; return one path for each that was found.

    Mount points are not entered: no name there can belong to a file outside.
    """
    paths_by_inode: dict[int, bytes] = {}
    todo = [b""]
    while todo and len(paths_by_inode) < len(nodes_by_inode):
        directory = todo.pop()
        for name in _listed(tree, directory or b"/"):
            node = _snapshot_at(tree, directory + b"/" + name)
            if node is None:
                continue
            if node.kind is EntryKind.DIRECTORY:
                todo.append(node.path)
            elif (
                node.inode_version
                and node.inode_version.inode in nodes_by_inode
                and is_same(node, nodes_by_inode[node.inode_version.inode])
            ):
                paths_by_inode[node.inode_version.inode] = node.path
    return paths_by_inode


def _listed(tree: Tree, path: bytes) -> list[bytes]:
    try:
        return tree.names(path)
    except DtuiError:  # removed meanwhile, or not readable for us
        return []


def _snapshot_at(tree: Tree, path: bytes) -> EntrySnapshot | None:
    try:
        return tree.look(path)
    except DtuiError:  # a mount point
        return None
