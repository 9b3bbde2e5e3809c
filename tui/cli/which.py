"""``dtui which``: who owns a path or an id of a data-root."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from tui.cli.output import print_json, print_line, print_note
from tui.core.errors import DtuiError
from tui.core.text import printable
from tui.inventory.entries import DiskEntry, EntryType
from tui.inventory.owner_of import Owners
from tui.inventory.references import Owner


def run(options: Namespace) -> int:
    """Print for each argument the owner, who refers to it, and its directory.

    With several, an argument without an answer is a line on standard error, and the exit code that of the last one.
    """
    owners = Owners(options.root)
    if len(options.paths) == 1:
        entry = owners.owner_of(options.paths[0])
        if options.json:
            print_json(as_json(entry))
        else:
            _print(entry)
        return 0
    values: list[dict[str, Any]] = []
    code = 0
    for text in options.paths:
        try:
            entry = owners.owner_of(text)
        except DtuiError as error:
            code = error.exit_code
            values.append({"asked": text, "error": str(error)})
            print_note(f"dtui: {error}")
            continue
        values.append({"asked": text, **as_json(entry)})
        if not options.json:
            print_line(f"{printable(text)}:")
            _print(entry, indent="  ")
    if options.json:
        print_json(values)
    return code


def as_json(entry: DiskEntry) -> dict[str, Any]:
    """Return an entry as the command line prints it."""
    driver = entry.driver
    return {
        "path": str(entry.path),
        "id": entry.id,
        "type": entry.type.value,
        "driver": {"kind": driver.kind.value, "name": driver.name} if driver else None,
        "owner": entry.owner.value,
        "names": list(entry.names),
        "container": entry.container_id or None,
    }


def _print(entry: DiskEntry, indent: str = "") -> None:
    names = ", ".join(map(printable, entry.names))
    print_line(indent + " ".join(filter(None, (entry.owner.value, names))))
    print_line(f"{indent}{printable(entry.label)} {printable(str(entry.path))}")
    if consequence := explain(entry):
        print_line(indent + consequence)


def explain(entry: DiskEntry) -> str:
    """Return what follows from an entry's owner, empty if nothing does."""
    if entry.owner is Owner.ORPHAN and entry.type is EntryType.LAYER:
        return "no container, image or build cache refers to it; it can be removed while the Engine is stopped"
    if entry.owner is Owner.ORPHAN:
        return "the Engine has no container with this id"
    if entry.owner is Owner.UNUSED:
        return "no container mounts it; docker volume rm removes it with its data"
    if entry.owner is Owner.UNKNOWN:
        return "a record of the data-root cannot be read, so something may still refer to it"
    return ""
