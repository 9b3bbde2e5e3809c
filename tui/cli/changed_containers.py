"""Which container a REF means for backups and undo: an existing one, or one that was removed."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass

from tui.cli.lookup import ContainerFinder, open_finder
from tui.core.errors import NotFound, NotReachable, UsageError
from tui.core.ids import ContainerId
from tui.core.records import Container
from tui.core.text import printable
from tui.files import Changed, changed_containers
from tui.services.resolve import resolve_ref


@dataclass(frozen=True, slots=True)
class ChangedContainer:
    """What a REF means.

    ``present`` is the existing container. ``changed`` are the containers with backups: ``present`` first, then those
    that had the name or id when they were changed. ``removed_ids`` are those of them that certainly no longer exist.
    """

    present: Container | None
    changed: tuple[Changed, ...]
    removed_ids: frozenset[ContainerId] = frozenset()

    @property
    def former(self) -> tuple[Changed, ...]:
        """The changed containers other than the existing one."""
        return tuple(container for container in self.changed if self.present is None or container.id != self.present.id)


def find_changed_in(finder: ContainerFinder, ref: str) -> ChangedContainer:
    """Return what a REF means; raises NotFound for nothing, UsageError for several existing containers.

    If an endpoint does not answer, no container counts as removed.
    """
    by_name = changed_containers(ref.rpartition("/")[2]) if ref.rpartition("/")[2] else ()
    listing = finder.listing()
    if not listing.containers and listing.failures and not by_name:
        raise listing.failures[0][1]
    try:
        present = resolve_ref(listing.containers, ref)
    except NotFound:
        if not by_name:
            raise
        present = None
    listed_ids = {container.id for container in listing.containers}
    existing = changed_containers(present.id) if present else ()
    former = tuple(container for container in by_name if present is None or container.id != present.id)
    removed_ids = (
        frozenset()
        if listing.failures
        else frozenset(container.id for container in former if container.id not in listed_ids)
    )
    return ChangedContainer(present, (*existing, *former), removed_ids)


def find_changed(options: Namespace) -> ChangedContainer:
    """Return what the verb's REF means, all containers without one. Without an endpoint, backups are still found."""
    if not options.ref:
        return ChangedContainer(None, changed_containers())
    try:
        with open_finder(options) as finder:
            return find_changed_in(finder, options.ref)
    except NotReachable:
        by_name = changed_containers(options.ref.rpartition("/")[2] or "/")
        if not by_name:
            raise
        return ChangedContainer(None, by_name)


def require_single(changed: tuple[Changed, ...], ref: str) -> Changed:
    """Return the only changed container that a REF means; raises UsageError listing several."""
    if len(changed) > 1:
        candidates = ", ".join(
            f"{container.id[:12]} ({printable(container.name)}, {_changed_last(container)})" for container in changed
        )
        raise UsageError(f"{printable(ref)} means {len(changed)} containers: {candidates}", "name one by its id")
    return changed[0]


def _changed_last(container: Changed) -> str:
    return f"changed last at {container.acts[0].time:%Y-%m-%d %H:%M:%S} UTC"
