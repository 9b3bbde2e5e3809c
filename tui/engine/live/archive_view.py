"""The tree of a container whose layers cannot be opened, as the Engine reports it: changes, and directories as tars.

The Engine cannot list a single directory: it sends whole trees. Each is read once, up to a limit, and only headers are
kept. Of a deleted file only the name is known.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from tui.core.errors import NotFound
from tui.core.records import Change, Entry, EntryKind, Mount, View
from tui.core.text import printable
from tui.engine.live import tar
from tui.engine.live.archive import EngineArchive
from tui.layers.mount_covers import Covers
from tui.linux.rooted_paths import normalized, split

TREE_LIMIT = 256 << 20
"""Bytes of a directory's tar that are read; names beyond are not shown."""

_MAX_STATS = 400
"""Most changed entries of a directory whose size and mode are asked for, one call each."""

_KINDS = {
    tar.DIRECTORY: EntryKind.DIRECTORY,
    tar.SYMLINK: EntryKind.SYMLINK,
    tar.FIFO: EntryKind.FIFO,
    tar.CHARACTER: EntryKind.CHARACTER,
    tar.BLOCK_DEVICE: EntryKind.BLOCK,
}
_KINDS_BY_WORD = {"device": EntryKind.CHARACTER, **{kind.value: kind for kind in EntryKind}}


class ArchiveView:
    """The interface of :class:`tui.layers.view.LayerView`, answered by the Engine. Thread-safe."""

    stack = None

    def __init__(self, archive: EngineArchive, mounts: Iterable[Mount]) -> None:
        self._archive = archive
        self._covers = Covers.of(mounts)
        self._lock = threading.Lock()
        self._changes: dict[bytes, Change] | None = None
        self._trees: dict[bytes, dict[bytes, Entry]] = {}
        self.cut = False
        """True if a directory was larger than the limit, so that names are missing."""

    def close(self) -> None:
        """Do nothing: no handle is held."""

    def keep_open(self) -> AbstractContextManager[None]:
        """Do nothing: there is nothing to mount."""
        return nullcontext()

    @property
    def left_out(self) -> int:
        """Number of changes in the Engine's list that could not be parsed."""
        return self._archive.left_out

    @property
    def changed(self) -> dict[bytes, Change]:
        """The changes that the Engine reports, by path."""
        with self._lock:
            if self._changes is None:
                self._changes = dict(self._archive.changes())
            return self._changes

    def resolve(self, path: bytes) -> bytes:
        """Return the path that a path with symlinks resolves to; raises NotFound."""
        return self._archive.facts(normalized(path)).path

    def children(self, path: bytes, view: View) -> list[Entry]:
        """List a directory, directories first, then by name; raises NotFound, LayerError, EngineError."""
        entries = self._changed_children(path) if view is View.LAYER else self._all_children(path)
        return sorted(entries, key=lambda entry: (entry.kind is not EntryKind.DIRECTORY, entry.path))

    def _changed_children(self, path: bytes) -> Iterator[Entry]:
        changed = self.changed
        parents = {split(changed_path)[0] for changed_path in changed}
        for number, (child, change) in enumerate(changed.items()):
            if split(child)[0] != path or child == b"/":
                continue
            kind = EntryKind.DIRECTORY if child in parents else EntryKind.FILE
            if change is Change.DELETED or number >= _MAX_STATS:
                yield self._entry(child, kind, change)
                continue
            try:
                facts = self._archive.facts_of_name(child)
            except NotFound:
                continue  # removed since the Engine listed it
            yield self._entry(child, _KINDS_BY_WORD[facts.kind], change, facts.size, facts.mode, facts.mtime_ns)

    def _entry(
        self, path: bytes, kind: EntryKind, change: Change | None, size: int = 0, mode: int = 0, mtime_ns: int = 0
    ) -> Entry:
        layer = 0 if change in (Change.ADDED, Change.MODIFIED) else 1
        cover = self._covers.at(path)
        return Entry(path, kind, size, mode, 0, 0, mtime_ns, layer, change=change, covered_by=cover)

    def _all_children(self, path: bytes) -> list[Entry]:
        with self._lock:
            if path not in self._trees:
                self._read_tree(path)
            entries = self._trees[path]
        changed = self.changed
        return [self._with_change(entry, changed.get(entry.path)) for entry in entries.values()]

    def _with_change(self, entry: Entry, change: Change | None) -> Entry:
        base = self._entry(entry.path, entry.kind, change, entry.size, entry.mode, entry.mtime_ns)
        return Entry(
            base.path, base.kind, base.size, base.mode, entry.uid, entry.gid, base.mtime_ns, base.layer,
            change=change, target=entry.target, covered_by=base.covered_by,
        )  # fmt: skip

    def _read_tree(self, path: bytes) -> None:
        """Read a directory's tar and keep the headers of everything below it."""
        if self._archive.facts(path).kind != "directory":
            raise NotFound(f"there is no directory {printable(path)} in the container", "the tree shows what exists")
        tree: dict[bytes, dict[bytes, Entry]] = {path: {}}
        last = path
        with self._archive.tree(path, TREE_LIMIT) as members:
            for relative_path, member in members:
                last = path.rstrip(b"/") + b"/" + relative_path
                entry = self._entry_from_header(member, last)
                tree.setdefault(split(last)[0], {})[last] = entry
                if entry.kind is EntryKind.DIRECTORY:
                    tree.setdefault(last, {})
            if members.cut:
                self.cut = True
                for directory in [
                    last,
                    *_ancestors(last),
                ]:  # these were read only in part: read them again when they are opened
                    if directory != path:
                        tree.pop(directory, None)
        self._trees.update(tree)

    def _entry_from_header(self, member: tar.Member, path: bytes) -> Entry:
        kind = _KINDS.get(member.kind, EntryKind.FILE)
        target = member.link if kind is EntryKind.SYMLINK else b""
        mode, mtime = stat.S_IMODE(member.mode), member.mtime * 10**9
        return Entry(path, kind, member.size, mode, member.uid, member.gid, mtime, 1, target=target)


def _ancestors(path: bytes) -> list[bytes]:
    ancestors = []
    while path != b"/":
        path = split(path)[0]
        ancestors.append(path)
    return ancestors
