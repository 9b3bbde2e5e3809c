"""What a container changed, path by path as ``docker diff`` lists it, and trees to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from tui.core.errors import NotReachable
from tui.core.records import Change, Entry, EntryKind, PathChange, View
from tui.layers.entry_diff import Difference
from tui.layers.view import LayerView
from tui.linux.rooted_paths import split


def changes(
    view: LayerView, stop: Callable[[], bool] = lambda: False, *, under: bytes = b"/", own: bool = False
) -> tuple[PathChange, ...]:
    """Return the changed paths at and below ``under``, sorted: the same set as ``docker diff``.

    Only the writable layer is walked. A directory counts as modified if its mode or owner differs or something in it
    changed; what was below a deleted directory is not listed. If size and time agree, the contents are compared, so a
    file rewritten with its old time is found, which Docker overlooks. With ``own``, everything that the writable layer
    of a union holds is listed, even if it equals the image's.
    """
    records: dict[bytes, PathChange] = {}
    parents: dict[bytes, PathChange] = {}
    todo = [split(under)[0]]
    prefix = under.rstrip(b"/") + b"/"
    with view.keep_open():
        while todo and not stop():
            for entry, differs in view.changed_children(todo.pop()):
                is_listed = entry.change is not None or (own and entry.layer == 0)
                if not is_listed or not (entry.path + b"/").startswith(prefix):
                    continue
                if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
                    todo.append(entry.path)
                record = _record(entry, differs)
                (parents if differs is Difference.NONE and not own else records)[entry.path] = record
    for path in list(records):
        parent = path.rpartition(b"/")[0]
        while parent and parent in parents:
            records[parent] = parents.pop(parent)
            parent = parent.rpartition(b"/")[0]
    return tuple(records[path] for path in sorted(records))


def _record(entry: Entry, differs: Difference) -> PathChange:
    return PathChange(
        path=entry.path,
        change=entry.change or Change.MODIFIED,
        kind=entry.kind,
        size=entry.size,
        metadata_only=differs is Difference.METADATA,
        layer=entry.layer,
        opaque=entry.opaque,
    )


class WalkableView(Protocol):
    """A container's tree, listed one directory at a time."""

    def keep_open(self) -> AbstractContextManager[None]:
        """Keep what the walk needs mounted for the duration of the context."""
        ...

    def children(self, path: bytes, view: View) -> list[Entry]:
        """List a directory by its canonical path."""
        ...


def walk(view: WalkableView, path: bytes, mode: View, depth: int) -> Iterator[tuple[int, Entry]]:
    """Yield (depth, entry) of a subtree in tree order, down to ``depth`` levels (0 for all).

    Below the first directory, a mount that cannot be reached is listed without what is in it.
    """
    with view.keep_open():
        todo = [(0, entry) for entry in reversed(view.children(path, mode))]
        while todo:
            level, entry = todo.pop()
            yield level, entry
            deeper = depth == 0 or level + 1 < depth
            if deeper and entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
                try:
                    children = view.children(entry.path, mode)
                except NotReachable:
                    if entry.covered_by is None:
                        raise
                    continue
                todo.extend((level + 1, child) for child in reversed(children))
