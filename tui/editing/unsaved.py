"""Text that could not be saved: kept in a file only this user can read, and told at the next start."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tui.core.errors import DtuiError
from tui.editing.state import text_dir

_NOTE = ".note"
_TOLD = ".told"
"""What a note is called once its text was told of."""

_PREFIX = "dtui-unsaved-"
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - each file is made anew, for this user alone
"""Where a text goes when the state directory takes none: anywhere is better than nowhere."""


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What would be lost: the bytes, the container's name, and the path in it."""

    data: bytes
    container: str
    path: bytes


def keep_copy(data: bytes) -> Path:
    """Keep bytes that could not be saved; return the file they are in.

    Raises OSError, the one of the usual place, when no place takes them all.
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
    """Write bytes to a new file of this user's; it is there whole and durable, or not at all."""
    descriptor, path = tempfile.mkstemp(prefix=_PREFIX, dir=folder)  # made 0600, and never an existing one
    try:
        with os.fdopen(descriptor, "wb") as copy:
            copy.write(data)
            copy.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    return Path(path)


def keep_to_tell(text: Unsaved) -> Path:
    """Keep text nobody could be asked about, with a note for the next start beside it where there is room for one."""
    kept = keep_copy(text.data)
    tell_next_time(text.container, text.path, kept, kept.name)
    return kept


def tell_next_time(container: str, path: bytes, kept: Path, name: str) -> None:
    """Leave a note of this name for the next start, which says where text of a file is kept."""
    with suppress(OSError, DtuiError):  # the text is kept, and where is told now as well
        note = text_dir("unsaved") / (name + _NOTE)
        note.touch(mode=0o600, exist_ok=False)
        about = {"container": container, "path": os.fsdecode(path), "kept": str(kept)}
        note.write_text(json.dumps(about), encoding="utf-8")


def told_once() -> tuple[str, ...]:
    """Return a sentence for each text that was kept since the last start; the texts stay."""
    lines = []
    try:
        notes = sorted(text_dir("unsaved").glob("*" + _NOTE))
    except DtuiError:
        return ()
    for note in notes:
        try:
            about = json.loads(note.read_text(encoding="utf-8"))
            kept = about.get("kept", note.with_suffix(""))
            lines.append(f"unsaved text of {about['container']}:{about['path']} is kept in {kept}")
            note.rename(note.with_suffix(_TOLD))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another dtui told it, or it is no note
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class KeptText:
    """A text that is kept: the file it is in, and the container and path that it was meant for, where that is known."""

    id: str
    file: Path
    size: int
    time: datetime
    container: str = ""
    path: bytes = b""


def kept_texts() -> tuple[KeptText, ...]:
    """Return the texts that are kept in the state directory, oldest first."""
    try:
        folder = text_dir("unsaved")
    except DtuiError:
        return ()
    found: dict[Path, KeptText] = {}
    for file in folder.glob(f"{_PREFIX}*"):
        if file.suffix not in (_NOTE, _TOLD):
            _take_in(found, file.name, file, "", b"")
    for note in (*folder.glob("*" + _NOTE), *folder.glob("*" + _TOLD)):
        with suppress(OSError, ValueError, KeyError, TypeError):
            about = json.loads(note.read_text(encoding="utf-8"))
            file = Path(about.get("kept") or note.with_suffix(""))
            if file.is_relative_to(folder.parent):  # what is kept elsewhere is not ours to list
                _take_in(
                    found, note.name.removesuffix(note.suffix), file, about["container"], os.fsencode(about["path"])
                )
    return tuple(sorted(found.values(), key=lambda text: text.time))


def _take_in(found: dict[Path, KeptText], text_id: str, file: Path, container: str, path: bytes) -> None:
    with suppress(OSError):
        status = file.lstat()
        if stat.S_ISREG(status.st_mode):
            time = datetime.fromtimestamp(status.st_mtime, UTC)
            found[file] = KeptText(text_id, file, status.st_size, time, container, path)


def drop_text(text: KeptText) -> None:
    """Delete a text for good, with the note of it and the directory that an $EDITOR had it in; raises OSError."""
    text.file.unlink(missing_ok=True)
    folder = text_dir("unsaved")
    for suffix in (_NOTE, _TOLD):
        (folder / (text.id + suffix)).unlink(missing_ok=True)
    if text.file.parent != folder:
        with suppress(OSError):  # the editor left something else there
            text.file.parent.rmdir()
