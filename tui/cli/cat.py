"""``dtui cat``: the bytes of a file in a container."""

from __future__ import annotations

import codecs
import io
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import BinaryIO

from tui.cli.lookup import open_finder
from tui.cli.output import print_bytes, print_text
from tui.core.remote_files import REMOTE_LIMIT
from tui.core.text import printable
from tui.engine.live.archive import archive_of
from tui.files import reading
from tui.linux.rooted_paths import normalized

_CHUNK = 1 << 20
_BLOCK = 64 << 10


def run(options: Namespace) -> int:
    """Write raw bytes to a pipe or file; on a terminal, show every line with its control characters escaped."""
    with open_finder(options) as finder:
        endpoint, details, path = finder.find_file(options.ref)
        archive = archive_of(endpoint, details)
        if archive:
            _print_file(io.BytesIO(archive.get(normalized(os.fsencode(path)), REMOTE_LIMIT).data))
            return 0
    with reading(details, os.fsencode(path)) as fd, os.fdopen(os.dup(fd), "rb") as file:
        _print_file(file)
    return 0


def _print_file(file: BinaryIO) -> None:
    if sys.stdout.isatty():
        for piece in _printable_lines(file):
            print_text(piece)
        return
    while chunk := file.read(_CHUNK):
        print_bytes(chunk)


def _printable_lines(file: BinaryIO) -> Iterator[str]:
    """Yield a file as lines that are safe on a terminal, in parts: a line may be as long as the file."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    line_ended = True
    for block in iter(lambda: file.read(_BLOCK), b""):
        text = decoder.decode(block)
        yield "\n".join(map(printable, text.split("\n")))
        line_ended = block.endswith(b"\n")
    if not line_ended:
        yield printable(decoder.decode(b"", final=True)) + "\n"
