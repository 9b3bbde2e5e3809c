"""User and group ids of a container that has its own: as it shows them, and as its host has them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NOBODY = 65534
"""What the kernel shows in a container for an id of its host that is none of the container's."""


@dataclass(frozen=True, slots=True)
class Span:
    """So many ids in a row: the first as the container shows it, and as its host has it."""

    inside: int
    host: int
    count: int


_ALL = (Span(0, 0, 2**32 - 1),)


@dataclass(frozen=True, slots=True)
class IdMap:
    """The users and groups of a container; all of the host's where it has none of its own."""

    users: tuple[Span, ...] = _ALL
    groups: tuple[Span, ...] = _ALL


HOST_IDS = IdMap()
"""Of a container that has no ids of its own."""


def shown_id(spans: tuple[Span, ...], number: int) -> int | None:
    """Return the id that a container shows for one of its host, None for one that is none of the container's."""
    for span in spans:
        if 0 <= number - span.host < span.count:
            return span.inside + number - span.host
    return None


def host_id(spans: tuple[Span, ...], number: int) -> int | None:
    """Return the id of the host that stands for one of a container, None for one that the container has not."""
    for span in spans:
        if 0 <= number - span.inside < span.count:
            return span.host + number - span.inside
    return None


def id_ranges(spans: tuple[Span, ...]) -> str:
    """Return the ids that a container has: ``0 to 65535``."""
    return ", ".join(f"{span.inside} to {span.inside + span.count - 1}" for span in spans)


def parse_id_map(text: str) -> tuple[Span, ...]:
    """Read a map as the kernel prints it in /proc/PID/uid_map; raises ValueError."""
    return tuple(Span(*map(int, line.split())) for line in text.splitlines())
