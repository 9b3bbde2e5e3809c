"""``dtui mv``: give an entry of a container another name or place."""

from __future__ import annotations

import os
from argparse import Namespace

from tui.cli.acting import act_on
from tui.core.errors import UsageError
from tui.editing.acts import rename


def run(options: Namespace) -> int:
    """Rename it, never over another."""
    if not options.new:
        raise UsageError("the new name is empty", "dtui mv REF:PATH NEW")
    return act_on(
        options,
        options.ref,
        lambda place, step: rename(path=place.path, new=os.fsencode(options.new), step=step, **place.words),
        "renamed",
    )
