"""Copies of files that an editor was given: who uses them still, and what a dtui that was killed left in them.

The directory of a copy is locked by the dtui that made it. Its note is locked by the editor, which inherits the
descriptor, and by whatever the editor leaves running: a copy that neither holds is nobody's any more.
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
    """Lock an open file or directory as long as a descriptor of it is open; say whether nobody else had it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Yield whether a file or directory is there and nobody has it locked."""
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
    """Return the copies that no running dtui uses and that hold more than the container's file had.

    What holds nothing more is removed once its editor has ended, too.
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
    """Say whether a copy holds no more than the container's file had, and no swap file or the like is beside it."""
    try:
        names = os.listdir(copy.place.parent)
        return not names or (names == [copy.place.name] and digest_of(copy.read()) == copy.digest)
    except (OSError, EditRefused):
        return False


def _remove(copy: Keepsake) -> None:
    with suppress(OSError):  # it stays, and the next start tries again
        copy.throw_away()
