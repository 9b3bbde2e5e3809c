"""Resolve what a person types to one container: name, id or unique id prefix, optionally after ENDPOINT/. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tui.core.errors import NotFound, UsageError
from tui.core.records import Container
from tui.core.text import printable

_MAX_NAMED = 8
"""Most containers that are named if a REF is ambiguous."""


def resolve_ref(containers: Sequence[Container], ref: str) -> Container:
    """Return the container that a REF means.

    Raises NotFound with similar names if there is none, and UsageError listing the first few if there are several.
    """
    endpoint, slash, name = ref.rpartition("/")
    candidates = [c for c in containers if c.endpoint == endpoint] if slash else list(containers)
    name_or_id = name if slash else ref
    matches = [c for c in candidates if name_or_id in (c.name, c.id)]
    if not matches and name_or_id:
        matches = [c for c in candidates if c.id.startswith(name_or_id)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"{printable(c.endpoint)}/{printable(c.name)} ({c.short_id})" for c in matches[:_MAX_NAMED])
        more = f" and {len(matches) - _MAX_NAMED} more" if len(matches) > _MAX_NAMED else ""
        raise UsageError(
            f"{printable(ref)} means {len(matches)} containers: {names}{more}", "use a longer prefix or ENDPOINT/NAME"
        )
    similar = difflib.get_close_matches(name_or_id, [c.name for c in containers], n=3)
    hint = f"did you mean {', '.join(map(printable, similar))}?" if similar else "dtui ls lists the containers"
    raise NotFound(f"there is no container {printable(ref)}", hint)
