"""Find the directories of a full tree that contain changes, by walking it next to the tree it started from."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from tui.layers.entry_diff import Difference, LayerEntry, difference
from tui.linux.rooted_paths import open_directory
from tui.linux.trail import Trail


def changed_directories(tree: int, original: int, stop: Callable[[], bool] = lambda: False) -> frozenset[bytes]:
    """Return the canonical paths of directories in which something differs, and of their parents.

    ``tree`` and ``original`` are descriptors of the two roots. A directory that exists in only one of them is not
    entered, since that alone is a difference. Files are compared by type, size, time, mode, owner and capabilities.
    """
    touched_paths: set[bytes] = set()
    todo: list[bytes] = [b""]
    tree_trail, original_trail = (Trail(root, open_directory, os.close) for root in (tree, original))
    try:
        while todo and not stop():
            path = todo.pop()
            try:
                if _compare(tree_trail.at(path), original_trail.at(path), path, todo):
                    _with_parents(path, touched_paths)
            except FileNotFoundError:
                _with_parents(path, touched_paths)  # it was removed during the walk; list it as changed
    finally:
        tree_trail.close()
        original_trail.close()
    return frozenset(touched_paths)


def _with_parents(path: bytes, touched_paths: set[bytes]) -> None:
    while path and path not in touched_paths:
        touched_paths.add(path)
        path = path.rpartition(b"/")[0]
    touched_paths.add(b"/")


def _compare(tree_fd: int, original_fd: int, path: bytes, todo: list[bytes]) -> bool:
    """Return whether two directories differ in their entries, and add common subdirectories to ``todo``."""
    names = set(map(os.fsencode, os.listdir(tree_fd)))
    differs = names != set(map(os.fsencode, os.listdir(original_fd)))
    for name in names:
        differs |= _entry_differs(tree_fd, original_fd, name, path, todo)
    return differs


def _entry_differs(tree_fd: int, original_fd: int, name: bytes, path: bytes, todo: list[bytes]) -> bool:
    try:
        tree_status, original_status = (
            os.stat(name, dir_fd=fd, follow_symlinks=False) for fd in (tree_fd, original_fd)
        )
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(tree_status.st_mode) and stat.S_ISDIR(original_status.st_mode):
        todo.append(path + b"/" + name)
    return (
        difference(
            LayerEntry(0, tree_fd, name, tree_status),
            LayerEntry(1, original_fd, name, original_status),
            trust_times=True,
        )
        is not Difference.NONE
    )
