"""``dtui chmod``: change permission bits in a container."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import run_change
from tui.files import mode_change


def run(options: Namespace) -> int:
    """Change the mode, given in octal or by letters."""
    mode_change(options.mode)  # raises UsageError before anybody is asked
    return run_change(
        options,
        options.ref,
        lambda target, step, _: target.files.chmod(target.path, options.mode, recursive=options.recursive, step=step),
        "mode changed",
    )
