"""``dtui which``: whose a directory of a data-root is."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.output import put_json, say
from tui.core.text import printable
from tui.inventory.disk import layer_at
from tui.inventory.references import Owner


def run(options: Namespace) -> int:
    """Print the owner, who refers to the layer, and its directory."""
    layer = layer_at(options.hostpath, tuple(options.root))
    if options.json:
        put_json(
            {
                "path": str(layer.path),
                "id": layer.id,
                "driver": {"kind": layer.driver.kind.value, "name": layer.driver.name},
                "owner": layer.owner.value,
                "names": list(layer.names),
            }
        )
        return 0
    names = ", ".join(map(printable, layer.names))
    say(" ".join(filter(None, (layer.owner.value, names))))
    say(f"{printable(layer.driver.name)} {printable(str(layer.path))}")
    if layer.owner is Owner.ORPHAN:
        say("no container, image or build cache refers to it; the Engine would not miss it while it is stopped")
    if layer.owner is Owner.UNKNOWN:
        say("a record of the data-root cannot be read, so that nobody can tell whether something refers to it")
    return 0
