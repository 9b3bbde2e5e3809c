"""``dtui revert``: back to what the image has."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import run_change


def run(options: Namespace) -> int:
    """Revert an edited, deleted, added or otherwise changed entry, of a directory all that changed in it."""
    return run_change(
        options,
        options.ref,
        lambda target, step, keep: target.files.revert(target.path, keep=keep, step=step),
        "as the image has it",
    )
