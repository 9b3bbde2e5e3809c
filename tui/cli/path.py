"""``dtui path``: where a writable layer lies on the host."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from tui.cli.output import note, say
from tui.cli.session import session
from tui.core.errors import NotReachable
from tui.core.records import Details, LayerStack
from tui.core.text import printable


def run(options: Namespace) -> int:
    """Print one line; without a directory say why, with exit code 3."""
    with session(options) as open_session:
        _, details = open_session.find(options.ref)
    stack, path = details.stack, details.reach.path
    if options.verbose and path is None:
        _print_provenance(details)
    if stack is None or path is None:
        raise NotReachable(f"{printable(options.ref)} has no layer directory here: {details.reach.reason}")
    say(printable(str(_merged(options.ref, details, stack) if options.merged else path)))
    if options.verbose:
        _print_provenance(details)
    return 0


def _merged(ref: str, details: Details, stack: LayerStack) -> Path:
    """Return the directory that shows what the container sees."""
    if stack.merged is None:
        return stack.writable.path
    if not details.container.state.alive:
        raise NotReachable(
            f"{printable(ref)} is {details.container.state}: its merged directory is mounted while it runs",
            "dtui tree --view merged shows it",
        )
    if not os.path.ismount(stack.merged):
        raise NotReachable(
            f"{printable(str(stack.merged))} is not mounted here: the Engine mounts it where only it can see it",
            "dtui tree --view merged shows it",
        )
    return stack.merged


def _print_provenance(details: Details) -> None:
    note(f"{details.proof.trust}: {printable(details.proof.reason)}")
    stack = details.shown_stack
    if stack is None:
        return
    note(f"found by {stack.how}; by hand: {stack.command}")
    for layer in stack.layers:
        note(f"{layer.role:<9} {printable(str(layer.path))}")
