"""Where an engine on this host records that it is removing a container, before it removes the layer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tui.core.errors import DtuiError
from tui.core.records import Details
from tui.drivers.containers_storage import container_records, layer_records
from tui.drivers.data_root import DataRoot

_ABOVE = 4
"""How many directories above a layer to look for the data-root."""

_PODMAN_DRIVERS = ("overlay", "vfs")


class RemovalRecord(Protocol):
    """What an engine records about one container."""

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories in which names change when the engine records a removal."""
        ...

    def is_removed(self) -> bool:
        """Return whether the container is being removed, or gone."""
        ...


def removal_record(details: Details) -> RemovalRecord | None:
    """Return the engine's record of a container; None if the engine keeps none near its layer."""
    if details.stack is None:
        return None
    container_id = details.container.id
    for above in details.stack.writable.path.parents[:_ABOVE]:
        # ``image`` tells that this is Docker's data-root, even if the container's record is gone
        if (above / "containers").is_dir() and (above / "image").is_dir():
            return _DockerRecord(above / "containers" / container_id)
        for driver in _PODMAN_DRIVERS:
            if (above / f"{driver}-containers").is_dir() and (above / f"{driver}-layers").is_dir():
                return _PodmanRecord(above, driver, container_id, details.stack.writable.id)
    return None


@dataclass(frozen=True, slots=True)
class _DockerRecord:
    directory: Path

    @property
    def directories(self) -> tuple[Path, ...]:
        return (self.directory,)

    def is_removed(self) -> bool:
        try:
            state = json.loads((self.directory / "config.v2.json").read_bytes())["State"]
        except FileNotFoundError:
            return True
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False  # an unknown format: the engine is asked when the act ends
        return isinstance(state, dict) and bool(state.get("Dead") or state.get("RemovalInProgress"))


@dataclass(frozen=True, slots=True)
class _PodmanRecord:
    """containers/storage marks the layer as incomplete and drops the container before it removes either."""

    root: Path
    driver: str
    container_id: str
    layer_id: str

    @property
    def directories(self) -> tuple[Path, ...]:
        return self.root / f"{self.driver}-layers", self.root / f"{self.driver}-containers"

    def is_removed(self) -> bool:
        try:
            root = DataRoot(self.root)
            if not any(one.get("id") == self.container_id for one in container_records(root, self.driver)):
                return True
            layer = next((one for one in layer_records(root, self.driver) if one.get("id") == self.layer_id), None)
        except (DtuiError, OSError):
            return False
        flags = layer.get("flags") if layer is not None else None
        return layer is None or (isinstance(flags, dict) and bool(flags.get("incomplete")))
