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
        if not listing.containers and len(listing.failures) == 1 == len(finder.endpoints):
            raise listing.failures[0][1]
        for name, error in listing.failures:
            print_note(f"dtui: {printable(name)}: {printable(str(error))}")
        _check_driver(options.driver, listing.containers)
        containers = [container for container in listing.containers if _matches_options(container, options)]
        containers.sort(key=lambda container: container.created, reverse=True)
        if options.size:
            containers = [_with_size(container, finder) for container in containers]
        if options.json:
            print_json([_as_json(*_with_details(container, finder)) for container in containers])
        else:
            _table(containers, several=len(finder.endpoints) > 1)
            for container in containers:
                if container.state is State.UNKNOWN:
                    print_note(f"dtui: {printable(container.name)}: {printable(container.status)}")
    return 1 if listing.failures else 0


def _check_driver(driver_name: str | None, containers: tuple[Container, ...]) -> None:
    """Raise UsageError for an unknown driver. For a known one without containers, print which drivers have some."""
    used_drivers = sorted({container.driver.name for container in containers})
    if driver_name is None or driver_name in used_drivers:
        return
    if driver_name not in NAMES:
        raise UsageError(f"{printable(driver_name)} is not a storage driver", f"drivers: {', '.join(NAMES)}")
    print_note(printable(f"dtui: no container uses {driver_name}; in use: {', '.join(used_drivers) or 'none'}"))


def _matches_options(container: Container, options: Namespace) -> bool:
    return options.state in (None, container.state.value) and options.driver in (None, container.driver.name)


def _with_size(container: Container, finder: ContainerFinder) -> Container:
    from tui.layers.usage import usage
    from tui.layers.view import LayerView

    endpoint = finder.endpoint_of(container)
    size: int | None = None
    with suppress(DtuiError):  # the size of a damaged container stays unknown; the others are still counted
        size = endpoint.size(container.id)
        details = endpoint.inspect(container.id) if size is None else None
        if details and details.stack and details.access.kind.readable:
            with LayerView.open(details.stack) as view:
                size = usage(view)
    return replace(container, size_rw=size)


def _with_details(container: Container, finder: ContainerFinder) -> tuple[Container, LayerAccess, Details | None]:
    """Return a container with its trust, how its layer can be reached, and its details. An error hides no other one."""
    try:
        details = finder.endpoint_of(container).inspect(container.id)
    except DtuiError as error:
        trust = Trust.UNPROVEN if container.trust is Trust.PROVEN else container.trust
        return replace(container, trust=trust), LayerAccess(AccessKind.NONE, str(error)), None
    return replace(container, trust=details.proof.trust), details.access, details


def _as_json(container: Container, access: LayerAccess, details: Details | None) -> dict[str, Any]:
    """Return the fields that the command-line contract promises."""
    lifecycle = details.lifecycle if details else UNKNOWN_LIFECYCLE
    return {
        "id": container.id,
        "name": container.name,
        "state": container.state.value,
        "exit_code": container.exit_code,
        "status": container.status,
        "health": container.health or None,
        "driver": {"kind": container.driver.kind.value, "name": container.driver.name},
        "image": container.image,
        "endpoint": container.endpoint,
        "hidden": container.hidden,
        # the epoch stands for an unknown time
        "created": container.created.isoformat() if container.created.timestamp() else None,
        "layer": {
            "reach": access.kind.value,
            "path": str(access.path) if access.path else None,
            "reason": access.reason,
        },
        "size_rw": container.size_rw,
        "trust": container.trust.value,
        "labels": dict(details.labels) if details else {},
        "group": {name: value or None for name, value in asdict(lifecycle.group).items()},
        "auto_remove": lifecycle.auto_remove,
        "restart_policy": lifecycle.restart_policy or None,
    }


def _table(containers: list[Container], *, several: bool) -> None:
    current_time = datetime.now(UTC)
    lines = [("CONTAINER", "NAME", "STATE", "DRIVER", "IMAGE", "AGE", "SIZE", *(("ENDPOINT",) if several else ()))]
    for container in containers:
        remark = container.health or container.exit_code
        state = f"{container.state} ({remark})" if remark not in ("", None) else str(container.state)
        driver = container.driver.name + (" (hidden)" if container.hidden else "")
        age = human_age(container.created, current_time)
        endpoint = (container.endpoint,) if several else ()
        lines.append(
            (
                container.short_id,
                container.name,
                state,
                driver,
                container.image,
                age,
                human_size(container.size_rw),
                *endpoint,
            )
        )
    printable_lines = [tuple(printable(cell) for cell in line) for line in lines]
    widths = [max(len(line[i]) for line in printable_lines) for i in range(len(lines[0]))]
    for line in printable_lines:
        print_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
