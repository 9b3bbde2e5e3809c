"""Files of this host below one directory, reached by descriptor: never through a link, never into a mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tui.core.errors import EditRefused, NotFound
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.linux.rooted_paths import kind_of, open_child, open_directory, refuse_kernel_files, reopen_regular
from tui.linux.syscalls import syncfs
from tui.linux.trail import Trail

_SYNCED_ALONE = 8
"""Files that are made durable one by one; those after them are so all at once, at the end."""


class HostFiles:
    """What is read and made below a directory; a place is a path from there. Closes with the context."""

    def __init__(self, directory: str) -> None:
        """Raise NotFound for what is no directory of this host."""
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
        """Return the directory that holds a place, open until the next call, and the last name; raises OSError."""
        parent, _, name = host_path.rpartition(b"/")
        return self._trail.at(b"/" + parent), name

    @contextmanager
    def entry(self, host_path: bytes, *, read: bool = True) -> Iterator[tuple[int, int | None]]:
        """Yield what stands at a place as an O_PATH descriptor, and a file's bytes to read; raises NotFound."""
        with ExitStack() as exit_stack:
            try:
                dir_fd, name = self.parent(host_path)
                fd = open_child(dir_fd, name, os.O_PATH)
            except OSError as error:
                reason = "is a mount point" if error.errno == errno.EXDEV else (error.strerror or "").lower()
                raise NotFound(f"{printable(host_path)}: {reason}", "name a file of this host") from error
            exit_stack.callback(os.close, fd)
            refuse_kernel_files(fd, host_path)  # their sizes say nothing, and some have an effect when they are read
            data = None
            if read and kind_of(os.fstat(fd).st_mode) is EntryKind.FILE:
                data = reopen_regular(fd, host_path)
                exit_stack.callback(os.close, data)
                refuse_unsized(data, host_path)
            yield fd, data

    def link(self, existing_path: bytes, host_path: bytes) -> None:
        """Give the file at another place a name more; raises OSError."""
        parent, _, name = existing_path.rpartition(b"/")
        fd = open_child(self._link_trail.at(b"/" + parent), name, os.O_PATH)
        try:
            dir_fd, new = self.parent(host_path)
            os.link(f"/proc/self/fd/{fd}", new, dst_dir_fd=dir_fd, follow_symlinks=True)
        finally:
            os.close(fd)

    def wrote(self, fd: int) -> None:
        """Make a new file durable, unless it is one of many."""
        self._files += 1
        if self._files <= _SYNCED_ALONE:
            os.fsync(fd)

    def sync(self) -> None:
        """Make durable what was not yet; raises OSError."""
        if self._files > _SYNCED_ALONE:
            syncfs(self._fd)


def refuse_unsized(fd: int, path: bytes) -> None:
    """Raise EditRefused for a file that is said to be empty and is not, as a file system makes them up while read."""
    if os.fstat(fd).st_size == 0 and os.pread(fd, 1, 0):
        raise EditRefused(f"{printable(path)} holds more than its size of 0 bytes says", "what it tells can be piped")
