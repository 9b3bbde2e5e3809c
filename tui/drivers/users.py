"""The user ids of a container that does not run, from the name of a remapped data-root or from podman's record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui.core.errors import LayerError
from tui.core.id_maps import HOST_IDS, IdMap, Span

REMAPPED = re.compile(r"(\d+)\.(\d+)")
"""Name of the directory in which a daemon keeps containers whose root is that user and group."""

_MOST_SPANS = 340
"""Most ranges in a map (user_namespaces(7))."""

_USUAL = 65536
"""Ids that a daemon gives a container if this host's tables do not say (adduser, useradd)."""


def ids_of_root(root: Path) -> IdMap | None:
    """Return the id map of the containers in a data-root from its name, None if they have the host's ids."""
    match = REMAPPED.fullmatch(root.name)
    if match is None:
        return None
    user, group = map(int, match.groups())
    return IdMap((Span(0, user, _length("/etc/subuid", user)),), (Span(0, group, _length("/etc/subgid", group)),))


def _length(table: str, first: int) -> int:
    """Return how many ids a subuid or subgid table assigns from ``first`` on.

    Which user they belong to is known only to the daemon's settings.
    """
    try:
        rows = [line.split(":") for line in Path(table).read_text(errors="replace").splitlines()]
    except OSError:
        return _USUAL
    counts = [row[2] for row in rows if len(row) == 3 and row[1] == str(first)]
    return int(counts[0]) if counts and counts[0].isdecimal() else _USUAL


def ids_of_record(record: Mapping[str, Any]) -> IdMap:
    """Return a container's id map from its record in containers/storage, the host's ids if it has no map."""
    users, groups = (_spans(record.get(key)) for key in ("uidmap", "gidmap"))
    return IdMap(users or HOST_IDS.users, groups or HOST_IDS.groups)


def _spans(parts: object) -> tuple[Span, ...]:
    if not parts:
        return ()
    spans = [_span(part) for part in parts[:_MOST_SPANS]] if isinstance(parts, list) else [None]
    if None in spans:
        raise LayerError("a container's user map is invalid", "podman's record is damaged")
    return tuple(span for span in spans if span)


def _span(part: object) -> Span | None:
    """Return one range of a map, None if a number is not a valid id."""
    if not isinstance(part, Mapping):
        return None
    numbers = [part.get(key) for key in ("container_id", "host_id", "size")]
    valid_numbers = [number for number in numbers if isinstance(number, int) and 0 <= number < 2**32]
    return Span(*valid_numbers) if len(valid_numbers) == 3 else None
