"""``dtui rm``: delete a file or directory of a container; ``dtui undo`` brings it back."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on


def run(options: Namespace) -> int:
    """Delete it; what it was is kept unless the user wants otherwise."""
    return act_on(
        options,
        options.ref,
        lambda target, step, keep: target.files.remove(target.path, recursive=options.recursive, keep=keep, step=step),
        "deleted",
        back="; dtui undo brings it back",
    )
