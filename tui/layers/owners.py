"""The owner of a layer's entry as its container shows it."""

from __future__ import annotations

from tui.core.id_maps import HOST_IDS, NOBODY, shown_id
from tui.core.records import Entry, LayerStack


def owner_of(entry: Entry, stack: LayerStack | None) -> tuple[int | None, int | None]:
    """Return user and group as the container sees them, None for an id that it does not have.

    If the engine maps owners when it mounts the layers, the owners on disk are already the container's. Without a stack
    the Engine reported the owners.
    """
    needs_mapping = stack is not None and not (stack.idmapped and entry.layer)
    ids = stack.ids if stack is not None and needs_mapping else HOST_IDS
    return shown_id(ids.users, entry.uid), shown_id(ids.groups, entry.gid)


def shown_owner(entry: Entry, stack: LayerStack | None) -> tuple[int, int]:
    """Return user and group as ``ls -n`` shows them in the container, nobody for ids that it does not have."""
    uid, gid = owner_of(entry, stack)
    return NOBODY if uid is None else uid, NOBODY if gid is None else gid
