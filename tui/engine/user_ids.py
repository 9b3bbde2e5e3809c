"""The user ids of a container: those of its process while it runs, else those its Engine created it with."""

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
    """Return the stack with the container's id map; ``mode`` is its UsernsMode, ``host`` if it has none of its own."""
    if stack is None:
        return None
    id_map = (_ids_of_process(pid, container_id, stack) if pid else None) or (
        None if mode == "host" else ids_of_root(root)
    )
    return replace(stack, ids=id_map) if id_map else stack


def _ids_of_process(pid: int, container_id: str, stack: LayerStack) -> IdMap | None:
    """Return the id map of a container's process, None if it has ended or is not the container's any more."""
    with suppress(OSError, ValueError, TypeError, NotReachable), process_of(pid, container_id, stack):
        spans = [
            parse_id_map(Path(f"/proc/{pid}/{name}").read_text(encoding="ascii")) for name in ("uid_map", "gid_map")
        ]
        return IdMap(*spans) if all(spans) else None
    return None
