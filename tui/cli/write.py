"""``dtui write``: replace a file with standard input, as safely as the editor does."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from tui.cli.change_verbs import backup_mode_of, interruptible, recover_and_report
from tui.cli.lookup import open_finder
from tui.cli.output import print_json, print_note
from tui.cli.stdin_content import read_all
from tui.core.errors import UsageError
from tui.core.text import printable
from tui.files import SaveOptions, SaveResult
from tui.services.files_of import files_of


def run(options: Namespace) -> int:
    """Read all of standard input first, so that a failing command in a pipe replaces nothing halfway."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("the new contents come from standard input", "dtui write REF:PATH < FILE")
    data = read_all(sys.stdin.buffer)
    with open_finder(options) as finder:
        endpoint, details, path = finder.find_file(options.ref)
        if path.endswith("/"):
            raise UsageError(f"{printable(path)} names a directory", "omit the trailing slash")
        files = files_of(endpoint, details)
        recover_and_report(endpoint)
        with interruptible(options.wait):  # a single file is always written to its end
            receipt = files.save(
                os.fsencode(path),
                data,
                None,
                SaveOptions(
                    create=options.create, mode=options.mode, in_place=options.in_place, keep=backup_mode_of(options)
                ),
            )
    if options.json:
        print_json(_as_json(receipt), done=True)
    else:
        method = "in place" if receipt.in_place else "created" if receipt.created else "replaced"
        backup_note = f"; backup: {receipt.backup}" if receipt.backup else ""
        notes = "".join(f"; {printable(text)}" for text in receipt.notes)
        print_note(f"{printable(receipt.path)}: {receipt.bytes_written:,} B {method}{backup_note}{notes}")
    return 0


def _as_json(receipt: SaveResult) -> dict[str, object]:
    return {
        "path": os.fsdecode(receipt.path),
        "way": "in place" if receipt.in_place else "atomic",
        "created": receipt.created,
        "bytes_written": receipt.bytes_written,
        "backup": str(receipt.backup) if receipt.backup else None,
        "notes": list(receipt.notes),
    }
