"""Copies of files for $EDITOR: whether one is still in use, and which a killed dtui left behind.

The dtui that made a copy locks the copy's directory. The editor, which inherits the descriptor, and anything it leaves
running hold a lock on the note. A copy with neither lock is abandoned.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tui.core.errors import DtuiError, EditRefused
from tui.core.state import text_dir
from tui.files.texts.notes import Keepsake, digest_of, notes_in


def lock(descriptor: int) -> bool:
    """Lock an open file or directory for the lifetime of the descriptor; return whether nobody else holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Yield whether a file or directory exists and nobody holds its lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield lock(descriptor)
    finally:
        os.close(descriptor)


def left_copies() -> list[Keepsake]:
    """Return abandoned copies whose content differs from the container's file.

    Copies without changes are removed, once their editor has ended.
    """
    with suppress(DtuiError, OSError):
        return [copy for copy in notes_in(text_dir("edit")) if _is_left(copy)]
    return []


def _is_left(copy: Keepsake) -> bool:
    folder = copy.note.with_suffix("")
    if copy.place.parent != folder:
        return False
    if not os.path.lexists(folder):
        _remove(copy)
        return False
    with _unused(folder) as unused:
        if not unused:
            return False
        if not _is_as_given(copy):
            return True
        with _unused(copy.note) as ended:
            if ended:
                _remove(copy)
        return False


def _is_as_given(copy: Keepsake) -> bool:
    """Return whether a copy is unchanged, with no swap file or the like next to it."""
    try:
        names = os.listdir(copy.place.parent)
        return not names or (names == [copy.place.name] and digest_of(copy.read()) == copy.digest)
    except (OSError, EditRefused):
        return False


def _remove(copy: Keepsake) -> None:
    with suppress(OSError):  # the next start tries again
        copy.throw_away()
