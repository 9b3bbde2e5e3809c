"""``dtui ls``: list the containers of all endpoints."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from tui.cli.lookup import ContainerFinder, open_finder
from tui.cli.output import print_json, print_line, print_note
from tui.core.errors import DtuiError, UsageError
from tui.core.lifecycle import UNKNOWN_LIFECYCLE
from tui.core.records import AccessKind, Container, Details, LayerAccess, State, Trust
from tui.core.text import human_age, human_size, printable
from tui.drivers.registry import NAMES


def run(options: Namespace) -> int:
    """Print a table, or JSON with how each layer can be reached."""
    with open_finder(options) as finder:
        listing = finder.listing()
        if not listing.rows and len(listing.failures) == 1 == len(finder.endpoints):
            raise listing.failures[0][1]
        for name, error in listing.failures:
            print_note(f"dtui: {printable(name)}: {printable(str(error))}")
        _check_driver(options.driver, listing.rows)
        rows = [row for row in listing.rows if _matches_options(row, options)]
        rows.sort(key=lambda row: row.created, reverse=True)
        if options.size:
            rows = [_with_size(row, finder) for row in rows]
        if options.json:
            print_json([_as_json(*_with_details(row, finder)) for row in rows])
        else:
            _table(rows, several=len(finder.endpoints) > 1)
            for row in rows:
                if row.state is State.UNKNOWN:
                    print_note(f"dtui: {printable(row.name)}: {printable(row.status)}")
    return 1 if listing.failures else 0


def _check_driver(driver_name: str | None, rows: tuple[Container, ...]) -> None:
    """Raise UsageError for an unknown driver. For a known one without containers, print which drivers have some."""
    used_drivers = sorted({row.driver.name for row in rows})
    if driver_name is None or driver_name in used_drivers:
        return
    if driver_name not in NAMES:
        raise UsageError(f"{printable(driver_name)} is not a storage driver", f"drivers: {', '.join(NAMES)}")
    print_note(printable(f"dtui: no container uses {driver_name}; in use: {', '.join(used_drivers) or 'none'}"))


def _matches_options(row: Container, options: Namespace) -> bool:
    return options.state in (None, row.state.value) and options.driver in (None, row.driver.name)


def _with_size(row: Container, finder: ContainerFinder) -> Container:
    from tui.layers.usage import usage
    from tui.layers.view import LayerView

    endpoint = finder.endpoint_of(row)
    size: int | None = None
    with suppress(DtuiError):  # the size of a damaged container stays unknown; the others are still counted
        size = endpoint.size(row.id)
        details = endpoint.inspect(row.id) if size is None else None
        if details and details.stack and details.access.kind.readable:
            with LayerView.open(details.stack) as view:
                size = usage(view)
    return replace(row, size_rw=size)


def _with_details(row: Container, finder: ContainerFinder) -> tuple[Container, LayerAccess, Details | None]:
    """Return a container with its trust, how its layer can be reached, and its details. An error hides no other one."""
    try:
        details = finder.endpoint_of(row).inspect(row.id)
    except DtuiError as error:
        trust = Trust.UNPROVEN if row.trust is Trust.PROVEN else row.trust
        return replace(row, trust=trust), LayerAccess(AccessKind.NONE, str(error)), None
    return replace(row, trust=details.proof.trust), details.access, details


def _as_json(row: Container, reach: LayerAccess, details: Details | None) -> dict[str, Any]:
    """Return the fields that the command-line contract promises."""
    lifecycle = details.lifecycle if details else UNKNOWN_LIFECYCLE
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state.value,
        "exit_code": row.exit_code,
        "status": row.status,
        "driver": {"kind": row.driver.kind.value, "name": row.driver.name},
        "image": row.image,
        "endpoint": row.endpoint,
        "hidden": row.hidden,
        "created": row.created.isoformat() if row.created.timestamp() else None,  # the epoch stands for an unknown time
        "layer": {
            "reach": reach.kind.value,
            "path": str(reach.path) if reach.path else None,
            "reason": reach.reason,
        },
        "size_rw": row.size_rw,
        "trust": row.trust.value,
        "labels": dict(details.labels) if details else {},
        "group": {name: value or None for name, value in asdict(lifecycle.group).items()},
        "auto_remove": lifecycle.auto_remove,
        "restart_policy": lifecycle.restart_policy or None,
    }


def _table(rows: list[Container], *, several: bool) -> None:
    current_time = datetime.now(UTC)
    lines = [("CONTAINER", "NAME", "STATE", "DRIVER", "IMAGE", "AGE", "SIZE", *(("ENDPOINT",) if several else ()))]
    for row in rows:
        state = f"{row.state} ({row.exit_code})" if row.exit_code is not None else str(row.state)
        driver = row.driver.name + (" (hidden)" if row.hidden else "")
        age = human_age(row.created, current_time)
        where = (row.endpoint,) if several else ()
        lines.append((row.short_id, row.name, state, driver, row.image, age, human_size(row.size_rw), *where))
    printable_lines = [tuple(printable(cell) for cell in line) for line in lines]
    widths = [max(len(line[i]) for line in printable_lines) for i in range(len(lines[0]))]
    for line in printable_lines:
        print_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
