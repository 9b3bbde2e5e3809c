"""From what a person types to one container: name, id, unique prefix, ENDPOINT/ before it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tui.core.errors import NotFound, UsageError
from tui.core.records import Container
from tui.core.text import printable

_MANY = 8
"""Containers that are named where a REF means several."""


def resolve_ref(containers: Sequence[Container], ref: str) -> Container:
    """Return the one container that a REF means.

    Raises NotFound for none, with the nearest names, and UsageError for several, with the first of them.
    """
    endpoint, slash, name = ref.rpartition("/")
    candidates = [c for c in containers if c.endpoint == endpoint] if slash else list(containers)
    word = name if slash else ref
    matches = [c for c in candidates if word in (c.name, c.id)]
    if not matches and word:
        matches = [c for c in candidates if c.id.startswith(word)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"{printable(c.endpoint)}/{printable(c.name)} ({c.short_id})" for c in matches[:_MANY])
        more = f" and {len(matches) - _MANY} more" if len(matches) > _MANY else ""
        raise UsageError(f"{printable(ref)} means {len(matches)} containers: {names}{more}", "write more of it")
    near = difflib.get_close_matches(word, [c.name for c in containers], n=3)
    hint = f"did you mean {', '.join(map(printable, near))}?" if near else "the list shows what there is"
    raise NotFound(f"there is no container {printable(ref)}", hint)
