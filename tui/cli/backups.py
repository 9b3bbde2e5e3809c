"""``dtui backups``: list what dtui changed and can undo, or delete it permanently."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from tui.cli.changed_containers import ChangedContainer, find_changed, require_single
from tui.cli.output import print_json, print_line, print_note
from tui.core.errors import EngineError, NotFound, NotReachable
from tui.core.text import count_of, human_size, printable
from tui.files import KeptText, UndoRecord, drop_text, kept_texts, order_of, purgeable, stored_size
from tui.files import purge as purge_entry

_UNSAVED = "unsaved text"


def run(options: Namespace) -> int:
    """List changes, newest first (id, time, container, kind, path, state, bytes kept), then unsaved texts."""
    texts = _texts(options.ref)
    records = [record for container in _find_changed(options, texts).changed for record in container.acts]
    records.sort(key=lambda act: order_of(act.id), reverse=True)
    if options.json:
        print_json([*map(_as_json, records), *map(_text_as_json, texts)])
        return 0
    several = len({record.container for record in records}) > len({record.name for record in records})
    rows = [
        (
            record.id,
            f"{record.time:%Y-%m-%d %H:%M:%S}",
            printable(record.name) + (f" ({record.container[:12]})" if several else ""),
            record.kind.value,
            _paths(record),
            _state(record),
        )
        for record in records
    ]
    rows += [
        (text.id, f"{text.time:%Y-%m-%d %H:%M:%S}", printable(text.container), _UNSAVED, printable(text.path), "")
        for text in texts
    ]
    sizes = [*(record.size for record in records), *(text.size for text in texts)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)] if rows else []
    for size, row in zip(sizes, rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print_line("  ".join([*cells, human_size(size)]).rstrip())
    return 0


def _texts(ref: str | None) -> tuple[KeptText, ...]:
    """Return the unsaved texts, of all containers or of those with a name."""
    name = (ref or "").rpartition("/")[2]
    return tuple(text for text in reversed(kept_texts()) if not name or text.container == name)


def _find_changed(options: Namespace, texts: tuple[KeptText, ...]) -> ChangedContainer:
    """Return the containers that the REF means, none if only unsaved texts of a removed container are kept."""
    try:
        return find_changed(options)
    except (EngineError, NotFound, NotReachable):
        if not texts:
            raise
        return ChangedContainer(None, ())


def purge(options: Namespace) -> int:
    """Delete backups permanently, of all containers or of one, and report what was deleted."""
    texts = _texts(options.ref)
    resolved = _find_changed(options, texts)
    container_ids = {require_single(resolved.changed, options.ref).id} if options.ref and resolved.changed else None
    if options.ref and container_ids is None and not texts:
        raise NotFound(f"there are no backups of {printable(options.ref)}", "dtui backups lists all")
    before = datetime.now(UTC) - options.older_than if options.older_than is not None else None
    directories = list(purgeable(container_ids or (set() if options.ref else None), before))
    texts = tuple(text for text in texts if before is None or text.time < before)
    if (directories or texts) and not options.force and _can_ask() and not _confirmed(directories, texts):
        print_note("nothing was deleted")
        return 1
    purged = purge_entry(directories, resolved.removed_ids & (container_ids or set()))
    for text in texts:
        drop_text(text)
    size = purged.size + sum(text.size for text in texts)
    if options.json:
        skipped = [{"id": act_id, "reason": reason} for act_id, reason in purged.skipped]
        removed = [*purged.removed, *(text.id for text in texts)]
        print_json({"removed": removed, "bytes": size, "left": skipped}, done=True)
    else:
        print_line(f"{_amount(len(purged.removed), len(texts))} deleted permanently, {human_size(size)}")
    for act_id, reason in purged.skipped:
        print_note(f"dtui: {act_id} was not deleted: {reason}")
    return 1 if purged.skipped else 0


def _can_ask() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _amount(backups: int, texts: int) -> str:
    return count_of(backups, "backup") + (f" and {count_of(texts, 'unsaved text')}" if texts else "")


def _confirmed(directories: list[Path], texts: tuple[KeptText, ...]) -> bool:
    """Ask on the terminal; anything but y means no."""
    size = stored_size(directories) + sum(text.size for text in texts)
    amount = f"{_amount(len(directories), len(texts))} ({human_size(size)})"
    print_note(f"Delete {amount} permanently? The changes can then not be undone. [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _paths(record: UndoRecord) -> str:
    return printable(record.path) + (f" -> {printable(record.new_path)}" if record.new_path else "")


def _state(record: UndoRecord) -> str:
    return "undone" if record.undone else "" if record.done else "cut off" if record.cut_off else "under way"


def _as_json(record: UndoRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "time": record.time.isoformat(),
        "container": record.container,
        "name": record.name,
        "act": record.kind.value,
        "path": os.fsdecode(record.path),
        "new_path": os.fsdecode(record.new_path) if record.new_path else None,
        "state": _state(record) or "done",
        "bytes": record.size,
        "data": str(record.data),
        "place": str(record.aside.directory) if record.aside else None,
    }


def _text_as_json(text: KeptText) -> dict[str, object]:
    return {
        "id": text.id,
        "time": text.time.isoformat(),
        "container": None,
        "name": text.container or None,
        "act": _UNSAVED,
        "path": os.fsdecode(text.path) or None,
        "new_path": None,
        "state": "kept",
        "bytes": text.size,
        "data": str(text.file),
        "place": None,
    }
