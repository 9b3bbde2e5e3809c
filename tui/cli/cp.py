"""``dtui cp``: copy between this host and a container."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from tui.cli.change_verbs import interruptible, run_change
from tui.cli.lookup import open_finder
from tui.cli.output import print_json, print_note
from tui.core.errors import UsageError
from tui.core.text import count_of, printable
from tui.services.files_of import files_of


def run(options: Namespace) -> int:
    """Copy in if the second name is REF:PATH, out if the first is. A host path with a colon must start with ./ or /."""
    if options.target == "-":
        raise UsageError("- is not a target for cp", "dtui cat writes to standard output")
    if options.source == "-":
        raise UsageError("- is not a source for cp", "dtui write reads standard input")
    inside = [_is_ref(options.source), _is_ref(options.target)]
    if inside == [False, True]:
        source = Path(options.source)
        _require_directory(options.source)
        return run_change(
            options,
            options.target,
            lambda target, step, keep: target.files.copy_in(source, target.path, keep=keep, step=step),
            "copied in",
        )
    if inside == [True, False]:
        if options.restart:
            raise UsageError("--restart is for changes to a container", "leave it out to copy from one")
        _require_directory(options.target)
        return _copy_out(options)
    raise UsageError("exactly one of the two must be REF:PATH", "for example dtui cp web:/etc/app.conf .")


def _is_ref(text: str) -> bool:
    return ":" in text and not text.startswith((".", "/"))


def _require_directory(text: str) -> None:
    """Raise UsageError if a host path ends in a slash but is not a directory."""
    if text.endswith("/") and not Path(text).is_dir():
        raise UsageError(f"{printable(text)} is not a directory on this host", "omit the trailing slash")


def _copy_out(options: Namespace) -> int:
    with open_finder(options) as finder:
        endpoint, details, path = finder.find_file(options.source)
        files = files_of(endpoint, details)
        with interruptible(options.wait) as step:
            target, count, notes = files.copy_out(
                os.fsencode(path), Path(options.target), force=options.force, step=step
            )
    if options.json:
        print_json({"path": str(target), "count": count, "notes": list(notes)}, done=True)
    else:
        notes_text = "".join(f"; {printable(text)}" for text in notes)
        print_note(f"{printable(str(target))}: {count_of(count, 'entry', 'entries')} copied out{notes_text}")
    return 0
