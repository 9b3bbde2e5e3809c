"""Texts that an earlier dtui kept: announced once at the next start, offered when their file is edited again."""

from __future__ import annotations

from contextlib import suppress

from tui.core.errors import EditRefused
from tui.files.texts.editor_copies import left_copies
from tui.files.texts.notes import Keepsake
from tui.files.texts.unsaved import unsaved_texts


def told_once() -> tuple[str, ...]:
    """Return a sentence for each kept text that was not announced yet; the texts stay."""
    texts = [("unsaved text", text) for text in unsaved_texts()] + [("$EDITOR's copy", copy) for copy in left_copies()]
    lines = []
    for what, text in texts:
        if text.told:
            continue
        with suppress(OSError):  # another dtui announced it
            if not text.time_ns():
                text.drop_note()  # somebody removed it
                continue
            text.mark_told()
            offered = "; e on that file offers it" if text.container_id else ""
            lines.append(f"{what} of {text.whose} is kept in {text.place}{offered}")
    return tuple(lines)


def texts_on_offer(container_id: str, path: bytes, data: bytes) -> list[tuple[Keepsake, bytes]]:
    """Return the kept texts of a file that differ from its current ``data``, newest first.

    Texts that cannot be read safely are left out; a start has announced where they are.
    """
    mine = [text for text in [*unsaved_texts(), *left_copies()] if text.is_of(container_id, path)]
    found = []
    for text in sorted(mine, key=Keepsake.time_ns, reverse=True):
        with suppress(EditRefused):
            kept = text.read()
            if kept != data:
                found.append((text, kept))
    return found
