"""``dtui revert``: back to what the image has."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on


def run(options: Namespace) -> int:
    """Revert an edited, deleted, added or otherwise changed entry, of a directory all that changed in it."""
    return act_on(
        options,
        options.ref,
        lambda target, step, keep: target.files.revert(target.path, keep=keep, step=step),
        "as the image has it",
    )
