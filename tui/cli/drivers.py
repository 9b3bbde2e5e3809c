"""``dtui drivers``: which storage drivers can be measured on this host, and what the others lack."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.output import put_json, say
from tui.core.text import printable
from tui.lab.abilities import abilities


def run(options: Namespace) -> int:
    """Print a line a driver."""
    found = abilities()
    if options.json:
        put_json(
            [
                {
                    "name": one.driver.name,
                    "storage_driver": one.driver.storage,
                    "disk": one.driver.disk or None,
                    "runs": one.runs,
                    "missing": one.missing or None,
                    "mend": one.mend or None,
                }
                for one in found
            ]
        )
        return 0
    for one in found:
        disk = f", on {one.driver.disk} in a file" if one.driver.disk else ""
        words = f"runs here{disk}" if one.runs else f"{one.missing}  →  {one.mend}"
        say(printable(f"{'ok     ' if one.runs else 'without'}  {one.driver.name:<15} {words}"))
    return 0
