"""How a file is to be saved."""

from __future__ import annotations

from dataclasses import dataclass

from tui.files.history.backups import BackupMode, UndoKind


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """What a save is asked for beside the new bytes."""

    create: bool = False
    """Make a file where there is none, with the owner of its directory."""
    only_new: bool = False
    """Refuse a file that exists."""
    mode: int | None = None
    """Permission bits; without them those of the old file, 0644 for a new one."""
    mtime_ns: int | None = None
    """The time of the file; without one that of the save."""
    in_place: bool = False
    """Overwrite the file's own bytes, so that who has it open sees them, with a journal on this host."""
    kind: UndoKind | None = None
    """What the change is called in the backups."""
    wrote: str = ""
    """The SHA-256 that the old bytes must have."""
    keep: BackupMode = BackupMode.USUAL
    """What becomes of the old bytes."""


USUAL = SaveOptions()
"""Replace the bytes of a file that is there, by rename where that can be."""
