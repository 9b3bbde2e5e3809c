"""One thing in a data-root that takes space and has an owner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tui.core.records import Driver
from tui.inventory.references import Owner


class EntryType(StrEnum):
    """What an entry holds."""

    LAYER = "layer"
    RECORD = "record"
    LOG = "log"
    VOLUME = "volume"
    CONTENT = "content"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class DiskEntry:
    """A layer, a container's record or logs, a volume, or what else an Engine keeps in its data-root.

    ``names`` are the containers or images that refer to it; ``driver`` is only a layer's. ``files`` are a log's, all
    others are directories. ``without`` lies below ``path`` and is an entry of its own.
    """

    path: Path
    id: str
    type: EntryType
    owner: Owner
    names: tuple[str, ...] = ()
    container_id: str = ""
    driver: Driver | None = None
    files: tuple[Path, ...] = ()
    without: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        """A word for what it is: a layer goes by its driver."""
        return self.driver.name if self.driver else self.type.value
