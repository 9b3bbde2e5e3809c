"""Which directories of a full tree hold changes: one walk through the container's tree and the one it began with."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from tui.layers.compare import Difference, Item, difference
from tui.linux.rooted_paths import open_directory
from tui.linux.trail import Trail


def touched(tree: int, began_with: int, stop: Callable[[], bool] = lambda: False) -> frozenset[bytes]:
    """Return the canonical paths of directories in which something differs, and of all directories above them.

    ``tree`` and ``began_with`` are descriptors of the two roots. Both are walked side by side; what exists in one of
    them only is not entered, for that alone is a difference. Files are told apart by type, size, time, mode, owner
    and capabilities.
    """
    found: set[bytes] = set()
    todo: list[bytes] = [b""]
    here, there = (Trail(root, open_directory, os.close) for root in (tree, began_with))
    try:
        while todo and not stop():
            path = todo.pop()
            try:
                if _compare(here.at(path), there.at(path), path, todo):
                    _with_parents(path, found)
            except FileNotFoundError:
                _with_parents(path, found)  # it went away while we walked: the next look tells
    finally:
        here.close()
        there.close()
    return frozenset(found)


def _with_parents(path: bytes, found: set[bytes]) -> None:
    while path and path not in found:
        found.add(path)
        path = path.rpartition(b"/")[0]
    found.add(b"/")


def _compare(here: int, there: int, path: bytes, todo: list[bytes]) -> bool:
    """Say whether two directories of the same path differ in their entries; add to ``todo`` those to go into."""
    names = set(map(os.fsencode, os.listdir(here)))
    differs = names != set(map(os.fsencode, os.listdir(there)))
    for name in names:
        differs |= _entry_differs(here, there, name, path, todo)
    return differs


def _entry_differs(here: int, there: int, name: bytes, path: bytes, todo: list[bytes]) -> bool:
    try:
        one, other = (os.stat(name, dir_fd=fd, follow_symlinks=False) for fd in (here, there))
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(one.st_mode) and stat.S_ISDIR(other.st_mode):
        todo.append(path + b"/" + name)
    return difference(Item(0, here, name, one), Item(1, there, name, other), trust_times=True) is not Difference.NONE
