"""``dtui which``: which container or image owns a path in a data-root."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.output import print_json, print_line
from tui.core.text import printable
from tui.inventory.layer_directories import layer_at
from tui.inventory.references import Owner


def run(options: Namespace) -> int:
    """Print the owner, who refers to the layer, and its directory."""
    layer = layer_at(options.hostpath, tuple(options.root))
    if options.json:
        print_json(
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
    print_line(" ".join(filter(None, (layer.owner.value, names))))
    print_line(f"{printable(layer.driver.name)} {printable(str(layer.path))}")
    if layer.owner is Owner.ORPHAN:
        print_line("no container, image or build cache refers to it; it can be removed while the Engine is stopped")
    if layer.owner is Owner.UNKNOWN:
        print_line("a record of the data-root cannot be read, so something may still refer to it")
    return 0
