"""Search for names anywhere in a container's tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from tui.core.errors import DtuiError
from tui.core.records import Change, Entry, EntryKind, View

_MAX_ENTRIES = 500_000
_MAX_MATCHES = 1_000


class ListsDirectories(Protocol):
    """Lists directories of a container."""

    def children(self, path: bytes, view: View) -> list[Entry]:
        """List a directory in the order in which it is shown."""
        ...


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The matching entries in tree order, and how many entries were examined. ``cut`` if there may be more."""

    entries: tuple[Entry, ...]
    examined: int
    cut: bool = False


def search(view: ListsDirectories, mode: View, query: str, step: Callable[[int, int], bool]) -> SearchResult:
    """Walk the tree for names that contain ``query``, ignoring case.

    ``step`` receives how many entries were examined and matched, and returns whether to go on. Directories that cannot
    be read, or vanish meanwhile, are skipped.
    """
    needle = query.lower().encode("utf-8", "surrogateescape")
    matches: list[Entry] = []
    count = 0
    todo: list[Entry] = _children_or_none(view, b"/", mode)[::-1]
    while todo:
        entry = todo.pop()
        count += 1
        if needle in entry.name.lower():
            matches.append(entry)
        if not step(count, len(matches)) or count >= _MAX_ENTRIES or len(matches) >= _MAX_MATCHES:
            return SearchResult(tuple(matches), count, cut=True)
        if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
            todo += reversed(_children_or_none(view, entry.path, mode))
    return SearchResult(tuple(matches), count)


def _children_or_none(view: ListsDirectories, path: bytes, mode: View) -> list[Entry]:
    try:
        return view.children(path, mode)
    except DtuiError:
        return []


def tree_position(entry: Entry) -> tuple[tuple[bool, bytes], ...]:
    """Return the sort key of an entry in tree order: in each directory, subdirectories first."""
    *parents, name = entry.path.split(b"/")
    return (*((False, part) for part in parents), (entry.kind is not EntryKind.DIRECTORY, name))


def next_entry(entries: Iterable[Entry], current: Entry | None, step: int) -> Entry | None:
    """Return the entry after (1) or before (-1) the current one, wrapping around; None if there are none."""
    ordered = sorted(entries, key=tree_position)[::step]
    if current is None or not ordered:
        return ordered[0] if ordered else None
    current_position = tree_position(current)
    return next(
        (
            entry
            for entry in ordered
            if (tree_position(entry) > current_position) == (step > 0) and tree_position(entry) != current_position
        ),
        ordered[0],
    )
