"""``dtui cat``: the bytes of a file in a container."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from tui.cli.session import say, session
from tui.core.text import printable
from tui.editing.session import reading

_CHUNK = 1 << 20


def run(options: Namespace) -> int:
    """Write raw bytes into a pipe or file; on a terminal show every line made safe."""
    with session(options) as open_session:
        _, details, path = open_session.find_file(options.ref)
    with reading(details, os.fsencode(path)) as fd:
        if sys.stdout.isatty():
            with os.fdopen(os.dup(fd), "rb") as file:
                for line in file:
                    say(printable(line.rstrip(b"\n")))
            return 0
        while chunk := os.read(fd, _CHUNK):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    return 0
