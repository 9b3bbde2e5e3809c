"""Which user ids a container has: those of its process while it runs, else those that its Engine made it with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tui.core.errors import NotReachable
from tui.core.id_maps import IdMap, parse_id_map
from tui.core.records import LayerStack
from tui.drivers.users import ids_of_root
from tui.layers.process_root import process_of


def with_ids(stack: LayerStack | None, root: Path, container_id: str, *, pid: int, mode: str = "") -> LayerStack | None:
    """Note the ids with the layers; ``mode`` is the container's of user namespaces, ``host`` for none of its own."""
    if stack is None:
        return None
    id_map = (_ids_of_process(pid, container_id, stack) if pid else None) or (
        None if mode == "host" else ids_of_root(root)
    )
    return replace(stack, ids=id_map) if id_map else stack


def _ids_of_process(pid: int, container_id: str, stack: LayerStack) -> IdMap | None:
    """Read the map of a container's process; None where it has ended, or does not belong to the container any more."""
    with suppress(OSError, ValueError, TypeError, NotReachable), process_of(pid, container_id, stack):
        spans = [
            parse_id_map(Path(f"/proc/{pid}/{name}").read_text(encoding="ascii")) for name in ("uid_map", "gid_map")
        ]
        return IdMap(*spans) if all(spans) else None
    return None
