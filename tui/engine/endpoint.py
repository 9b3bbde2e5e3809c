"""The contract that live Engines, data-roots and the demo fulfil alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tui.core.records import Container, Details, EngineFacts, Event


class Verb(StrEnum):
    """What an endpoint can be told to do with a container."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    KILL = "kill"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's output: raw bytes without the newline, and when it was written."""

    text: bytes
    time: datetime | None = None
    error: bool = False
    """Whether it went to stderr."""


class Stream(Protocol):
    """Something that yields until it ends or :meth:`close` is called from another thread."""

    def close(self) -> None:
        """End the iteration now, from any thread; idempotent."""
        ...


class EventStream(Stream, Protocol):
    """Events of containers as they happen."""

    def __iter__(self) -> Iterator[Event]: ...


class LogStream(Stream, Protocol):
    """Lines of a container's log, old ones first, then as they are written."""

    def __iter__(self) -> Iterator[LogLine]: ...


class Endpoint(Protocol):
    """Where containers come from. Every method may block and belongs in a worker thread; all are thread-safe.

    Errors: :class:`~tui.core.errors.EngineLost` when nobody answers, :class:`~tui.core.errors.NotFound` for an
    unknown container, :class:`~tui.core.errors.NotReachable` for what this kind of endpoint cannot do,
    :class:`~tui.core.errors.EngineError` for a refusal.
    """

    @property
    def name(self) -> str:
        """Short name for people and for ``ENDPOINT/REF``."""
        ...

    @property
    def address(self) -> str:
        """The URL or directory, as a person would type it."""
        ...

    @property
    def live(self) -> bool:
        """Whether events, logs that follow and acts exist here (False for a bare data-root)."""
        ...

    def facts(self) -> EngineFacts:
        """Say who answers."""
        ...

    def snapshot(self) -> tuple[Container, ...]:
        """List all containers, running or not, by one call and never an inspect per row."""
        ...

    def inspect(self, container_id: str) -> Details:
        """Tell everything about one container, with its layer stack and reach."""
        ...

    def size(self, container_id: str) -> int | None:
        """Count the bytes in the container's writable layer, where that is known without reading files."""
        ...

    def events(self) -> EventStream:
        """Announce what happens to containers from now on."""
        ...

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> LogStream:
        """Yield the last ``tail`` lines of the container's output, None for all, and, if asked, those that follow."""
        ...

    def act(self, container_id: str, verb: Verb) -> None:
        """Do one thing to a container and return when the Engine has done it."""
        ...

    def close(self) -> None:
        """Give back connections; idempotent."""
        ...
