"""What a container's layers show: the merged union, or only what the container changed.

The union is computed here from the layers' directories: no mount, no root needed, nothing touched. Below each layer's
own descriptor every path is opened link-free (links are resolved here, in the union), so that no layer can point
outside itself.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from tui.core.errors import LayerError, NotFound, NotReachable
from tui.core.model import Change, Entry, EntryKind, LayerStack, Mount, View
from tui.core.text import printable
from tui.layers.compare import Difference, Item, difference
from tui.layers.paths import clean, explain, kind_of, open_child, reopen_regular, split
from tui.layers.whiteouts import is_opaque, is_whiteout, unreadable_alone

_MAX_LINKS = 40
"""Symlinks followed in one path, as in the kernel."""

Directories = list[tuple[int, int]]
"""(layer index, directory descriptor) of the layers that make up one directory of the union, top first."""


class LayerView:
    """A layer stack, opened: one descriptor a layer, copied for each use, so that any thread may close it."""

    def __init__(self, stack: LayerStack, mounts: Iterable[Mount], fds: list[int]) -> None:
        self.stack = stack
        self._fds = fds
        self._lock = threading.Lock()
        self._covers = {clean(mount.destination): mount for mount in mounts}

    @classmethod
    def open(cls, stack: LayerStack, mounts: Iterable[Mount] = ()) -> LayerView:
        """Open every layer's directory; raises NotReachable without permission, LayerError for a missing layer."""
        fds: list[int] = []
        try:
            for layer in stack.layers:
                fds.append(os.open(layer.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except OSError as error:
            for fd in fds:
                os.close(fd)
            path = printable(str(error.filename))
            if isinstance(error, PermissionError):
                raise NotReachable(f"{path}: permission denied", "run dtui as root, or use sudo") from error
            raise LayerError(f"layer {path} cannot be opened: {error.strerror}", "is the data-root whole?") from error
        return cls(stack, mounts, fds)

    def __enter__(self) -> LayerView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back; idempotent."""
        with self._lock:
            while self._fds:
                os.close(self._fds.pop())

    def _copies(self, held: ExitStack, first: int = 0, last: int | None = None) -> Directories:
        with self._lock:
            if not self._fds:
                raise LayerError("the layers were closed meanwhile", "open them again")
            copies: Directories = []
            for index in range(first, len(self._fds) if last is None else last):
                fd = os.dup(self._fds[index])
                held.callback(os.close, fd)
                copies.append((index, fd))
            return copies

    # walking the union -------------------------------------------------------------------------------------

    @contextmanager
    def _directories(self, path: bytes, first: int = 0) -> Iterator[Directories]:
        """Yield the directories that make up a canonical path, of layers ``first`` and below; none if it is none."""
        with ExitStack() as held:
            here = self._copies(held, first)
            for name in filter(None, path.split(b"/")):
                here = self._descend(here, name, held)
            yield here

    def _descend(self, here: Directories, name: bytes, held: ExitStack) -> Directories:
        below: Directories = []
        for index, fd in here:
            status = _status(fd, name)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break  # a whiteout or a file hides all below
            child = open_child(fd, name, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, child)
            below.append((index, child))
            if unreadable_alone(child, userxattr=self.stack.userxattr):
                raise LayerError(
                    f"{printable(name)} was renamed with redirect_dir: its layer alone does not tell what it holds",
                    "start the container to look into it",
                )
            if is_opaque(child, userxattr=self.stack.userxattr):
                break
        return below

    @staticmethod
    def _find(here: Directories, name: bytes) -> Item | None:
        for index, fd in here:
            status = _status(fd, name)
            if status is not None:
                return None if is_whiteout(status) else Item(index, fd, name, status)
        return None

    @staticmethod
    def _merge(here: Directories) -> dict[bytes, Item]:
        """List the union of directories; whiteouts hide."""
        merged: dict[bytes, Item | None] = {}
        for index, fd in here:
            for text in os.listdir(fd):
                name = os.fsencode(text)
                if name not in merged and (status := _status(fd, name)) is not None:
                    merged[name] = None if is_whiteout(status) else Item(index, fd, name, status)
        return {name: item for name, item in merged.items() if item}

    def resolve(self, path: bytes, *, follow: bool = True) -> bytes:
        """Return the canonical path that a path with links means inside the container.

        Raises LayerError for a loop of links and NotFound where a directory on the way does not exist.
        """
        done: list[bytes] = []
        todo = [part for part in clean(path).split(b"/") if part][::-1]
        links = 0
        while todo:
            name = todo.pop()
            if name == b"..":
                done = done[:-1]
                continue
            with self._directories(b"/".join(done)) as here:
                item = self._find(here, name) if here else None
                if item and stat.S_ISLNK(item.status.st_mode) and (todo or follow):
                    links += 1
                    if links > _MAX_LINKS:
                        raise LayerError(f"{printable(path)}: too many symbolic links", "name the file itself")
                    target = os.fsencode(os.readlink(name, dir_fd=item.dir_fd))
                    if target.startswith(b"/"):
                        done = []
                    todo.extend(part for part in target.split(b"/")[::-1] if part not in (b"", b"."))
                    continue
                if todo and (item is None or not stat.S_ISDIR(item.status.st_mode)):
                    raise NotFound(f"{printable(path)} does not exist in the container", "dtui tree shows what does")
            done.append(name)
        return b"/" + b"/".join(done)

    # entries -----------------------------------------------------------------------------------------------

    def lookup(self, path: bytes, *, follow: bool = True) -> Entry:
        """Return the entry at a path of the union; raises NotFound."""
        return self._entry_at(self.resolve(path, follow=follow), 0)

    def below(self, path: bytes) -> Entry | None:
        """Return what the image has at a canonical path, None for nothing."""
        try:
            return self._entry_at(path, 1)
        except NotFound:
            return None

    def _entry_at(self, path: bytes, first: int) -> Entry:
        above, name = split(path)
        if not name:
            with ExitStack() as held:
                top = self._copies(held, last=1)[0][1]
                return _entry(b"/", Item(0, top, b".", os.fstat(top)), None)
        with self._directories(above, first) as here:
            item = self._find(here, name)
            if item is None:
                raise NotFound(f"{printable(path)} does not exist in the container", "dtui tree shows what does")
            with self._directories(above, 1) as base:
                under = self._find(base, name)
                return self._marked(path, item, under)[0]

    def _marked(self, path: bytes, item: Item, under: Item | None) -> tuple[Entry, Difference]:
        """Return an entry with its change against the image, and whether it itself differs."""
        cover = self._covers.get(path)
        if item.layer > 0:
            return _entry(path, item, cover), Difference.NONE
        if under is None:
            return _entry(path, item, cover, change=Change.ADDED), Difference.CONTENT
        differs = difference(item, under)
        if stat.S_ISDIR(item.status.st_mode):
            return _entry(path, item, cover, change=Change.MODIFIED, opaque=self._opaque(item)), differs
        if differs is Difference.NONE:
            return _entry(path, item, cover), differs
        only = differs is Difference.METADATA
        return _entry(path, item, cover, change=Change.MODIFIED, metadata_only=only), differs

    def _opaque(self, item: Item) -> bool:
        fd = open_child(item.dir_fd, item.name, os.O_PATH | os.O_DIRECTORY)
        try:
            return is_opaque(fd, userxattr=self.stack.userxattr)
        finally:
            os.close(fd)

    def children(self, path: bytes, view: View) -> list[Entry]:
        """List a directory (canonical path), directories first, then by name; raises NotFound, LayerError."""
        try:
            if view is View.LAYER:
                found = [entry for entry, _ in self.changed_children(path)]
            else:
                found = self._merged_children(path)
        except OSError as error:
            raise explain(error, path) from error
        return sorted(found, key=lambda entry: (entry.kind is not EntryKind.DIRECTORY, entry.path))

    def _merged_children(self, path: bytes) -> list[Entry]:
        with self._directories(path) as here, self._directories(path, 1) as base:
            if not here:
                raise NotFound(f"{printable(path)} is no directory of the container", "dtui tree shows what is")
            prefix = path.rstrip(b"/") + b"/"
            return [
                self._marked(prefix + name, item, self._find(base, name) if item.layer == 0 else None)[0]
                for name, item in self._merge(here).items()
            ]

    def changed_children(self, path: bytes) -> list[tuple[Entry, Difference]]:
        """List what the writable layer holds in a directory, deleted entries among it, each with its own difference.

        A directory that holds changes is listed as modified even if it itself is as it was.
        """
        prefix = path.rstrip(b"/") + b"/"
        with self._directories(path) as here, self._directories(path, 1) as base:
            image = self._merge(base)
            deleted = image.keys() - self._merge(here).keys() if image else ()
            found = [
                (
                    _entry(prefix + name, image[name], self._covers.get(prefix + name), change=Change.DELETED),
                    Difference.CONTENT,
                )
                for name in deleted
            ]
            if here and here[0][0] == 0:
                own = self._merge(here[:1])
                found += [self._marked(prefix + name, item, image.get(name)) for name, item in own.items()]
            return found

    # contents ----------------------------------------------------------------------------------------------

    def open_regular(self, path: bytes) -> int:
        """Return a descriptor to read the file that a path means in the union.

        Raises EditRefused for what is not a regular file, LayerError where its layer alone does not hold the bytes.
        """
        real = self.resolve(path)
        above, name = split(real)
        with self._directories(above) as here:
            item = self._find(here, name or b".")
            if item is None:
                raise NotFound(f"{printable(path)} does not exist in the container", "dtui tree shows what does")
            try:
                fd = open_child(item.dir_fd, item.name, os.O_PATH)
            except OSError as error:
                raise explain(error, path) from error
        try:
            if unreadable_alone(fd, userxattr=self.stack.userxattr) == "metacopy":
                raise LayerError(
                    f"{printable(path)} is only a metacopy: its layer does not hold the bytes",
                    "start the container to read it",
                )
            return reopen_regular(fd, path)
        finally:
            os.close(fd)

    def usage(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Count the bytes of regular files in the writable layer, a hard-linked file once."""
        total = 0
        seen: set[int] = set()
        todo = [b"/"]
        while todo and not stop():
            path = todo.pop()
            with self._own_directory(path) as fd:
                for name in map(os.fsencode, os.listdir(fd)):
                    status = _status(fd, name)
                    if status is None:
                        continue
                    if stat.S_ISDIR(status.st_mode):
                        todo.append(path.rstrip(b"/") + b"/" + name)
                    elif stat.S_ISREG(status.st_mode) and status.st_ino not in seen:
                        total += status.st_size
                        if status.st_nlink > 1:
                            seen.add(status.st_ino)
        return total

    @contextmanager
    def _own_directory(self, path: bytes) -> Iterator[int]:
        """Yield the writable layer's own directory at a path; it may vanish while we walk."""
        with ExitStack() as held:
            fd = self._copies(held, last=1)[0][1]
            for name in filter(None, path.split(b"/")):
                try:
                    fd = open_child(fd, name, os.O_RDONLY | os.O_DIRECTORY)
                except OSError as error:
                    raise explain(error, path) from error
                held.callback(os.close, fd)
            yield fd


def _status(fd: int, name: bytes) -> os.stat_result | None:
    """Return a name's own status in a directory, None where it is not (any more)."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _entry(
    path: bytes,
    item: Item,
    cover: Mount | None,
    *,
    change: Change | None = None,
    opaque: bool = False,
    metadata_only: bool = False,
) -> Entry:
    status = item.status
    link = stat.S_ISLNK(status.st_mode)
    return Entry(
        path=path,
        kind=kind_of(status.st_mode),
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        layer=item.layer,
        nlink=status.st_nlink,
        change=change,
        opaque=opaque,
        metadata_only=metadata_only,
        target=os.fsencode(os.readlink(item.name, dir_fd=item.dir_fd)) if link else b"",
        covered_by=cover,
    )
