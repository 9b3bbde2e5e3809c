"""``dtui write``: replace a file with standard input, as safely as the editor does."""

from __future__ import annotations

import os
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tui.cli.change_verbs import ContainerPath, backup_mode_of, change, interruptible, recover_and_report
from tui.cli.lookup import open_finder
from tui.cli.output import print_json, print_note
from tui.cli.stdin_content import read_all
from tui.core.errors import DtuiError, UsageError
from tui.core.text import printable
from tui.files import SaveOptions, SaveResult, Unsaved, keep_to_tell
from tui.linux.sparse import Content
from tui.services.files_of import files_of
from tui.services.while_stopped import NotStarted, plan_while_stopped


def run(options: Namespace) -> int:
    """Read all of standard input first, so that a failing command in a pipe replaces nothing halfway."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("the new contents come from standard input", "dtui write REF:PATH < FILE")
    data = read_all(sys.stdin.buffer)
    with open_finder(options) as finder:
        endpoint, details, path = finder.find_file(options.ref)
        if path.endswith("/"):
            raise UsageError(f"{printable(path)} names a directory", "omit the trailing slash")
        target = ContainerPath(endpoint, details, os.fsencode(path), files_of(endpoint, details))
        recover_and_report(endpoint)
        save_options = SaveOptions(
            create=options.create, mode=options.mode, in_place=options.in_place, keep=backup_mode_of(options)
        )
        if options.restart and not options.create:
            plan_while_stopped(endpoint, details, target.path)  # nothing is stopped for a file that cannot be saved
        with _kept_if_lost(options, target, data), interruptible(options.wait) as step:
            # a single file is always written to its end
            saved = change(
                options,
                target,
                step,
                lambda changeable: changeable.files.save(changeable.path, data, None, save_options),
            )
    if options.json:
        print_json(_as_json(saved), done=True)
    else:
        method = "in place" if saved.in_place else "created" if saved.created else "replaced"
        backup_note = f"; backup: {saved.backup}" if saved.backup else ""
        notes = "".join(f"; {printable(text)}" for text in saved.notes)
        print_note(f"{printable(saved.path)}: {saved.bytes_written:,} B {method}{backup_note}{notes}")
    return 0


@contextmanager
def _kept_if_lost(options: Namespace, target: ContainerPath, data: Content) -> Iterator[None]:
    """Keep what came through a pipe if it could not be saved although the container was stopped for it."""
    try:
        yield
    except DtuiError as error:
        if options.restart and not isinstance(error, NotStarted) and not _from_file():
            container = target.details.container
            with suppress(OSError):
                kept = keep_to_tell(Unsaved(bytes(data), container.name, target.path, container.id))
                print_note(f"dtui: what was to be written is kept in {kept}")
        raise


def _from_file() -> bool:
    return stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)


def _as_json(saved: SaveResult) -> dict[str, object]:
    return {
        "path": os.fsdecode(saved.path),
        "way": "in place" if saved.in_place else "atomic",
        "created": saved.created,
        "bytes_written": saved.bytes_written,
        "backup": str(saved.backup) if saved.backup else None,
        "notes": list(saved.notes),
    }
