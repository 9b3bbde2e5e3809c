"""``dtui disk``: everything in the data-roots, by size, with its owner."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from tui.cli.ask_endpoints import ask_all
from tui.cli.lookup import find_endpoints
from tui.cli.output import print_json, print_line, print_note
from tui.cli.which import as_json
from tui.core.errors import DtuiError
from tui.core.records import EngineFacts
from tui.core.text import count_of, human_size, printable
from tui.inventory.disk import inventory, space_of
from tui.inventory.entries import DiskEntry
from tui.inventory.references import Owner
from tui.services.discover import require_endpoints

_UNOWNED = (Owner.ORPHAN, Owner.UNUSED)

Sized = tuple[DiskEntry, int | None]


def run(options: Namespace) -> int:
    """Print a table, biggest first, with a total; or JSON with sizes in bytes, null where it cannot be counted."""
    entries = [
        entry
        for root in _data_roots(options)
        for entry in inventory(root)
        if not options.orphans or entry.owner in _UNOWNED
    ]
    rows = sorted(_sized(entries), key=lambda row: (-(row[1] or 0), str(row[0].path)))
    if options.json:
        print_json([{**as_json(entry), "size": size} for entry, size in rows])
        return 0
    if not rows:
        print_line("nothing in the data-roots is without an owner" if options.orphans else "the data-roots are empty")
        return 0
    _print_table(rows)
    total = sum(size or 0 for _, size in rows)
    print_line(f"{human_size(total)} in {count_of(len(rows), 'entry', 'entries')}")
    return 0


def _data_roots(options: Namespace) -> tuple[Path, ...]:
    """Return the data-roots of the endpoints that are on this host."""
    discovered = require_endpoints(find_endpoints(options))
    roots: list[Path] = []
    failures: list[DtuiError] = []
    try:
        facts = ask_all(discovered.endpoints, lambda endpoint: endpoint.facts(), patient=len(discovered.endpoints) == 1)
        for endpoint, answer in zip(discovered.endpoints, facts, strict=True):
            if isinstance(answer, DtuiError):
                failures.append(answer)
                print_note(f"dtui: {printable(endpoint.name)}: {answer}")
            elif root := _root_of(answer):
                roots.append(root)
    finally:
        discovered.close()
    if failures and not roots:
        raise failures[0]
    return tuple(dict.fromkeys(roots))


def _root_of(facts: EngineFacts) -> Path | None:
    if not facts.local:
        print_note(f"dtui: {printable(facts.endpoint)}: its data-root is on another host; run dtui there")
        return None
    return Path(facts.data_root) if facts.data_root else None


def _sized(entries: list[DiskEntry]) -> Iterator[Sized]:
    for entry in entries:
        try:
            yield entry, space_of(entry)
        except DtuiError as error:
            print_note(f"dtui: {error}")
            yield entry, None


def _print_table(rows: list[Sized]) -> None:
    cells = [("SIZE", "OWNER", "WHAT", "ID", "OF")]
    for entry, size in rows:
        names = ", ".join(map(printable, entry.names))
        cells.append((human_size(size), entry.owner.value, printable(entry.label), printable(entry.id)[:12], names))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    for size_text, *words in cells:
        padded = [f"{word:<{width}}" for word, width in zip(words, widths[1:], strict=False)]
        print_line("  ".join([f"{size_text:>{widths[0]}}", *padded, words[-1]]).rstrip())
