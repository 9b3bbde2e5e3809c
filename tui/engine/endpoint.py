"""The protocol that live Engines, data-roots and the demo fulfil."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tui.core.records import Container, Details, EngineFacts, Event


class Verb(StrEnum):
    """What an endpoint can do to a container."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    KILL = "kill"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a container's output: raw bytes without the newline, and when it was written."""

    text: bytes
    time: datetime | None = None
    error: bool = False
    """True if it was written to stderr."""


class Stream(Protocol):
    """An iterator that runs until it ends or another thread calls :meth:`close`."""

    def close(self) -> None:
        """End the iteration now, from any thread; idempotent."""
        ...


class EventStream(Stream, Protocol):
    """Container events as they happen."""

    on_skipped: Callable[[], object]
    """Called for each event that was not understood, and is not yielded."""

    def __iter__(self) -> Iterator[Event]: ...


class LogStream(Stream, Protocol):
    """Lines of a container's log: first old ones, then new ones as they are written."""

    def __iter__(self) -> Iterator[LogLine]: ...


class Endpoint(Protocol):
    """A source of containers. Every method may block, so call it from a worker thread; all are thread-safe.

    Raises :class:`~tui.core.errors.EngineLost` if nobody answers, :class:`~tui.core.errors.NotFound` for an unknown
    container, :class:`~tui.core.errors.NotReachable` for what this kind of endpoint cannot do, and
    :class:`~tui.core.errors.EngineError` if the Engine refuses.
    """

    @property
    def name(self) -> str:
        """Short name for people, and the first part of ``ENDPOINT/REF``."""
        ...

    @property
    def address(self) -> str:
        """The URL or directory, as a person would type it."""
        ...

    @property
    def live(self) -> bool:
        """Whether there is an Engine: events, logs that follow, and verbs."""
        ...

    def facts(self) -> EngineFacts:
        """Return who answers."""
        ...

    def snapshot(self) -> tuple[Container, ...]:
        """List all containers, running or not, in one call without an inspect per container."""
        ...

    def inspect(self, container_id: str) -> Details:
        """Return everything about one container, with its layer stack and how to reach it."""
        ...

    def size(self, container_id: str) -> int | None:
        """Return the bytes in the container's writable layer, None if that is unknown without reading files."""
        ...

    def events(self) -> EventStream:
        """Return a stream of what happens to containers from now on."""
        ...

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> LogStream:
        """Return the last ``tail`` lines of the container's output (None for all) and, with ``follow``, the lines to
        come."""
        ...

    def act(self, container_id: str, verb: Verb) -> None:
        """Do one thing to a container, and return when the Engine has done it."""
        ...

    def close(self) -> None:
        """Close connections; idempotent."""
        ...
