"""``dtui write``: a file replaced by standard input, the same safe way as in the editor."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from tui.cli.acting import keep_of, put_right, stoppable
from tui.cli.incoming import all_of
from tui.cli.output import note, put_json
from tui.cli.session import session
from tui.core.errors import UsageError
from tui.core.text import printable
from tui.files import SaveOptions, SaveResult
from tui.services.files_of import files_of


def run(options: Namespace) -> int:
    """Read all of standard input first, so that a command that fails before us replaces nothing halfway."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("the new contents come from standard input", "dtui write REF:PATH < FILE")
    data = all_of(sys.stdin.buffer)
    with session(options) as open_session:
        endpoint, details, path = open_session.find_file(options.ref)
        if path.endswith("/"):
            raise UsageError(f"{printable(path)} names a directory", "leave the slash at its end out")
        files = files_of(endpoint, details)
        put_right(endpoint)
        with stoppable(options.wait):  # one file is written to its end
            receipt = files.save(
                os.fsencode(path),
                data,
                None,
                SaveOptions(create=options.create, mode=options.mode, in_place=options.in_place, keep=keep_of(options)),
            )
    if options.json:
        put_json(_as_json(receipt), done=True)
    else:
        method = "in place" if receipt.in_place else "created" if receipt.created else "replaced"
        backup_note = f"; the old bytes are in {receipt.backup}" if receipt.backup else ""
        notes = "".join(f"; {printable(text)}" for text in receipt.notes)
        note(f"{printable(receipt.path)}: {receipt.bytes_written:,} B {method}{backup_note}{notes}")
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
