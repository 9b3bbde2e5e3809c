"""A container's tree from its layers: the merged union, or only what the container changed.

The union is computed from the layers' directories, without a mount, without root, and without touching anything. Below
each layer's own descriptor no symlink is followed; links are resolved here, in the union, so that no layer can point
outside itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

from tui.core.errors import DtuiError, EditRefused, LayerError, NotFound
from tui.core.records import Change, Entry, EntryKind, LayerStack, Mount, View, WhiteoutStyle
from tui.core.text import printable
from tui.layers.directories import Directories, LayerDirectories
from tui.layers.entry_diff import Difference, LayerEntry, difference, entry_of
from tui.layers.full_trees import changed_directories
from tui.layers.mount_covers import Covers
from tui.layers.union_walks import UnionWalk, UnionWalks
from tui.layers.whiteouts import hidden_name, is_mark, is_opaque, is_whiteout, mount_only_feature, whiteout_of
from tui.linux.failures import explained
from tui.linux.rooted_paths import normalized, open_child, reopen_regular, split, status_of
from tui.linux.trail import Trail

_MAX_LINKS = 40
"""Symlinks followed in one path, as in the kernel."""

_RENAMED = "renamed by an overlay redirect, so its layer alone does not show its contents"


class LayerView:
    """An opened layer stack: one descriptor per layer, duplicated for each use, so that any thread may close it."""

    cut = False
    """Never cut short, unlike an Engine's answer."""

    left_out = 0
    """Nothing is skipped, unlike in an Engine's answer."""

    def __init__(self, stack: LayerStack, mounts: Iterable[Mount], directories: LayerDirectories) -> None:
        self.stack = stack
        self._roots = directories
        self._visible = stack.visible
        self._base = stack.base
        self._is_full_tree = stack.whiteout_style is WhiteoutStyle.TREE
        self._changed_directories: frozenset[bytes] | None = None
        self._mounts = tuple(mounts)
        self._covers: Covers | None = None
        self._walks = UnionWalks()

    @classmethod
    def open(cls, stack: LayerStack, mounts: Iterable[Mount] = ()) -> LayerView:
        """Open every layer's directory; raises NotReachable without permission, LayerError if one is missing."""
        return cls(stack, mounts, LayerDirectories(stack))

    def __enter__(self) -> LayerView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptors; idempotent."""
        self._walks.forget()
        self._roots.close()

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Keep what a walk needs: mounted layers, and the way to the directory it has reached."""
        with self._roots.keep_open(), self._walks.keep_walks():
            yield

    def forget(self, path: bytes | None = None) -> None:
        """Open a directory and everything below it anew, or all directories, after a change."""
        self._walks.forget(path)

    @property
    def covers(self) -> Covers:
        """The mounts over the layers, and the paths they cover while the container runs."""
        # not functools.cached_property: until Python 3.12 all its instances share one lock, and a layer that hangs
        # would hold up every other container
        if self._covers is None:
            with self.keep_open():
                self._covers = Covers.of(self._mounts, self.target_of)
        return self._covers

    # walking the union -------------------------------------------------------------------------------------

    @contextmanager
    def _directories(self, path: bytes, layers: tuple[int, ...] | None = None) -> Iterator[Directories]:
        """Yield the directories that make up a canonical path in a union of layers, none if it is not a directory.

        Without ``layers`` it is the union that the container sees.
        """
        with self._walks.borrow(self._visible if layers is None else layers, self._new_walk) as walk:
            yield walk.trail.at(path)

    def _new_walk(self, layers: tuple[int, ...]) -> UnionWalk:
        with ExitStack() as roots:
            top = self._roots.duplicate(roots, layers)
            return UnionWalk(Trail(top, self._enter, _close_all, weigh=len), roots.pop_all())

    def _enter(self, directories: Directories, name: bytes) -> Directories:
        with ExitStack() as opened:
            children = self._descend(directories, name, opened)
            opened.pop_all()
            return children

    def _walk_down(self, directories: Directories, names: Iterable[bytes], level: ExitStack) -> Directories:
        """Go down from directories, closing those above at each step, so that no path is too deep."""
        for name in names:
            with level.pop_all():
                directories = self._descend(directories, name, level)
        return directories

    def _descend(self, directories: Directories, name: bytes, opened: ExitStack) -> Directories:
        children: Directories = []
        if is_mark(name, self.stack.whiteout_style):
            return children
        for index, fd in directories:
            if self._is_whited_out(fd, name):
                break
            status = status_of(fd, name)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break  # a whiteout or a file hides everything in lower layers
            child = open_child(fd, name, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, child)
            children.append((index, child))
            if mount_only_feature(child, userxattr=self.stack.userxattr):
                raise LayerError(f"{printable(name)} is {_RENAMED}", "start the container to read it")
            if is_opaque(child, self.stack.whiteout_style, userxattr=self.stack.userxattr):
                break
        return children

    def _is_whited_out(self, fd: int, name: bytes) -> bool:
        """Return whether a ``.wh.`` file in a directory hides a name, in this layer and those below.

        fuse-overlayfs 1.10 shows neither a file, a symlink nor a directory next to its ``.wh.`` file, in whichever
        layer both are (measured); aufs finds the name negative (fs/aufs/dentry.c, ``au_do_lookup``).
        """
        mark = whiteout_of(name, self.stack.whiteout_style)
        return mark is not None and status_of(fd, mark) is not None

    def _hides(self, status: os.stat_result) -> bool:
        return not self._is_full_tree and is_whiteout(status)

    def _find(self, directories: Directories, name: bytes) -> LayerEntry | None:
        if is_mark(name, self.stack.whiteout_style):
            return None
        for index, fd in directories:
            if self._is_whited_out(fd, name):
                return None
            status = status_of(fd, name)
            if status is not None:
                return None if self._hides(status) else LayerEntry(index, fd, name, status)
        return None

    def _merge(self, directories: Directories) -> dict[bytes, LayerEntry]:
        """List the union of directories; whiteouts hide names of lower layers."""
        merged: dict[bytes, LayerEntry | None] = {}
        for index, fd in directories:
            names = [os.fsencode(text) for text in os.listdir(fd)]
            for name in names:
                if is_mark(name, self.stack.whiteout_style):
                    merged.setdefault(hidden_name(name), None)
            for name in names:
                if is_mark(name, self.stack.whiteout_style):
                    continue
                if name not in merged and (status := status_of(fd, name)) is not None:
                    merged[name] = None if self._hides(status) else LayerEntry(index, fd, name, status)
        return {name: item for name, item in merged.items() if item}

    def resolve(self, path: bytes, *, follow: bool = True) -> bytes:
        """Return the canonical path of a path that may contain symlinks; raises NotFound, LayerError for a loop."""
        with explained(path):
            return self._resolve_links(path, follow)

    def _resolve_links(self, path: bytes, follow: bool) -> bytes:
        resolved: list[bytes] = []
        todo = [part for part in normalized(path).split(b"/") if part][::-1]
        for _ in range(_MAX_LINKS + 1):
            target = self._resolve_on(path, resolved, todo, follow)
            if target is None:
                return b"/" + b"/".join(resolved)
            if target.startswith(b"/"):
                resolved.clear()
            todo.extend(part for part in target.split(b"/")[::-1] if part not in (b"", b"."))
        raise LayerError(f"{printable(path)}: too many symbolic links", "name the file itself")

    def _resolve_on(self, path: bytes, resolved: list[bytes], todo: list[bytes], follow: bool) -> bytes | None:
        """Move names from ``todo`` to ``resolved`` up to the next symlink, and return its target; None at the end."""
        with ExitStack() as roots, ExitStack() as level:
            directories = self._walk_down(self._roots.duplicate(roots, self._visible), resolved, level)
            while todo:
                name = todo.pop()
                if name == b"..":
                    del resolved[-1:]
                    directories = self._walk_down(self._roots.duplicate(roots, self._visible), resolved, level)
                    continue
                item = self._find(directories, name)
                if item and stat.S_ISLNK(item.status.st_mode) and (todo or follow):
                    return os.fsencode(os.readlink(name, dir_fd=item.dir_fd))
                if todo and (item is None or not stat.S_ISDIR(item.status.st_mode)):
                    raise NotFound(f"{printable(path)} does not exist in the container", "the tree shows what exists")
                resolved.append(name)
                if todo:
                    directories = self._walk_down(directories, (name,), level)
        return None

    def target_of(self, path: bytes) -> bytes:
        """Return the target of the symlink at a canonical path, empty if it is not a link or cannot be read."""
        parent, name = split(path)
        try:
            with explained(path), self._directories(parent) as directories:
                item = self._find(directories, name) if name else None
                is_link = item is not None and stat.S_ISLNK(item.status.st_mode)
                return os.fsencode(os.readlink(name, dir_fd=item.dir_fd)) if item and is_link else b""
        except DtuiError:
            return b""

    # entries -----------------------------------------------------------------------------------------------

    def lookup(self, path: bytes, *, follow: bool = True) -> Entry:
        """Return the entry at a path of the union; raises NotFound."""
        with explained(path), self.keep_open():
            return self._entry_at(self.resolve(path, follow=follow), self._visible)

    def image_entry(self, path: bytes) -> Entry | None:
        """Return the image's entry at a canonical path, None if it has none."""
        try:
            with explained(path), self.keep_open():
                return self._entry_at(path, self._base)
        except NotFound:
            return None

    def _entry_at(self, path: bytes, layers: tuple[int, ...]) -> Entry:
        parent, name = split(path)
        if not name:
            with ExitStack() as roots:
                top = self._roots.duplicate(roots, (0,))[0][1]
                return entry_of(b"/", LayerEntry(0, top, b".", os.fstat(top)), None)
        with self._directories(parent, layers) as directories:
            item = self._find(directories, name)
            if item is None:
                raise NotFound(f"{printable(path)} does not exist in the container", "the tree shows what exists")
            with self._directories(parent, self._base) as base:
                original = self._find(base, name)
                return self._entry_with_change(path, item, original)[0]

    def _entry_with_change(
        self, path: bytes, item: LayerEntry, original: LayerEntry | None
    ) -> tuple[Entry, Difference]:
        """Return an entry with its change compared to the image, and how it differs itself."""
        cover = self.covers.at(path)
        if item.layer > 0:
            return entry_of(path, item, cover), Difference.NONE
        if original is None:
            return entry_of(path, item, cover, change=Change.ADDED), Difference.CONTENT
        differs = difference(item, original, trust_times=self._is_full_tree)
        if self._is_full_tree and differs is Difference.NONE:
            untouched = LayerEntry(original.layer, item.dir_fd, item.name, item.status)
            return entry_of(path, untouched, cover), differs
        if stat.S_ISDIR(item.status.st_mode):
            return entry_of(path, item, cover, change=Change.MODIFIED, opaque=self._is_opaque(item)), differs
        if differs is Difference.NONE:
            return entry_of(path, item, cover), differs
        metadata_only = differs is Difference.METADATA
        return entry_of(path, item, cover, change=Change.MODIFIED, metadata_only=metadata_only), differs

    def _is_opaque(self, item: LayerEntry) -> bool:
        fd = open_child(item.dir_fd, item.name, os.O_PATH | os.O_DIRECTORY)
        try:
            return is_opaque(fd, self.stack.whiteout_style, userxattr=self.stack.userxattr)
        finally:
            os.close(fd)

    def children(self, path: bytes, view: View) -> list[Entry]:
        """List a directory by canonical path, directories first, then by name; raises NotFound, LayerError."""
        with explained(path), self.keep_open():
            if view is View.LAYER:
                entries = [entry for entry, _ in self.changed_children(path)]
                if not entries:
                    self._check_directory(path)
            else:
                entries = self._merged_children(path)
        return sorted(entries, key=lambda entry: (entry.kind is not EntryKind.DIRECTORY, entry.path))

    def _check_directory(self, path: bytes) -> None:
        with self._directories(path) as directories:
            if not directories:
                raise NotFound(
                    f"there is no directory {printable(path)} in the container", "the tree shows what exists"
                )

    def _merged_children(self, path: bytes) -> list[Entry]:
        self._check_directory(path)
        with self._directories(path) as directories, self._directories(path, self._base) as base:
            prefix = path.rstrip(b"/") + b"/"
            return [
                self._entry_with_change(prefix + name, item, self._find(base, name) if item.layer == 0 else None)[0]
                for name, item in self._merge(directories).items()
            ]

    def changed_children(self, path: bytes) -> list[tuple[Entry, Difference]]:
        """List what the writable layer changed in a directory, including deletions, each with its own difference.

        A directory that contains changes is listed as modified even if it does not differ itself.
        """
        prefix = path.rstrip(b"/") + b"/"
        with explained(path), self._directories(path) as directories, self._directories(path, self._base) as base:
            image = self._merge(base)
            deleted = image.keys() - self._merge(directories).keys() if image else ()
            changes = [
                (
                    entry_of(prefix + name, image[name], self.covers.at(prefix + name), change=Change.DELETED),
                    Difference.CONTENT,
                )
                for name in deleted
            ]
            if directories and directories[0][0] == 0:
                own = self._merge(directories[:1])
                changes += [self._entry_with_change(prefix + name, item, image.get(name)) for name, item in own.items()]
            return self._only_touched(changes) if self._is_full_tree else changes

    def _only_touched(self, changes: list[tuple[Entry, Difference]]) -> list[tuple[Entry, Difference]]:
        """Drop what a full tree has in common with its original, and mark directories that contain changes."""
        if self._changed_directories is None:
            with ExitStack() as roots:
                (_, tree), (_, original) = self._roots.duplicate(roots, (0, *self._base))
                self._changed_directories = changed_directories(tree, original)
        return [
            (entry if entry.change else replace(entry, change=Change.MODIFIED, layer=0), differs)
            for entry, differs in changes
            if entry.change or entry.path in self._changed_directories
        ]

    def names(self, path: bytes, *, before: bool = False) -> list[bytes]:
        """List the names in a directory by canonical path, with ``before`` those that the container started with."""
        with explained(path), self._directories(path, self._base if before else None) as directories:
            return sorted(self._merged_names(directories))

    def _merged_names(self, directories: Directories) -> list[bytes]:
        """List the names in a union of directories; only what may be a whiteout needs a stat."""
        merged: dict[bytes, bool] = {}
        for _, fd in directories:
            with os.scandir(fd) as entries:
                listed = [(os.fsencode(entry.name), _is_plain(entry)) for entry in entries]
            for name, _ in listed:
                if is_mark(name, self.stack.whiteout_style):
                    merged.setdefault(hidden_name(name), False)
            for name, plain in listed:
                if is_mark(name, self.stack.whiteout_style) or name in merged:
                    continue
                status = None if plain else status_of(fd, name)
                if plain or status is not None:
                    merged[name] = status is None or not self._hides(status)
        return [name for name, is_visible in merged.items() if is_visible]

    # contents ----------------------------------------------------------------------------------------------

    def open_path(self, path: bytes, *, before: bool = False) -> int:
        """Return an O_PATH descriptor of a canonical path of the union, in the layer that it comes from.

        ``before`` opens what the container started with. A symlink placed on the path meanwhile is not followed.
        """
        with explained(path), self.keep_open():
            parent, name = split(path)
            with self._directories(parent, self._base if before else None) as directories:
                item = self._find(directories, name or b".")
                if item is None:
                    raise NotFound(f"{printable(path)} does not exist in the container", "the tree shows what exists")
                return open_child(item.dir_fd, item.name, os.O_PATH)

    def open_regular(self, path: bytes) -> int:
        """Open the file at a path of the union for reading; raises EditRefused if it is not a regular file."""
        with explained(path), self.keep_open():
            return self.open_bytes(self.resolve(path))

    def open_bytes(self, path: bytes, *, before: bool = False) -> int:
        """Open the file at a canonical path for reading, with ``before`` the one that the container started with.

        A metacopy has no data of its own: it is in the layers below (kernel: Documentation/filesystems/overlayfs.rst).
        """
        with explained(path), self.keep_open():
            parent, name = split(path)
            with self._directories(parent, self._base if before else None) as directories:
                remaining = directories
                while item := self._find(remaining, name or b"."):
                    fd = open_child(item.dir_fd, item.name, os.O_PATH)
                    try:
                        if not self._has_no_data(fd):
                            return reopen_regular(fd, path)
                    finally:
                        os.close(fd)
                    remaining = [layer_directory for layer_directory in remaining if layer_directory[0] > item.layer]
        raise NotFound(f"{printable(path)} does not exist in the container", "the tree shows what exists")

    def _has_no_data(self, fd: int) -> bool:
        feature = mount_only_feature(fd, userxattr=self.stack.userxattr)
        if feature == "redirect":
            raise LayerError(
                "the file's data is stored under another name (redirect)", "start the container to read it"
            )
        return feature == "metacopy"

    def refuse_unreadable(self, path: bytes) -> None:
        """Raise EditRefused if the entry at a canonical path makes sense only in a mount of its layers."""
        try:
            fd = self.open_path(path)
        except NotFound:
            return
        try:
            feature = mount_only_feature(fd, userxattr=self.stack.userxattr)
        finally:
            os.close(fd)
        if feature:
            description = "a metacopy, so its layer does not hold the data" if feature == "metacopy" else _RENAMED
            raise EditRefused(
                f"{printable(path)} is {description}", "nothing was changed; start the container to change it"
            )

    @contextmanager
    def own_directory(self, path: bytes) -> Iterator[int]:
        """Yield the writable layer's own directory at a canonical path; raises NotFound if it vanished."""
        with explained(path), self._walks.borrow((), self._new_own_walk) as walk:
            ((_, fd),) = walk.trail.at(path)
            yield fd

    def _new_own_walk(self, layers: tuple[int, ...]) -> UnionWalk:
        del layers
        with ExitStack() as roots:
            top = self._roots.duplicate(roots, (0,))
            return UnionWalk(Trail(top, _own_child, _close_all), roots.pop_all())


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """Return whether the directory entry itself says that a name is a file, a directory or a symlink."""
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()


def _own_child(directories: Directories, name: bytes) -> Directories:
    return [(index, open_child(fd, name, os.O_RDONLY | os.O_DIRECTORY)) for index, fd in directories]


def _close_all(directories: Directories) -> None:
    for _, fd in directories:
        os.close(fd)
