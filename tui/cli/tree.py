"""``dtui tree``: print a layer, or everything the container sees, as a tree."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import closing
from typing import Any

from tui.cli.lookup import open_finder
from tui.cli.output import print_json, print_line, print_note
from tui.core.records import Change, Entry, EntryKind, LayerStack, Mount, View
from tui.core.text import human_size, mode_text, printable
from tui.layers.changes import walk
from tui.layers.mount_covers import RUNTIME_MOUNTS
from tui.layers.owners import shown_owner
from tui.services.files_of import tree_of


def run(options: Namespace) -> int:
    """Print one line per entry: letter, mode, owner, size, name."""
    name, _, path = options.ref.partition(":")
    with open_finder(options) as finder:
        endpoint, details = finder.find(name)
        with closing(tree_of(endpoint, details)) as view:
            root = view.resolve(os.fsencode(path or "/"))
            entries = walk(view, root, View(options.view), options.depth)
            if options.json:
                print_json(
                    [_as_json(entry, view.stack, shown_owner(entry, details.shown_stack)) for _, entry in entries]
                )
            else:
                for depth, entry in entries:
                    print_line(_line(depth, entry, shown_owner(entry, details.shown_stack), View(options.view)))
            if any((root + b"/").startswith(kernel + b"/") for kernel in RUNTIME_MOUNTS):
                print_note(
                    f"dtui: {printable(root)} is the kernel's own while the container runs; docker exec shows it"
                )
            if view.cut:
                print_note("dtui: the listing is incomplete: the Engine sends whole trees; name a deeper directory")
    return 0


def _line(depth: int, entry: Entry, owner: tuple[int, int], view: View) -> str:
    mark = entry.change.value if entry.change else " "
    owner_text = f"{owner[0]}:{owner[1]}"
    size = human_size(entry.size) if entry.kind is EntryKind.FILE else ""
    tail = f" -> {printable(entry.target)}" if entry.target else "/" if entry.kind is EntryKind.DIRECTORY else ""
    notes = "  (replaced)" if entry.opaque else ""
    if entry.covered_by:
        notes = "  (hidden by a mount)" if view is View.LAYER else f"  ({_mounted(entry.covered_by)})"
    if entry.change is Change.DELETED:
        notes = "  (deleted)"
    name = f"{'  ' * depth}{printable(entry.name)}{tail}"
    return f"{mark} {mode_text(entry.mode)} {owner_text:<11} {size:>9}  {name}{notes}"


def _mounted(mount: Mount) -> str:
    if mount.kind == "engine":
        return mount.description
    return f"{mount.description} {printable(mount.source)}".strip()


def _as_json(entry: Entry, stack: LayerStack | None, owner: tuple[int, int]) -> dict[str, Any]:
    return {
        "path": os.fsdecode(entry.path),
        "type": entry.kind.value,
        "size": entry.size,
        "mode": f"{entry.mode:04o}",
        "uid": owner[0],
        "gid": owner[1],
        "mtime_ns": entry.mtime_ns,
        "change": entry.change.value if entry.change else None,
        "opaque": entry.opaque,
        "layer": stack.layers[entry.layer].id if stack and not entry.inside else None,
        "target": os.fsdecode(entry.target) if entry.target else None,
        "hidden_by_mount": entry.covered_by.source if entry.covered_by else None,
        "inside_mount": entry.inside.source if entry.inside else None,
    }
