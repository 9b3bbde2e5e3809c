"""What lies beside the mounts below a directory: an act on all of it leaves them out, and says so."""

from __future__ import annotations

from tui.core.records import Mount
from tui.core.text import printable
from tui.layers.mount_covers import RUNTIME_MOUNTS, Covers

_MANY = 5


class SkippedMounts:
    """Leaves out mount points, and at rest what lies where one will be, and remembers which.

    What is done to the directory below a mount is seen by nobody, and nobody could take it back while that is mounted.
    """

    def __init__(self, covers: Covers) -> None:
        self._covers = covers
        self._skipped: list[tuple[bytes, Mount | None]] = []

    def leave_out(self, path: bytes, is_mount_point: bool) -> bool:
        """Say whether an entry is left out, as :data:`.root_tree.LeaveOut`."""
        mount = self._covers.at(path)
        if mount is None and not is_mount_point and path not in RUNTIME_MOUNTS:
            return False
        self._skipped.append((path, mount))
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, the user's own mounts first."""
        skipped = sorted(self._skipped, key=lambda pair: (pair[1] is None or pair[1].kind == "engine", pair[0]))
        return few([skipped_words(path, mount) for path, mount in skipped])


def skipped_words(path: bytes, mount: Mount | None) -> str:
    """Say of a mount point that it was left out."""
    if mount is None:
        return f"{printable(path)} is a mount point: left out"
    return f"what is in the {mount.description} at {printable(path)} was left out"


def few(notes: list[str]) -> tuple[str, ...]:
    """Return the first notes of what was left out, and how many more there are."""
    more = len(notes) - _MANY
    return tuple(notes) if more <= 0 else (*notes[:_MANY], f"and {more:,} more left out")
