"""Checks whether somebody changed an entry since it was looked at; no other module does this."""

from __future__ import annotations

import os
import stat

from tui.core.errors import ChangedMeanwhile, EditRefused
from tui.core.text import printable
from tui.files.tree.snapshots import EntrySnapshot, is_untouched
from tui.files.write.options import SaveOptions
from tui.files.write.version import FileVersion

AGAIN = "look at it, then do it again"
COMPARE = "look at the difference, then decide"


def changed_meanwhile(path: bytes, hint: str = AGAIN) -> ChangedMeanwhile:
    """Return the error for an entry that changed since it was looked at."""
    return ChangedMeanwhile(f"{printable(path)} was changed meanwhile", hint)


def require_version(
    path: bytes, current: FileVersion, expected: FileVersion | None, options: SaveOptions
) -> FileVersion:
    """Return the version of the file to replace; raises ChangedMeanwhile if it differs from the one that was read.

    Raises EditRefused if only a new file was requested.
    """
    if options.only_new:
        raise EditRefused(f"{printable(path)} exists already", "edit it, or choose another name")
    if options.wrote and current.sha256 != options.wrote:
        raise ChangedMeanwhile(f"{printable(path)} was changed since", "dtui undo --force puts them back")
    if expected is not None and current != expected:
        raise changed_meanwhile(path, COMPARE)
    return current


def require_untouched(dir_fd: int, name: bytes, node: EntrySnapshot) -> None:
    """Raise ChangedMeanwhile unless a name still has the same entry with the same bytes."""
    if not is_untouched(os.stat(name, dir_fd=dir_fd, follow_symlinks=False), node):
        raise changed_meanwhile(node.path)


def require_same_file(path: bytes, current: os.stat_result, before: os.stat_result) -> None:
    """Raise ChangedMeanwhile unless an entry is the same inode with the same size and time.

    Where drivers mark deletions by a device, that is the entry which a new file replaces.
    """
    if _identity(current) != _identity(before):
        raise changed_meanwhile(path, COMPARE)


def require_same_bytes(path: bytes, current: os.stat_result, size: int, mtime_ns: int, hint: str = AGAIN) -> None:
    """Raise ChangedMeanwhile unless this is a regular file with that size and time."""
    if not stat.S_ISREG(current.st_mode) or (current.st_size, current.st_mtime_ns) != (size, mtime_ns):
        raise changed_meanwhile(path, hint)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
