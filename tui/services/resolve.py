"""Resolve what a person types to one container: name, id or unique id prefix, or a service with one container.

ENDPOINT/ may stand before it. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tui.core.errors import NotFound, UsageError
from tui.core.records import Container
from tui.core.text import printable

_MAX_SIMILAR = 3
"""Most names that are suggested if a REF means nothing."""

_MAX_LABEL = 256
"""Characters of a label that are compared; labels may have many kilobytes."""

_MAX_NAMED = 8
"""Most containers that are named if a REF is ambiguous."""


def resolve_ref(containers: Sequence[Container], ref: str) -> Container:
    """Return the container that a REF means.

    Raises NotFound with similar names if there is none, and UsageError listing the first few if there are several. The
    service of Compose or Swarm, or a pod, stands for its container if it has exactly one.
    """
    endpoint, slash, name = ref.rpartition("/")
    candidates = [c for c in containers if c.endpoint == endpoint] if slash else list(containers)
    name_or_id = name if slash else ref
    matches = [c for c in candidates if name_or_id in (c.name, c.id)]
    if not matches and name_or_id:
        matches = [c for c in candidates if c.id.startswith(name_or_id)]
    if not matches and name_or_id:
        matches = [c for c in candidates if name_or_id in _services(c)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"{printable(c.endpoint)}/{printable(c.name)} ({c.short_id})" for c in matches[:_MAX_NAMED])
        more = f" and {len(matches) - _MAX_NAMED} more" if len(matches) > _MAX_NAMED else ""
        raise UsageError(
            f"{printable(ref)} means {len(matches)} containers: {names}{more}", "use a longer prefix or ENDPOINT/NAME"
        )
    similar = _similar(name_or_id, containers)
    hint = f"did you mean {', '.join(map(printable, similar))}?" if similar else "dtui ls lists the containers"
    raise NotFound(f"there is no container {printable(ref)}", hint)


def _services(container: Container) -> tuple[str, ...]:
    """Return the names of what a container is the only or one of several instances of."""
    group = container.group
    names = (group.compose_service, group.swarm_service, group.pod)
    return tuple(name[:_MAX_LABEL] for name in names if name)


def _similar(word: str, containers: Sequence[Container]) -> list[str]:
    """Return up to three names a person may have meant: first by beginning and case, then by label, then by letters."""
    folded = _folded(word)
    if not folded:
        return []
    by_name = [c.name for c in containers if _folded(c.name) == folded]
    by_name += sorted(c.name for c in containers if _folded(c.name).startswith(folded))
    by_label = [c.name for c in containers if any(_folded(name).startswith(folded) for name in _services(c))]
    by_letters = difflib.get_close_matches(word, [c.name for c in containers], n=_MAX_SIMILAR)
    return list(dict.fromkeys((*by_name, *by_label, *by_letters)))[:_MAX_SIMILAR]


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
