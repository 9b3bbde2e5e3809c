"""``dtui write``: a file replaced by standard input, the same safe way as in the editor."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from tui.cli.session import note, put_json, session
from tui.core.errors import EditRefused, UsageError
from tui.core.text import human_size, printable
from tui.editing.recover import recover
from tui.editing.writing import Receipt
from tui.ui.reach import files_of

_LIMIT = 1 << 30
"""Bytes that are taken from standard input; they are held in memory until the save is certain."""


def run(options: Namespace) -> int:
    """Read all of standard input first, so that a command that fails before us replaces nothing halfway."""
    if sys.stdin.isatty():
        raise UsageError("the new contents come from standard input", "dtui write REF:PATH < FILE")
    data = sys.stdin.buffer.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise EditRefused(
            f"more than {human_size(_LIMIT)} came on standard input", "nothing was changed; docker cp does it"
        )
    with session(options) as open_session:
        endpoint, details, path = open_session.find_file(options.ref)
        files = files_of(endpoint, details)
        for line in recover(endpoint.inspect):
            note(f"dtui: {line}")
        receipt = files.save(
            os.fsencode(path),
            data,
            None,
            create=options.create,
            mode=options.mode,
            in_place=options.in_place,
            keep=not options.no_backup,
        )
    if options.json:
        put_json(_as_json(receipt))
    else:
        way = "in place" if receipt.in_place else "created" if receipt.created else "replaced"
        kept = f"; the old bytes are in {receipt.backup}" if receipt.backup else ""
        notes = "".join(f"; {printable(text)}" for text in receipt.notes)
        note(f"{printable(receipt.path)}: {receipt.bytes_written:,} B {way}{kept}{notes}")
    return 0


def _as_json(receipt: Receipt) -> dict[str, object]:
    return {
        "path": os.fsdecode(receipt.path),
        "way": "in place" if receipt.in_place else "atomic",
        "created": receipt.created,
        "bytes_written": receipt.bytes_written,
        "backup": str(receipt.backup) if receipt.backup else None,
        "notes": list(receipt.notes),
    }
