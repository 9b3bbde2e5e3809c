"""Estimate how much an act would back up, and whether that is within the limit."""

from __future__ import annotations

from collections.abc import Iterable

from tui.core.errors import EditRefused
from tui.core.text import human_size
from tui.files.history import backups
from tui.files.history.backups import BackupChoices, BackupMode, TooLarge
from tui.files.tree.snapshots import EntrySnapshot

_SMALL = 1 << 20
"""Bytes that are copied without checking free space."""


def replaced_size(nodes: Iterable[EntrySnapshot]) -> int:
    """Return the size of a backup: without holes and what the image has, hard links counted once."""
    counted_inodes: set[tuple[int, int]] = set()
    total = 0
    for node in nodes:
        if node.image or (node.inode in counted_inodes and node.inode != (0, 0)):
            continue
        counted_inodes.add(node.inode)
        total += node.disk
    return total


def require_room(size: int, keep: BackupMode, *, aside: str, nothing: str = "") -> None:
    """Raise TooLarge if a backup would exceed the limit, EditRefused if the backup mode is not possible.

    ``aside`` and ``nothing`` say why setting aside, or keeping no backup, is not possible.
    """
    if keep is BackupMode.ASIDE and aside:
        raise EditRefused(f"what is replaced cannot be set aside: {aside}", "nothing was changed")
    if keep is BackupMode.NOTHING and nothing:
        raise EditRefused(f"a copy must be kept: {nothing}", "nothing was changed")
    if keep in (BackupMode.ASIDE, BackupMode.NOTHING) or (size <= _SMALL and size <= backups.ACT_LIMIT):
        return
    room = backups.room()
    too_little = "" if size <= room else f"the disk of dtui's state has room for {human_size(room)}"
    if keep is BackupMode.COPY and too_little:
        raise EditRefused(f"{human_size(size)} cannot be copied: {too_little}", "nothing was changed")
    if keep is BackupMode.USUAL and (too_little or size > backups.ACT_LIMIT):
        why = backups.beyond_limit() if size > backups.ACT_LIMIT else f"and {too_little}"
        raise TooLarge(BackupChoices(size, room, copy=too_little, aside=aside, nothing=nothing), why)
