"""Text that could not be saved: kept in a file that only this user can read, and announced at the next start."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tui.core import state_files
from tui.core.errors import DtuiError
from tui.core.state import text_dir
from tui.files.texts.editor_copies import left_copies
from tui.files.texts.notes import NEW, TOLD, Keepsake, notes_in, write_note

_PREFIX = "dtui-unsaved-"
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - each file is made anew, for this user alone
"""Where to put a text if the state directory cannot take it."""


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Text that would be lost, with the container's name, the path in it, and the container's id."""

    data: bytes
    container: str
    path: bytes
    container_id: str = ""


def keep_copy(data: bytes) -> Path:
    """Keep bytes that could not be saved; return the new file.

    Raises the OSError of the first place that was tried if no place can take them.
    """
    first: OSError | None = None
    for folder in _folders():
        try:
            return _write(folder, data)
        except OSError as error:
            first = first or error
    raise first or OSError("no directory to keep it in")


def _folders() -> Iterator[str]:
    with suppress(DtuiError):
        yield str(text_dir("unsaved"))
    with suppress(OSError):
        yield tempfile.gettempdir()
    yield from _ELSEWHERE
    yield os.path.expanduser("~")


def _write(folder: str, data: bytes) -> Path:
    """Write bytes to a new file of this user, and sync it; on failure remove it."""
    descriptor, path = tempfile.mkstemp(prefix=_PREFIX, dir=folder)  # mode 0600, never an existing file
    try:
        with os.fdopen(descriptor, "r+b") as copy:
            copy.write(data)
            copy.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            state_files.remove(Path(path))
        raise
    return Path(path)


def keep_to_tell(text: Unsaved) -> Path:
    """Keep text without asking, with a note for the next start if there is room for one."""
    kept = keep_copy(text.data)
    with suppress(OSError, DtuiError):  # the text is safe, and its place is told now as well
        write_note(text_dir("unsaved") / kept.name, text.container, text.container_id, text.path, kept)
    return kept


def unsaved_texts() -> list[Keepsake]:
    """Return the texts that were kept without asking; none if they cannot be listed."""
    with suppress(DtuiError, OSError):
        return notes_in(text_dir("unsaved"))
    return []


@dataclass(frozen=True, slots=True)
class KeptText:
    """A kept text: the file that holds it, and the container and path it was meant for, if known."""

    id: str
    file: Path
    size: int
    time: datetime
    container: str = ""
    path: bytes = b""


def kept_texts() -> tuple[KeptText, ...]:
    """Return the texts kept in the state directory, oldest first."""
    try:
        folder = text_dir("unsaved")
    except DtuiError:
        return ()
    found: dict[Path, KeptText] = {}
    for file in folder.glob(f"{_PREFIX}*"):
        if file.suffix not in (NEW, TOLD):
            _take_in(found, file.name, file, "", b"")
    for text in unsaved_texts():
        if text.place.is_relative_to(folder.parent):  # files elsewhere are not ours to list
            _take_in(found, text.note.stem, text.place, text.container, text.path)
    for copy in left_copies():
        _take_in(found, copy.note.stem, copy.place, copy.container, copy.path)
    return tuple(sorted(found.values(), key=lambda text: text.time))


def _take_in(found: dict[Path, KeptText], text_id: str, file: Path, container: str, path: bytes) -> None:
    with suppress(OSError):
        status = file.lstat()
        if stat.S_ISREG(status.st_mode):
            time = datetime.fromtimestamp(status.st_mtime, UTC)
            found[file] = KeptText(text_id, file, status.st_size, time, container, path)


def drop_text(text: KeptText) -> None:
    """Delete a text with its note and its $EDITOR directory; raises OSError."""
    state_files.remove(text.file)
    for suffix in (NEW, TOLD):
        for folder in (text_dir("unsaved"), text_dir("edit")):
            state_files.remove(folder / (text.id + suffix))
    folder = text_dir("edit") / text.id
    if text.file.parent == folder:  # an editor's swap file has the same text
        state_files.remove_directory(folder)
