"""``dtui revert``: restore the image's version of a file or directory."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import run_change


def run(options: Namespace) -> int:
    """Revert an edited, deleted or added entry; in a directory, everything that changed."""
    return run_change(
        options,
        options.ref,
        lambda target, step, keep: target.files.revert(target.path, keep=keep, step=step),
        "restored from the image",
    )
