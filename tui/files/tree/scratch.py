"""Temporary names for new entries, and when to sync changes."""

from __future__ import annotations

import os

from tui.core.ids import ContainerId
from tui.files.history import journal
from tui.files.write import atomic
from tui.files.write.atomic import Scratch
from tui.linux.rooted_paths import OpenDirectory
from tui.linux.syscalls import syncfs

_SYNCED_ALONE = 8
"""Changes of one act that are synced one by one; later ones are synced together at the end."""

_MOST_HELD = 8


class ScratchName:
    """One temporary name per mount for everything that an act creates, with one journal record.

    The name is reused for one entry after another, so a crash leaves at most one of them. The record stays until
    :meth:`close`.
    """

    def __init__(self, container_id: ContainerId) -> None:
        self._id = container_id
        self._fd = -1
        self._mount = (-1, -1)
        self._record: journal.Record | None = None
        self._name = b""

    def place(self, folder: OpenDirectory, path: bytes) -> tuple[Scratch, bool]:
        """Return a temporary name on the same mount as ``folder``, and whether it is new.

        ``path`` is where the entry will be. Raises EditRefused if the journal record cannot be written.
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
        """End the journal record, unless the temporary name still exists; the next start removes that."""
        if self._fd < 0:
            return
        if self._record is not None and atomic.is_gone(self._fd, self._name):
            journal.end(self._record)
        os.close(self._fd)
        self._fd, self._record = -1, None


class Durability:
    """Syncs the changes of an act: the first few at once, as there may be no more, the rest at the end."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[int, int] = {}
        """One open directory per mount with unsynced changes, by mount id."""

    @property
    def at_once(self) -> bool:
        """Whether the next change is synced on its own."""
        return self._count < _SYNCED_ALONE

    def changed(self, folder: OpenDirectory) -> None:
        """Note that names in a directory changed, and sync them if they are among the first few."""
        self._count += 1
        if self._count <= _SYNCED_ALONE:
            os.fsync(folder.fd)
        elif folder.mount not in self._waiting:
            if len(self._waiting) >= _MOST_HELD:
                self.sync()
            self._waiting[folder.mount] = os.dup(folder.fd)

    def sync(self) -> None:
        """Sync everything that waits; raises OSError."""
        try:
            for fd in self._waiting.values():
                syncfs(fd)
        finally:
            self.close()

    def close(self) -> None:
        """Close the descriptors."""
        while self._waiting:
            os.close(self._waiting.popitem()[1])
