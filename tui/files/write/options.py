"""Options of a save."""

from __future__ import annotations

from dataclasses import dataclass

from tui.files.history.backups import BackupMode, UndoKind


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How to save, besides the new bytes."""

    create: bool = False
    """Create a missing file, with its directory's owner."""
    only_new: bool = False
    """Refuse a file that exists."""
    mode: int | None = None
    """Permission bits; None for those of the old file, or 0644 for a new one."""
    mtime_ns: int | None = None
    """Modification time; None for the time of the save."""
    in_place: bool = False
    """Overwrite the file's own bytes, with a journal, so that processes that have it open see them."""
    kind: UndoKind | None = None
    """The kind of the change in the backups."""
    wrote: str = ""
    """SHA-256 that the old bytes must have; empty for any."""
    keep: BackupMode = BackupMode.USUAL
    """What to do with the old bytes."""


USUAL = SaveOptions()
"""Replace an existing file, by rename if possible."""
