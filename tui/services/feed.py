"""Keep the container list up to date: a thread per endpoint listens to events and lists again after each burst."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from tui.core.errors import DtuiError
from tui.core.records import Container, EngineFacts, Event
from tui.engine.endpoint import Endpoint, EventStream

_NOISE = ("exec_", "top", "resize", "attach", "detach", "archive-path", "extract-to-dir", "export", "copy", "commit")
"""Events that do not change the list; health checks alone send three exec events every few seconds."""

_BURST = 0.05
"""Seconds to wait for more events, so that a single list call covers the whole burst."""

_FRAME = 0.1
"""Seconds for which events are collected before the screens receive them."""

_FRAME_LIMIT = 20
"""Most events per frame. A sender of more has to wait for the next frame, which slows down a flood."""

_CONFIRM = (0.4, 1.5)
"""Seconds after a list call at which to list twice more: an Engine announces a state before its own list shows it
(20.10: moby daemon/monitor.go emits ``die``, then checkpoints the container)."""

_RETRY = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to reach an endpoint again; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known about one endpoint: who it is, its containers, and why it does not answer."""

    name: str
    address: str
    live: bool
    facts: EngineFacts | None = None
    containers: tuple[Container, ...] = ()
    listed: bool = False
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """The current state of all endpoints."""

    sources: tuple[Source, ...] = field(default=())

    @property
    def containers(self) -> tuple[Container, ...]:
        return tuple(container for source in self.sources for container in source.containers)

    @property
    def listed(self) -> bool:
        """Whether any endpoint has answered or failed yet."""
        return any(source.listed or source.problem for source in self.sources)

    @property
    def answered(self) -> bool:
        """Whether any endpoint has listed its containers yet."""
        return any(source.listed for source in self.sources)

    @property
    def troubled(self) -> frozenset[str]:
        """The names of the endpoints that do not answer."""
        return frozenset(source.name for source in self.sources if source.problem)

    def find(self, key: tuple[str, str]) -> Container | None:
        """Return the container with this (endpoint, id), None if there is none."""
        return next((container for container in self.containers if (container.endpoint, container.id) == key), None)

    def lacks(self, key: tuple[str, str]) -> bool:
        """Return whether the endpoint answers and has no container with this (endpoint, id)."""
        answers = any(source.name == key[0] and source.listed and not source.problem for source in self.sources)
        return answers and self.find(key) is None

    def with_source(self, source: Source) -> Feed:
        """Return a feed with one source replaced."""
        return replace(self, sources=tuple(source if s.name == source.name else s for s in self.sources))


def _describe_error(error: Exception) -> tuple[str, str]:
    """Return what happened and what to do next."""
    if isinstance(error, DtuiError):
        return error.message, error.hint
    return f"{type(error).__name__}: {error}", "an answer that dtui does not understand"


class FeedListener(Protocol):
    """Receives changes on the watchers' threads; must return at once."""

    def source_changed(self, source: Source) -> None:
        """An endpoint's list, facts or error changed."""
        ...

    def announced(self, endpoint: str, event: Event) -> None:
        """An Engine announced an event."""
        ...

    def skipped(self, endpoint: str) -> None:
        """An Engine announced an event that was not understood; called once per endpoint."""
        ...

    def listed(self, problem: str) -> None:
        """The list that somebody asked for arrived, or failed with ``problem``."""
        ...


