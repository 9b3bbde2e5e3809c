"""Walk a tree, skip mount points, and report which were skipped."""

from __future__ import annotations

from tui.core.records import Mount
from tui.core.text import printable
from tui.layers.mount_covers import RUNTIME_MOUNTS, Covers

_MANY = 5


class SkippedMounts:
    """Tells a walk which mount points to skip, and remembers them.

    In a container at rest, the places where something will be mounted are skipped as well. A change below a mount point
    would be invisible, and could not be undone while the mount is there.
    """

    def __init__(self, covers: Covers) -> None:
        self._covers = covers
        self._skipped: list[tuple[bytes, Mount | None]] = []

    def leave_out(self, path: bytes, is_mount_point: bool) -> bool:
        """Return whether to skip an entry (a :data:`.root_tree.LeaveOut`)."""
        mount = self._covers.at(path)
        if mount is None and not is_mount_point and path not in RUNTIME_MOUNTS:
            return False
        self._skipped.append((path, mount))
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What was skipped, the user's own mounts first."""
        skipped = sorted(self._skipped, key=lambda pair: (pair[1] is None or pair[1].kind == "engine", pair[0]))
        return few([skipped_words(path, mount) for path, mount in skipped])


def skipped_words(path: bytes, mount: Mount | None) -> str:
    """Return the note that a mount point was skipped."""
    if mount is None:
        return f"{printable(path)} is a mount point: left out"
    return f"what is in the {mount.description} at {printable(path)} was left out"


def few(notes: list[str]) -> tuple[str, ...]:
    """Return the first few notes, and a count of the others."""
    more = len(notes) - _MANY
    return tuple(notes) if more <= 0 else (*notes[:_MANY], f"and {more:,} more left out")
