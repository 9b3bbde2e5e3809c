"""``dtui drivers``: which storage drivers can be measured on this host, and what the others need."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.output import print_json, print_line
from tui.core.text import printable
from tui.lab.abilities import abilities


def run(options: Namespace) -> int:
    """Print one line per driver."""
    driver_abilities = abilities()
    if options.json:
        print_json(
            [
                {
                    "name": ability.driver.name,
                    "storage_driver": ability.driver.storage,
                    "disk": ability.driver.disk or None,
                    "runs": ability.can_run,
                    "missing": ability.missing or None,
                    "mend": ability.fix or None,
                }
                for ability in driver_abilities
            ]
        )
        return 0
    for ability in driver_abilities:
        disk = f", on {ability.driver.disk} in a file" if ability.driver.disk else ""
        status = f"runs here{disk}" if ability.can_run else f"{ability.missing}  →  {ability.fix}"
        print_line(printable(f"{'ok     ' if ability.can_run else 'without'}  {ability.driver.name:<15} {status}"))
    return 0
