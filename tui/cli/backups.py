"""``dtui backups``: what dtui changed and can take back."""

from __future__ import annotations

import os
from argparse import Namespace

from tui.cli.output import put_json, say
from tui.cli.session import session
from tui.core.text import human_size, printable
from tui.editing.backups import Act, acts


def run(options: Namespace) -> int:
    """List acts, newest first: id, time, container, what was done to which path, bytes kept."""
    container = None
    if options.ref:
        with session(options) as open_session:
            container = open_session.find(options.ref)[1].container.id
    found = list(acts(container))
    if options.json:
        put_json([_as_json(act) for act in found])
        return 0
    rows = [
        (act.id, f"{act.time:%Y-%m-%d %H:%M:%S}", printable(act.name), act.kind.value, _paths(act), _state(act))
        for act in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)] if rows else []
    for act, row in zip(found, rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join([*cells, human_size(act.size)]).rstrip())
    return 0


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
    }
