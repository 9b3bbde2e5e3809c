"""``dtui changes``: what a container changed compared with its image."""

from __future__ import annotations

import os
from argparse import Namespace

from tui.cli.lookup import open_finder
from tui.cli.output import print_json, print_json_list, print_line, print_note
from tui.core.records import Change
from tui.core.text import count_of, printable
from tui.engine.live.archive import archive_of
from tui.files import stack_of
from tui.layers.changes import changes
from tui.layers.view import LayerView


def run(options: Namespace) -> int:
    """Print a letter and a path per line, or JSON."""
    with open_finder(options) as finder:
        endpoint, details = finder.find(options.ref)
        archive = archive_of(endpoint, details)
        if archive:
            _print_engine_changes(archive.changes(), as_json=options.json)
            return _report_left_out(archive.left_out)
    with LayerView.open(stack_of(details), details.mounts) as view:
        changed_entries = changes(view)
    if options.json:
        print_json_list(
            {
                "path": os.fsdecode(change.path),
                "change": change.change.value,
                "type": change.kind.value,
                "size": change.size,
                "metadata_only": change.metadata_only,
                "layer": view.stack.layers[change.layer].id,
            }
            for change in changed_entries
        )
        return 0
    for change in changed_entries:
        print_line(f"{change.change} {printable(change.path)}")
    return 0


def _print_engine_changes(engine_changes: tuple[tuple[bytes, Change], ...], *, as_json: bool) -> None:
    """Print what the Engine reports about a container whose layer cannot be opened: only letters and paths."""
    unknown = {"type": None, "size": None, "metadata_only": None, "layer": None}
    if as_json:
        print_json([{"path": os.fsdecode(path), "change": change.value, **unknown} for path, change in engine_changes])
        return
    for path, change in engine_changes:
        print_line(f"{change} {printable(path)}")


def _report_left_out(count: int) -> int:
    """Report how many of the Engine's changes could not be parsed, and return the exit code."""
    if count:
        print_note(f"dtui: {count_of(count, 'change')} in the Engine's answer could not be read and are missing")
    return 1 if count else 0
