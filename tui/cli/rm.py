"""``dtui rm``: delete a file or directory of a container; ``dtui undo`` brings it back."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on
from tui.files.verbs.acts import remove


def run(options: Namespace) -> int:
    """Delete it; what it was is kept unless the user wants otherwise."""
    return act_on(
        options,
        options.ref,
        lambda place, step, keep: remove(
            path=place.path, recursive=options.recursive, keep=keep, step=step, **place.words
        ),
        "deleted",
        back="; dtui undo brings it back",
    )
