"""``dtui mv``: rename or move an entry of a container."""

from __future__ import annotations

import os
from argparse import Namespace

from tui.cli.change_verbs import change, find_container_path, print_result, with_backup_choice
from tui.cli.lookup import open_finder
from tui.core.errors import UsageError
from tui.core.text import printable
from tui.linux.rooted_paths import normalized, split


def run(options: Namespace) -> int:
    """Rename, never over an existing entry; the result shows both paths."""
    new = _new_path(options.ref, options.new)
    with open_finder(options) as finder:
        target = find_container_path(finder, options.ref, through=False)
        outcome = with_backup_choice(
            options,
            lambda step, keep: change(
                options,
                target,
                step,
                lambda changeable: changeable.files.rename(changeable.path, new, keep=keep, step=step),
            ),
        )
    old = outcome.act.path if outcome.act else b""
    return print_result(options, outcome, f"renamed to {printable(outcome.path)}", old=old)


def _new_path(ref: str, new: str) -> bytes:
    """Return the new path: relative to the old one's directory, or absolute if the same REF precedes it.

    Raises UsageError for another container.
    """
    name, colon, path = new.partition(":")
    parent = split(normalized(ref.partition(":")[2]))[0]
    if colon and not new.startswith((".", "/")):
        if name != ref.partition(":")[0]:
            message = f"{printable(new)} is not in the same container"
            raise UsageError(message, "use dtui cp; a name with a colon must start with / or ./")
        new, parent = path, b"/"
    if not new:
        raise UsageError("the new name is empty", "dtui mv REF:PATH NEW")
    return os.fsencode(new) if new.startswith("/") else parent.rstrip(b"/") + b"/" + os.fsencode(new)
