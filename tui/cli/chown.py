"""``dtui chown``: change owner and group in a container, by the container's own names or by number."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import run_change


def run(options: Namespace) -> int:
    """Change the owner. As in the kernel, files lose their setuid bits and capabilities."""
    return run_change(
        options,
        options.ref,
        lambda target, step, _: target.files.chown(target.path, options.owner, recursive=options.recursive, step=step),
        "owner changed",
    )
