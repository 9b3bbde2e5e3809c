"""``dtui which``: whose a directory of a data-root is."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.output import put_json, say
from tui.core.text import printable
from tui.inventory.disk import which
from tui.inventory.references import Owner


def run(options: Namespace) -> int:
    """Print the owner, who refers to the layer, and its directory."""
    found = which(options.hostpath, tuple(options.root))
    if options.json:
        put_json(
            {
                "path": str(found.path),
                "id": found.id,
                "driver": {"kind": found.driver.kind.value, "name": found.driver.name},
                "owner": found.owner.value,
                "names": list(found.names),
            }
        )
        return 0
    names = ", ".join(map(printable, found.names))
    say(" ".join(filter(None, (found.owner.value, names))))
    say(f"{printable(found.driver.name)} {printable(str(found.path))}")
    if found.owner is Owner.ORPHAN:
        say("no container, image or build cache refers to it; the Engine would not miss it while it is stopped")
    if found.owner is Owner.UNKNOWN:
        say("a record of the data-root cannot be read, so that nobody can tell whether something refers to it")
    return 0
