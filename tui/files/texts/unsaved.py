"""Text that could not be saved: kept in a file that only this user can read, and announced at the next start."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tui.core import state_files
from tui.core.errors import DtuiError
from tui.core.state import text_dir
from tui.files.abandon import Unanswered, answered
from tui.files.texts.editor_copies import left_copies
from tui.files.texts.notes import NEW, TOLD, Keepsake, notes_in, write_note

_PREFIX = "dtui-unsaved-"
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - each file is made anew, for this user alone
"""Where to put a text if the state directory cannot take it."""

_PATIENCE = 2.0
"""Seconds without progress after which a place is passed over."""

_SILENT_FOR = 60.0
"""Seconds for which a place that did not answer is not asked again."""

_silent: dict[str, float] = {}
"""When a place did not answer."""


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Text that would be lost, with the container's name, the path in it, and the container's id."""

    data: bytes
    container: str
    path: bytes
    container_id: str = ""


def keep_copy(data: bytes) -> Path:
    """Keep bytes that could not be saved; return the new file. May be called in a signal handler.

    Passes over a place that does not answer. Raises the OSError of the first place that was tried if no place can take
    them.
    """
    first: OSError | None = None
    for folder in _folders():
        try:
            return answered(partial(_write, folder, data), _PATIENCE, folder or "the state directory")
        except Unanswered as error:
            _silent[folder] = time.monotonic()
            first = first or OSError(errno.ETIMEDOUT, error.message)
        except OSError as error:
            first = first or error
        except DtuiError:
            continue
    raise first or OSError("no directory to keep it in")


def _folders() -> Iterator[str]:
    """Yield where to put a text, the state directory first, which is empty; not what has just not answered.

    tempfile.gettempdir() would look for a directory, and hold a lock for as long as one of them hangs.
    """
    temporary = tempfile.tempdir or os.environ.get("TMPDIR") or ""
    for folder in ("", *filter(os.path.isabs, (temporary,)), *_ELSEWHERE, os.path.expanduser("~")):
        if time.monotonic() - _silent.get(folder, -_SILENT_FOR) >= _SILENT_FOR:
            yield folder


def _write(folder: str, data: bytes) -> Path:
    """Write bytes to a new file of this user, and sync it; on failure remove it."""
    path = Path(folder or text_dir("unsaved")) / f"{_PREFIX}{secrets.token_hex(4)}"
    descriptor = state_files.new_file(path)
    try:
        with os.fdopen(descriptor, "r+b") as copy:
            copy.write(data)
            copy.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            state_files.remove(path)
        raise
    return path


def keep_to_tell(text: Unsaved) -> Path:
    """Keep text without asking, with a note for the next start if there is room for one."""
    kept = keep_copy(text.data)
    if "" in _silent:
        return kept
    with suppress(OSError, DtuiError):  # the text is safe, and its place is told now as well
        answered(partial(_note, text, kept), _PATIENCE, "the state directory")
    return kept


def _note(text: Unsaved, kept: Path) -> None:
    write_note(text_dir("unsaved") / kept.name, text.container, text.container_id, text.path, kept)


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
