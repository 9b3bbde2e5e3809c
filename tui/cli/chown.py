"""``dtui chown``: change owner and group in a container, by the container's own names or by number."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on


def run(options: Namespace) -> int:
    """Change the owner; setuid bits and capabilities of files go, as the kernel does it."""
    return act_on(
        options,
        options.ref,
        lambda target, step, _: target.files.chown(target.path, options.owner, recursive=options.recursive, step=step),
        "owner changed",
    )
