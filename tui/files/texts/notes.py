"""Notes about texts that dtui keeps: for which file, where the text is, and whether the user was told.

A note is next to the text or directory that it describes, with the same name. It ends in ``.note`` until a start has
told the user about it, then in ``.told``; it is removed with the text.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core import state_files
from tui.core.errors import EditRefused
from tui.core.text import printable

NEW, TOLD = ".note", ".told"

_LONGEST = 64 << 10
"""Bytes of a note to read: a path has up to 4 KiB, and JSON needs up to six characters per byte."""

LIMIT = 8 << 20
"""Bytes of a text to read back at most."""


@dataclass(frozen=True, slots=True)
class Keepsake:
    """A kept text: its note, the container's name and id, the path in the container, and the file with the text.

    ``digest`` is the SHA-256 of the container's file at that time, empty if unknown.
    """

    note: Path
    container: str
    container_id: str
    path: bytes
    place: Path
    digest: str = ""

    @property
    def told(self) -> bool:
        """Whether a start has told the user about it."""
        return self.note.suffix == TOLD

    @property
    def whose(self) -> str:
        """Container and path, safe to print."""
        return f"{printable(self.container)}:{printable(self.path)}"

    def is_of(self, container_id: str, path: bytes) -> bool:
        """Return whether the text belongs to this file of this container."""
        return bool(container_id) and (self.container_id, self.path) == (container_id, path)

    def mark_told(self) -> None:
        """Mark that the user was told. Raises OSError."""
        state_files.rename(self.note, self.note.with_suffix(TOLD))

    def time_ns(self) -> int:
        """Return when the text was last written, 0 if it is gone."""
        with suppress(OSError):
            return self.place.lstat().st_mtime_ns
        return 0

    def read(self) -> bytes:
        """Return the text; raises EditRefused if it is not a regular file of this user, or larger than the limit."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(self.place, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
                    raise EditRefused(f"{self.place} is no plain file of this user's", "look at it by hand")
                data = file.read(LIMIT + 1)
        except OSError as error:
            raise EditRefused(f"{self.place} cannot be read: {(error.strerror or '').lower()}") from error
        if len(data) > LIMIT:
            raise EditRefused(f"{self.place} is larger than {LIMIT >> 20} MiB", "look at it by hand")
        return data

    def drop_note(self) -> None:
        """Remove the note and leave the text. Raises OSError."""
        state_files.remove(self.note)

    def throw_away(self) -> None:
        """Delete the text (of an editor, its whole directory) and the note. Raises OSError."""
        folder = self.note.with_suffix("")
        if self.place.parent == folder:
            state_files.remove_directory(folder)
        else:
            state_files.remove(self.place)
        self.drop_note()


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, as notes contain it."""
    return hashlib.sha256(data).hexdigest()


def write_note(
    beside: Path, container: str, container_id: str, path: bytes, place: Path, *, data: bytes | None = None
) -> Path:
    """Write a note about a text or directory; ``data`` is the content of the container's file. Raises OSError."""
    about = {"container": container, "id": container_id, "path": os.fsdecode(path), "kept": str(place)}
    if data is not None:
        about["digest"] = digest_of(data)
    note = beside.with_name(beside.name + NEW)
    state_files.write_new(note, [json.dumps(about).encode()], durable=False)
    return note


def notes_in(folder: Path) -> list[Keepsake]:
    """Return what the notes in a directory describe, without damaged ones. Raises OSError."""
    found = (_read_note(note) for note in sorted(folder.iterdir()) if note.suffix in (NEW, TOLD))
    return [keepsake for keepsake in found if keepsake is not None]


def _read_note(note: Path) -> Keepsake | None:
    try:
        with os.fdopen(os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            about = json.loads(file.read(_LONGEST))
        place = Path(about.get("kept") or note.with_suffix(""))
        path = os.fsencode(about["path"])
        return Keepsake(note, str(about["container"]), str(about.get("id", "")), path, place, about.get("digest", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # another dtui removed it, or it is not a note
