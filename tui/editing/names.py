"""Other names of a file, found by its inode number: a hard link says of itself only how many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from tui.core.errors import DtuiError
from tui.core.model import EntryKind
from tui.editing.nodes import Node
from tui.editing.trees import Tree


def names_of(tree: Tree, numbers: Collection[int]) -> dict[int, list[Node]]:
    """Walk a container's tree and return, by inode number, the files of several names among those that are asked for.

    What is mounted in the tree is not entered: no name there is one of a file outside.
    """
    found: dict[int, list[Node]] = defaultdict(list)
    todo = [b""]
    while todo:
        above = todo.pop()
        for name in _listed(tree, above or b"/"):
            node = _looked_at(tree, above + b"/" + name)
            if node is None:
                continue
            if node.kind is EntryKind.DIRECTORY:
                todo.append(node.path)
            elif node.kind is EntryKind.FILE and node.seen and node.seen.inode in numbers:
                found[node.seen.inode].append(node)
    return found


def _listed(tree: Tree, path: bytes) -> list[bytes]:
    try:
        return tree.names(path)
    except DtuiError:  # it is gone meanwhile, or not for us to list
        return []


def _looked_at(tree: Tree, path: bytes) -> Node | None:
    try:
        return tree.look(path)
    except DtuiError:  # a mount point
        return None
