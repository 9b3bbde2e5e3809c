"""``dtui mv``: give an entry of a container another name or place."""

from __future__ import annotations

import os
from argparse import Namespace

from tui.cli.acting import act_on
from tui.core.errors import UsageError
from tui.core.text import printable
from tui.editing.acts import rename


def run(options: Namespace) -> int:
    """Rename it, never over another."""
    new = _new_path(options.ref, options.new)
    return act_on(
        options,
        options.ref,
        lambda place, step: rename(path=place.path, new=os.fsencode(new), step=step, **place.words),
        "renamed",
    )


def _new_path(ref: str, new: str) -> str:
    """Return the new path, written alone or with the same REF before it; raises UsageError."""
    name, colon, path = new.partition(":")
    if colon and not new.startswith((".", "/")):
        if name != ref.partition(":")[0]:
            told = f"{printable(new)} is not in the same container"
            raise UsageError(told, "dtui cp copies; a name with a colon in it begins with / or ./")
        new = path
    if not new:
        raise UsageError("the new name is empty", "dtui mv REF:PATH NEW")
    return new
