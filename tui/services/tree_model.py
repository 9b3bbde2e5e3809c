"""The tree of a layer as data: what is loaded, what is open, and the visible lines. Knows no terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui.core.records import Entry, EntryKind


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One visible line: its entry, its depth, and whether it is open (None if it cannot be opened)."""

    entry: Entry
    depth: int
    is_open: bool | None
    loading: bool = False


class TreeModel:
    """Loads directories when they are first opened. Entries are identified by path."""

    def __init__(self) -> None:
        self._children: dict[bytes, tuple[Entry, ...]] = {}
        self._open: set[bytes] = {b"/"}
        self.lines: tuple[TreeLine, ...] = ()

    def set_children(self, path: bytes, children: Iterable[Entry]) -> None:
        """Set the children of a directory."""
        self._children[path] = tuple(children)
        self._lay_out()

    def forget(self) -> None:
        """Drop everything loaded, but remember what was open, to load it again."""
        self._children.clear()
        self._lay_out()

    def loaded(self, path: bytes) -> bool:
        """Return whether the children of a directory are known."""
        return path in self._children

    @property
    def open_paths(self) -> tuple[bytes, ...]:
        """The open directories, outermost first."""
        return tuple(sorted(self._open, key=lambda path: (path.count(b"/"), path)))

    def open(self, path: bytes) -> None:
        """Open a directory; its children appear once they are loaded."""
        self._open.add(path)
        self._lay_out()

    def close(self, path: bytes) -> None:
        """Close a directory."""
        self._open.discard(path)
        self._lay_out()

    def unload(self, path: bytes) -> None:
        """Forget the children of a directory, but remember that it was open."""
        self._children.pop(path, None)
        self._lay_out()

    def is_open(self, path: bytes) -> bool:
        """Return whether a directory is open."""
        return path in self._open

    def shows(self, path: bytes) -> bool:
        """Return whether a directory's children are visible: it and all its parents are open and loaded."""
        return path == b"/" or (self.index(path) is not None and path in self._open and path in self._children)

    def index(self, path: bytes) -> int | None:
        """Return the line number of a path, None if it is not visible."""
        return next((i for i, line in enumerate(self.lines) if line.entry.path == path), None)

    def _lay_out(self) -> None:
        """Flatten the open part of the tree. Iterative, because layers may be thousands of directories deep."""
        lines: list[TreeLine] = []
        pending = [(entry, 0) for entry in reversed(self._children.get(b"/", ()))]
        while pending:
            entry, depth = pending.pop()
            is_open = entry.path in self._open if entry.kind is EntryKind.DIRECTORY else None
            is_loaded = entry.path in self._children
            lines.append(TreeLine(entry, depth, is_open, loading=bool(is_open) and not is_loaded))
            if is_open and is_loaded:
                pending.extend((child, depth + 1) for child in reversed(self._children[entry.path]))
        self.lines = tuple(lines)


def ancestors(path: bytes) -> list[bytes]:
    """Return the directories above a path, outermost first, without the root."""
    parts = path.strip(b"/").split(b"/")[:-1]
    return [b"/" + b"/".join(parts[: i + 1]) for i in range(len(parts))]
