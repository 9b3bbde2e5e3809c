"""User and group ids of a container with its own user namespace, inside the container and on the host. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NOBODY = 65534
"""What the kernel shows inside a container for a host id that the container does not have (overflowuid)."""


@dataclass(frozen=True, slots=True)
class Span:
    """A contiguous range of ids: its first id inside the container and on the host, and its length."""

    inside: int
    host: int
    count: int


_ALL = (Span(0, 0, 2**32 - 1),)


@dataclass(frozen=True, slots=True)
class IdMap:
    """The users and groups of a container. Without a user namespace of its own it has all of the host's."""

    users: tuple[Span, ...] = _ALL
    groups: tuple[Span, ...] = _ALL


HOST_IDS = IdMap()
"""The map of a container without a user namespace of its own."""


def shown_id(spans: tuple[Span, ...], number: int) -> int | None:
    """Translate a host id to the id that the container shows, or None if the container does not have it."""
    for span in spans:
        if 0 <= number - span.host < span.count:
            return span.inside + number - span.host
    return None


def host_id(spans: tuple[Span, ...], number: int) -> int | None:
    """Translate a container id to the host's, or None if the container does not have it."""
    for span in spans:
        if 0 <= number - span.inside < span.count:
            return span.host + number - span.inside
    return None


def id_ranges(spans: tuple[Span, ...]) -> str:
    """Return the ids that a container has, for a message: ``0 to 65535``."""
    return ", ".join(f"{span.inside} to {span.inside + span.count - 1}" for span in spans)


def parse_id_map(text: str) -> tuple[Span, ...]:
    """Parse a map as the kernel prints it in /proc/PID/uid_map; raises ValueError."""
    return tuple(Span(*map(int, line.split())) for line in text.splitlines())