class _EventBatches:
    """Passes events to the screens, a limited number per frame: a flood slows down its sender, not the keys."""

    def __init__(self, deliver: Callable[[Event], object]) -> None:
        self._deliver = deliver
        self._waiting: dict[Event, None] = {}
        self._change = threading.Condition()
        self._closed = False

    def add(self, event: Event) -> None:
        """Add an event, at most once per frame; waits while the frame is full."""
        with self._change:
            self._change.wait_for(lambda: self._closed or len(self._waiting) < _FRAME_LIMIT)
            self._waiting[event] = None
            self._change.notify_all()

    def close(self) -> None:
        """Wake up whoever waits."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def run(self) -> None:
        """Deliver events frame by frame until closed."""
        while not self._closed:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._waiting)
                events, self._waiting = list(self._waiting), {}
                self._change.notify_all()
            for event in events:
                self._deliver(event)
            with self._change:
                self._change.wait_for(lambda: self._closed, _FRAME)


class Watcher:
    """Follows one endpoint until closed, and only calls its listener."""

    def __init__(self, endpoint: Endpoint, listener: FeedListener) -> None:
        self.endpoint = endpoint
        self._listener = listener
        self._source = Source(endpoint.name, endpoint.address, endpoint.live)
        self._closed = threading.Event()
        self._due = threading.Event()
        self._wake = threading.Event()
        self._requested = threading.Event()
        self._stream: EventStream | None = None
        self._has_reported_skipped = False
        self._frames = _EventBatches(partial(listener.announced, endpoint.name))

    @property
    def source(self) -> Source:
        """The current state of the endpoint."""
        return self._source

    def start(self) -> None:
        """Start the threads. They are daemon threads, so that a hanging connection cannot keep the app from exiting."""
        threading.Thread(target=self._frames.run, name=f"frames {self.endpoint.name}", daemon=True).start()
        threading.Thread(target=self._follow, name=f"events {self.endpoint.name}", daemon=True).start()
        threading.Thread(target=self._list, name=f"list {self.endpoint.name}", daemon=True).start()

    def refresh(self) -> None:
        """List again now; if the endpoint was lost, try to reach it now."""
        self._requested.set()
        self._wake.set()
        self._due.set()

    def close(self) -> None:
        """Stop all threads without waiting for them."""
        self._closed.set()
        self._frames.close()
        self._due.set()
        self._wake.set()
        if self._stream:
            self._stream.close()

    def _publish(self, source: Source) -> None:
        if not self._closed.is_set() and source != self._source:
            self._source = source
            self._listener.source_changed(source)

    def _follow(self) -> None:
        attempt = 0
        while not self._closed.is_set():
            try:
                # Open the stream before listing, so that no event is missed in between.
                self._stream = self.endpoint.events()
                self._stream.on_skipped = self._skip
                self._due.set()
                attempt = 0
                for event in self._stream:
                    if not event.action.startswith(_NOISE):
                        self._due.set()
                        self._frames.add(event)
                    if self._closed.is_set():
                        break
                problem, hint = "the connection to the Engine ended", "trying again"
            except Exception as error:  # noqa: BLE001 - if this thread died, the list would never change again
                problem, hint = _describe_error(error)
            finally:
                if self._stream:
                    self._stream.close()
            self._publish(replace(self._source, facts=None, problem=problem, hint=hint))
            self._wake.wait(_RETRY[min(attempt, len(_RETRY) - 1)])
            self._wake.clear()
            attempt += 1

    def _skip(self) -> None:
        """Ask for the list, which an event that was not understood may have changed."""
        self._due.set()
        if not self._has_reported_skipped:
            self._has_reported_skipped = True
            self._listener.skipped(self.endpoint.name)

    def _list(self) -> None:
        confirm: Iterator[float] = iter(())
        elapsed = 0.0
        while not self._closed.is_set():
            if self._due.wait(next(confirm, None)):
                self._closed.wait(
                    max(_BURST, elapsed)
                )  # under a flood of events, spend at most half the time on listing
                self._due.clear()
                confirm = iter(_CONFIRM if self.endpoint.live else ())
            if self._closed.is_set():
                return
            was_requested = self._requested.is_set()
            self._requested.clear()
            started_at = time.monotonic()
            self._list_once()
            elapsed = time.monotonic() - started_at
            if was_requested:
                self._listener.listed(self._source.problem)

    def _list_once(self) -> None:
        try:
            containers = self.endpoint.snapshot()
            self._publish(replace(self._source, containers=containers, listed=True, problem="", hint=""))
            if self._source.facts is None:
                self._publish(replace(self._source, facts=self.endpoint.facts()))
        except Exception as error:  # noqa: BLE001 - as above
            problem, hint = _describe_error(error)
            self._publish(replace(self._source, problem=problem, hint=hint))
