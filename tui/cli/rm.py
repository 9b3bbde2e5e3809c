"""``dtui rm``: delete a file or directory of a container; ``dtui undo`` brings it back."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on
from tui.editing.acts import remove


def run(options: Namespace) -> int:
    """Delete it, after it was kept."""
    return act_on(
        options,
        options.ref,
        lambda place, step: remove(
            path=place.path, recursive=options.recursive, keep=not options.no_backup, step=step, **place.words
        ),
        "deleted" if options.no_backup else "deleted; dtui undo brings it back",
    )
