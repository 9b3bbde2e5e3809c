"""Text that could not be saved: kept in a file only this user can read, and told at the next start."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import EditRefused
from tui.editing.state import state_dir

_NOTE = ".note"


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What would be lost: the bytes, the container's name, and the path in it."""

    data: bytes
    container: str
    path: bytes


def keep_copy(data: bytes) -> Path:
    """Keep bytes that could not be saved; return the file they are in."""
    try:
        folder: Path | None = state_dir("unsaved")
    except EditRefused:
        folder = None  # anywhere is better than nowhere
    descriptor, path = tempfile.mkstemp(prefix="dtui-unsaved-", dir=folder)  # made 0600
    with os.fdopen(descriptor, "wb") as copy:
        copy.write(data)
        copy.flush()
        os.fsync(descriptor)
    return Path(path)


def keep_to_tell(text: Unsaved) -> Path:
    """Keep text nobody could be asked about, with a note for the next start beside it."""
    kept = keep_copy(text.data)
    note = kept.with_name(kept.name + _NOTE)
    note.touch(mode=0o600)
    note.write_text(json.dumps({"container": text.container, "path": os.fsdecode(text.path)}), encoding="utf-8")
    return kept


def told_once() -> tuple[str, ...]:
    """Return a sentence for each text that was kept since the last start; the texts stay."""
    lines = []
    try:
        notes = sorted(state_dir("unsaved").glob("*" + _NOTE))
    except EditRefused:
        return ()
    for note in notes:
        try:
            about = json.loads(note.read_text(encoding="utf-8"))
            lines.append(f"unsaved text of {about['container']}:{about['path']} is kept in {note.with_suffix('')}")
            note.unlink()
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another dtui told it, or it is no note
    return tuple(lines)
