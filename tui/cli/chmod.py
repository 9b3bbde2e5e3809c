"""``dtui chmod``: change permission bits in a container."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import act_on
from tui.files.history.backups import UndoKind
from tui.files.verbs.acts import change_metadata
from tui.files.verbs.permissions import mode_change


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
