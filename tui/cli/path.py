"""``dtui path``: where a writable layer lies on the host."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.session import note, say, session
from tui.core.errors import NotReachable
from tui.core.text import printable


def run(options: Namespace) -> int:
    """Print one line; without a directory say why, with exit code 3."""
    with session(options) as open_session:
        _, details = open_session.find(options.ref)
    if details.stack is None or details.reach.path is None:
        raise NotReachable(f"{printable(options.ref)} has no layer directory here: {details.reach.reason}")
    path = details.reach.path
    if options.merged:
        path = path.parent / "merged"
        if not details.container.state.alive:
            raise NotReachable(
                f"{printable(options.ref)} is {details.container.state}: its merged directory is mounted while it runs",
                "dtui tree --view merged shows it",
            )
    say(printable(str(path)))
    if options.verbose:
        note(f"found by {details.stack.how}; by hand: {details.stack.command}")
        for layer in details.stack.layers:
            note(f"{layer.role:<9} {printable(str(layer.path))}")
    return 0
