"""Where a tree puts entries together before each gets its name in one step, and when what it made is durable."""

from __future__ import annotations

import os

from tui.core.ids import ContainerId
from tui.files.history import journal
from tui.files.write import atomic
from tui.files.write.atomic import Scratch
from tui.linux.rooted_paths import Folder
from tui.linux.syscalls import syncfs

_SYNCED_ALONE = 8
"""Changes of one act that are made durable one by one; what comes after them is so all at once, at its end."""

_MOST_HELD = 8


class ScratchName:
    """One temporary name for all that an act makes on one mount, with one record in the journal.

    Entries stand under it one after another, so that a kill leaves one of them at most. The record stays until
    :meth:`close`.
    """

    def __init__(self, container_id: ContainerId) -> None:
        self._id = container_id
        self._fd = -1
        self._mount = (-1, -1)
        self._record: journal.Record | None = None
        self._name = b""

    def place(self, folder: Folder, path: bytes) -> tuple[Scratch, bool]:
        """Return the temporary name in a directory from which it can be moved to a folder, and whether it is new.

        ``path`` is where the entry is to lie. Raises EditRefused without room for the record.
        """
        mount = (folder.mount, os.fstat(folder.fd).st_dev)
        fresh = self._fd < 0 or mount != self._mount or os.fstat(self._fd).st_nlink == 0
        if fresh:
            self.close()
            name = atomic.temporary_name()
            self._record = journal.begin_rename(self._id, path, name)
            self._fd, self._mount, self._name = os.dup(folder.fd), mount, name
        return Scratch(self._fd, self._name), fresh

    def close(self) -> None:
        """Take the record back, unless the temporary name is still there; the next start removes that one."""
        if self._fd < 0:
            return
        if self._record is not None and atomic.is_gone(self._fd, self._name):
            journal.end(self._record)
        os.close(self._fd)
        self._fd, self._record = -1, None


class Durability:
    """Makes an act's changes durable: the first ones one by one, for they may be all, many at once at the end."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[int, int] = {}
        """A directory on each mount on which changes wait, by the mount's number."""

    @property
    def at_once(self) -> bool:
        """Whether the next change is made durable by itself."""
        return self._count < _SYNCED_ALONE

    def changed(self, folder: Folder) -> None:
        """Note a change of a directory's names."""
        self._count += 1
        if self._count <= _SYNCED_ALONE:
            os.fsync(folder.fd)
        elif folder.mount not in self._waiting:
            if len(self._waiting) >= _MOST_HELD:
                self.sync()
            self._waiting[folder.mount] = os.dup(folder.fd)

    def sync(self) -> None:
        """Wait until all is durable; raises OSError."""
        try:
            for fd in self._waiting.values():
                syncfs(fd)
        finally:
            self.close()

    def close(self) -> None:
        """Give the descriptors back."""
        while self._waiting:
            os.close(self._waiting.popitem()[1])
