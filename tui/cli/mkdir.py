"""``dtui mkdir``: make a directory in a container."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on


def run(options: Namespace) -> int:
    """Make it, for whom the directory above belongs to."""
    mode = 0o755 if options.mode is None else options.mode
    return act_on(
        options,
        options.ref,
        lambda target, *_: target.files.mkdir(target.path, mode=mode, parents=options.parents),
        "made",
    )
