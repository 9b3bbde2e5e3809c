"""``dtui chown``: change owner and group in a container, by the container's own names or by number."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import Place, act_on
from tui.core.errors import DtuiError
from tui.files import UndoKind, change_metadata, id_named, ids_of, owner_change, reading
from tui.linux.rooted_paths import read_limited

_TABLE = 1 << 20
"""Bytes of the container's /etc/passwd that are read."""


def run(options: Namespace) -> int:
    """Change the owner; setuid bits and capabilities of files go, as the kernel does it."""
    return act_on(
        options,
        options.ref,
        lambda target, step, _: change_metadata(
            path=target.path,
            change=owner_change(
                options.owner,
                lambda name: id_named(name, _table(target, b"/etc/passwd", name), "user"),
                lambda name: id_named(name, _table(target, b"/etc/group", name), "group"),
                ids_of(target.details),
            ),
            kind=UndoKind.CHOWN,
            recursive=options.recursive,
            step=step,
            **target.act_arguments,
        ),
        "owner changed",
    )


def _table(target: Place, path: bytes, name: str) -> bytes:
    """Read a table of names; a number needs none, and a container without one knows no names."""
    if name.isdigit():
        return b""
    try:
        with reading(target.details, path) as fd:
            return read_limited(fd, path, _TABLE)
    except DtuiError:
        return b""
