"""``dtui path``: where a container's writable layer is on the host."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from tui.cli.lookup import open_finder
from tui.cli.output import print_line, print_note
from tui.core.errors import NotReachable
from tui.core.records import Details, LayerStack
from tui.core.text import printable


def run(options: Namespace) -> int:
    """Print the path; without a directory, fail with the reason and exit code 3."""
    with open_finder(options) as finder:
        _, details = finder.find(options.ref)
    stack, path = details.stack, details.access.path
    if options.verbose and path is None:
        _print_provenance(details)
    if stack is None or path is None:
        raise NotReachable(f"{printable(options.ref)} has no layer directory on this host: {details.access.reason}")
    print_line(printable(str(_merged(options.ref, details, stack) if options.merged else path)))
    if options.verbose:
        _print_provenance(details)
    return 0


def _merged(ref: str, details: Details, stack: LayerStack) -> Path:
    """Return the directory that shows what the container sees."""
    if stack.merged is None:
        return stack.writable.path
    if not details.container.state.alive:
        raise NotReachable(
            f"{printable(ref)} is {details.container.state}, and its merged directory is mounted only while it runs",
            "dtui tree --view merged shows it",
        )
    if not os.path.ismount(stack.merged):
        raise NotReachable(
            f"{printable(str(stack.merged))} is not mounted here: the Engine mounts it in its own mount namespace",
            "dtui tree --view merged shows it",
        )
    return stack.merged


def _print_provenance(details: Details) -> None:
    print_note(f"{details.proof.trust}: {printable(details.proof.reason)}")
    if details.lifecycle.words:
        print_note(f"{printable(details.container.name)}: {details.lifecycle.words}")
    stack = details.shown_stack
    if stack is None:
        return
    print_note(f"found by {stack.located_by}; by hand: {stack.command}")
    for layer in stack.layers:
        print_note(f"{layer.role:<9} {printable(str(layer.path))}")
