"""``dtui mkdir``: make a directory in a container."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import run_change


def run(options: Namespace) -> int:
    """Create a directory, owned like its parent."""
    mode = 0o755 if options.mode is None else options.mode
    return run_change(
        options,
        options.ref,
        lambda target, *_: target.files.mkdir(target.path, mode=mode, parents=options.parents),
        "created",
    )
