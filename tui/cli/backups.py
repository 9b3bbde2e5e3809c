"""``dtui backups``: what dtui changed and can take back, and deleting it for good."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from tui.cli.meant import meant, the_only
from tui.cli.output import note, put_json, say
from tui.core.errors import NotFound
from tui.core.text import count_of, human_size, printable
from tui.editing import history
from tui.editing.backups import Act
from tui.editing.history import purgeable, size_of
from tui.editing.sequence import order_of


def run(options: Namespace) -> int:
    """List acts, newest first: id, time, container, what was done to which path, bytes kept."""
    found = [act for one in meant(options).changed for act in one.acts]
    found.sort(key=lambda act: order_of(act.id), reverse=True)
    if options.json:
        put_json([_as_json(act) for act in found])
        return 0
    several = len({act.container for act in found}) > len({act.name for act in found})
    rows = [
        (
            act.id,
            f"{act.time:%Y-%m-%d %H:%M:%S}",
            printable(act.name) + (f" ({act.container[:12]})" if several else ""),
            act.kind.value,
            _paths(act),
            _state(act),
        )
        for act in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)] if rows else []
    for act, row in zip(found, rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join([*cells, human_size(act.size)]).rstrip())
    return 0


def purge(options: Namespace) -> int:
    """Delete what is kept for good, of all containers or of one, and say what was deleted."""
    found = meant(options)
    only = {the_only(found.changed, options.ref).id} if options.ref and found.changed else None
    if options.ref and only is None:
        raise NotFound(f"nothing of {printable(options.ref)} is kept", "dtui backups lists what is")
    before = datetime.now(UTC) - options.older_than if options.older_than is not None else None
    folders = list(purgeable(only, before))
    if folders and not options.force and _can_ask() and not _agreed(folders):
        note("nothing was deleted")
        return 1
    done = history.purge(folders, found.gone & (only or set()))
    if options.json:
        left = [{"id": act_id, "reason": why} for act_id, why in done.left]
        put_json({"removed": list(done.removed), "bytes": done.size, "left": left}, done=True)
    else:
        say(f"{count_of(len(done.removed), 'backup')} deleted for good, {human_size(done.size)}")
    for act_id, why in done.left:
        note(f"dtui: {act_id} was left: {why}")
    return 1 if done.left else 0


def _can_ask() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _agreed(folders: list[Path]) -> bool:
    """Ask on the terminal; anything but y means no."""
    what = f"{count_of(len(folders), 'backup')} ({human_size(size_of(folders))})"
    note(f"Delete {what} for good? What they replaced cannot be brought back then. [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _paths(act: Act) -> str:
    return printable(act.path) + (f" -> {printable(act.other)}" if act.other else "")


def _state(act: Act) -> str:
    return "undone" if act.undone else "" if act.done else "cut off" if act.cut_off else "under way"


def _as_json(act: Act) -> dict[str, object]:
    return {
        "id": act.id,
        "time": act.time.isoformat(),
        "container": act.container,
        "name": act.name,
        "act": act.kind.value,
        "path": os.fsdecode(act.path),
        "new_path": os.fsdecode(act.other) if act.other else None,
        "state": _state(act) or "done",
        "bytes": act.size,
        "data": str(act.data),
        "place": str(act.aside.place) if act.aside else None,
    }
