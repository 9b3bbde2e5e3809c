"""Files of this host below one directory, opened by descriptor: no symbolic link is followed, no mount entered."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from tui.core.errors import EditRefused, NotFound
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.write import atomic
from tui.files.write.atomic import Placement, Scratch
from tui.files.write.metadata import AS_MADE, Metadata, apply_metadata
from tui.linux.rooted_paths import kind_of, open_child, open_directory, refuse_kernel_files, reopen_regular
from tui.linux.syscalls import syncfs
from tui.linux.trail import Trail

_SYNCED_ALONE = 8
"""Files that are synced one by one; later ones are synced together at the end."""


class HostFiles:
    """Reads and creates files below a directory; paths are relative to it. A context manager."""

    def __init__(self, directory: str) -> None:
        """Raise NotFound if this is not a directory of this host."""
        try:
            self._fd = os.open(directory or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            message = f"{printable(directory)}: {(error.strerror or '').lower()}"
            raise NotFound(message, "name a file of this host") from error
        self._trail = Trail(self._fd, open_directory, os.close)
        self._link_trail = Trail(self._fd, open_directory, os.close)
        self._files = 0

    def __enter__(self) -> HostFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._trail.close()
        self._link_trail.close()
        os.close(self._fd)

    def parent(self, host_path: bytes) -> tuple[int, bytes]:
        """Return the parent directory, which stays open until the next call, and the name in it; raises OSError."""
        parent, _, name = host_path.rpartition(b"/")
        return self._trail.at(b"/" + parent), name

    @contextmanager
    def entry(self, host_path: bytes, *, read: bool = True) -> Iterator[tuple[int, int | None]]:
        """Yield an O_PATH descriptor of an entry and, of a file, one to read it; raises NotFound."""
        with ExitStack() as exit_stack:
            try:
                dir_fd, name = self.parent(host_path)
                fd = open_child(dir_fd, name, os.O_PATH)
            except OSError as error:
                reason = "is a mount point" if error.errno == errno.EXDEV else (error.strerror or "").lower()
                raise NotFound(f"{printable(host_path)}: {reason}", "name a file of this host") from error
            exit_stack.callback(os.close, fd)
            refuse_kernel_files(fd, host_path)  # their sizes are meaningless, and reading some of them has effects
            data = None
            if read and kind_of(os.fstat(fd).st_mode) is EntryKind.FILE:
                data = reopen_regular(fd, host_path)
                exit_stack.callback(os.close, data)
                refuse_unsized(data, host_path)
            yield fd, data

    def link(self, existing_path: bytes, host_path: bytes) -> None:
        """Create a hard link to an existing file; raises OSError."""
        parent, _, name = existing_path.rpartition(b"/")
        fd = open_child(self._link_trail.at(b"/" + parent), name, os.O_PATH)
        try:
            dir_fd, new = self.parent(host_path)
            atomic.link_descriptor(fd, dir_fd, new)
        finally:
            os.close(fd)

    def make_directory(self, host_path: bytes, mode: int) -> None:
        """Create a directory that stays writable for this user for now; raises OSError."""
        dir_fd, name = self.parent(host_path)
        atomic.make_directory(dir_fd, name, mode | 0o700)

    def close_directory(self, host_path: bytes, mode: int) -> None:
        """Set a directory's final mode once it is complete; raises OSError."""
        dir_fd, name = self.parent(host_path)
        fd = open_directory(dir_fd, name)
        try:
            apply_metadata(fd, Metadata(mode, AS_MADE, AS_MADE), exact=False)
        finally:
            os.close(fd)

    def make_symlink(self, host_path: bytes, target: bytes) -> None:
        """Create a symbolic link; raises OSError."""
        dir_fd, name = self.parent(host_path)
        atomic.make_symlink(dir_fd, name, target)

    def make_file(self, host_path: bytes, source: int, node: EntrySnapshot, *, over: bool) -> None:
        """Create a file with the mode of ``node`` and the bytes and time of ``source``; ``over`` permits replacing one.

        The name appears once the file is complete. The first few files are synced one by one. Raises OSError.
        """
        dir_fd, name = self.parent(host_path)
        status = os.fstat(source)
        node = replace(node, size=status.st_size, offset=0, mtime_ns=status.st_mtime_ns, xattrs=())
        metadata = Metadata(node.mode, AS_MADE, AS_MADE, mtime_ns=node.mtime_ns)
        entry = replace(atomic.entry_like(node, source, raw=False), metadata=metadata, exact=False)
        atomic.place(
            entry,
            Placement(
                dir_fd,
                name,
                exclusive=not over,
                scratch=lambda: Scratch(dir_fd, atomic.temporary_name()),
                before_rename=_go_on,
                synced=self._files < _SYNCED_ALONE,
            ),
        )
        self._files += 1

    def sync(self) -> None:
        """Sync what is not yet durable; raises OSError."""
        if self._files > _SYNCED_ALONE:
            syncfs(self._fd)


def _go_on() -> None:
    """Let the rename happen: nothing has to be checked before it."""


def refuse_unsized(fd: int, path: bytes) -> None:
    """Raise EditRefused for a file with content but size 0, as in file systems that generate it on reading."""
    if os.fstat(fd).st_size == 0 and os.pread(fd, 1, 0):
        raise EditRefused(f"{printable(path)} holds more than its size of 0 bytes says", "what it tells can be piped")
