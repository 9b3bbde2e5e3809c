"""Containers with kept changes, whether or not they still exist; and deleting those changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tui.core.ids import ContainerId
from tui.core.state import state_dir, sync_dir
from tui.files.history import backups, journal
from tui.files.history.backups import UndoRecord, undo_records
from tui.files.history.order import never_again


@dataclass(frozen=True, slots=True)
class Changed:
    """A container with kept acts, newest first."""

    id: ContainerId
    acts: tuple[UndoRecord, ...]

    @property
    def name(self) -> str:
        """Its name when it was last changed."""
        return self.acts[0].name

    @property
    def names(self) -> frozenset[str]:
        """All names it had when it was changed."""
        return frozenset(act.name for act in self.acts)


def changed_containers(ref: str = "") -> tuple[Changed, ...]:
    """Return the containers with kept changes, most recently changed first.

    ``ref`` is a name that it had when it was changed, its id, or an id prefix.
    """
    acts_by_container: dict[ContainerId, list[UndoRecord]] = {}
    for act in undo_records():
        acts_by_container.setdefault(act.container, []).append(act)
    every = [Changed(id_, tuple(acts)) for id_, acts in acts_by_container.items()]
    exact = [container for container in every if not ref or container.id == ref or ref in container.names]
    return tuple(exact or [container for container in every if container.id.startswith(ref)])


@dataclass(frozen=True, slots=True)
class Purged:
    """What was purged: ids of the acts, bytes on disk, and which acts were skipped, with the reason."""

    removed: tuple[str, ...]
    size: int
    skipped: tuple[tuple[str, str], ...]


def purgeable(containers: Collection[ContainerId] | None, before: datetime | None) -> Iterator[Path]:
    """Yield the directories of acts done before a time (None: at any), of some containers (None: of all)."""
    for folder in backups.folders():
        if containers is not None and folder.parent.name not in containers:
            continue
        if before is None or backups.time_of(folder) < before:
            yield folder


def stored_size(folders: Collection[Path]) -> int:
    """Return the disk space of acts in bytes."""
    return sum(backups.size_on_disk(folder) for folder in folders)


def purge(folders: Collection[Path], removed_containers: Collection[ContainerId]) -> Purged:
    """Delete acts, except those under way and those needed for recovery of a container that still exists.

    Journal records of removed containers are deleted as well. Raises OSError.
    """
    removed, skipped, size = [], [], 0
    never_again(state_dir("backups"), [folder.name for folder in folders])
    for folder in folders:
        why = backups.reason_to_keep(folder, is_removed=folder.parent.name in removed_containers)
        folder_size = backups.size_on_disk(folder)
        if not why and not backups.drop(folder):
            why = "it is being taken back"
        if why:
            skipped.append((folder.name, why))
        else:
            removed.append(folder.name)
            size += folder_size
            with suppress(FileNotFoundError):
                sync_dir(folder.parent)
    for record in journal.pending():
        if record.container_id in removed_containers:
            journal.end(record)
    return Purged(tuple(removed), size, tuple(skipped))
