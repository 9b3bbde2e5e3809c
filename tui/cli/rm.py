"""``dtui rm``: delete a file or directory of a container; ``dtui undo`` brings it back."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import run_change


def run(options: Namespace) -> int:
    """Delete a file or directory, backed up unless the options say otherwise."""
    return run_change(
        options,
        options.ref,
        lambda target, step, keep: target.files.remove(target.path, recursive=options.recursive, keep=keep, step=step),
        "deleted",
        undo_hint="; dtui undo brings it back",
        through=False,
    )
