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

_MAX_SPANS = 340
"""Most ranges in a map (user_namespaces(7))."""

_DEFAULT_LENGTH = 65536
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
        lines = [line.split(":") for line in Path(table).read_text(errors="replace").splitlines()]
    except OSError:
        return _DEFAULT_LENGTH
    counts = [fields[2] for fields in lines if len(fields) == 3 and fields[1] == str(first)]
    return int(counts[0]) if counts and counts[0].isdecimal() else _DEFAULT_LENGTH


def ids_of_record(record: Mapping[str, Any]) -> IdMap:
    """Return a container's id map from its record in containers/storage, the host's ids if it has no map."""
    users, groups = (_spans(record.get(key)) for key in ("uidmap", "gidmap"))
    return IdMap(users or HOST_IDS.users, groups or HOST_IDS.groups)


def _spans(entries: object) -> tuple[Span, ...]:
    if not entries:
        return ()
    spans = [_span(entry) for entry in entries[:_MAX_SPANS]] if isinstance(entries, list) else [None]
    if None in spans:
        raise LayerError("a container's user map is invalid", "podman's record is damaged")
    return tuple(span for span in spans if span)


def _span(entry: object) -> Span | None:
    """Return one range of a map, None if a number is not a valid id."""
    if not isinstance(entry, Mapping):
        return None
    numbers = [entry.get(key) for key in ("container_id", "host_id", "size")]
    valid_numbers = [number for number in numbers if isinstance(number, int) and 0 <= number < 2**32]
    return Span(*valid_numbers) if len(valid_numbers) == 3 else None
