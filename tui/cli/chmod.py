"""``dtui chmod``: change permission bits in a container."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on
from tui.files import UndoKind, change_metadata, mode_change


def run(options: Namespace) -> int:
    """Change the mode, octal or by letters."""
    change = mode_change(options.mode)
    return act_on(
        options,
        options.ref,
        lambda target, step, _: change_metadata(
            path=target.path,
            change=change,
            kind=UndoKind.CHMOD,
            recursive=options.recursive,
            step=step,
            **target.act_arguments,
        ),
        "mode changed",
    )
