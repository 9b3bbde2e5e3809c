"""An Engine whose containers a test controls; it records the acts that are requested."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from tui.core.errors import DtuiError, NotFound
from tui.core.ids import ContainerId
from tui.core.lifecycle import UNKNOWN_LIFECYCLE
from tui.core.records import AccessKind, Container, Details, Driver, DriverKind, EngineFacts, Event, LayerAccess, State
from tui.engine.endpoint import LogLine, Verb

_DRIVER = Driver(DriverKind.GRAPH, "overlay2")
_AFTER = {
    Verb.START: State.RUNNING,
    Verb.RESTART: State.RUNNING,
    Verb.STOP: State.EXITED,
    Verb.KILL: State.EXITED,
    Verb.PAUSE: State.PAUSED,
    Verb.UNPAUSE: State.RUNNING,
}
_EVENTS = {
    Verb.START: ("start",),
    Verb.RESTART: ("die", "start"),
    Verb.STOP: ("die",),
    Verb.KILL: ("die",),
    Verb.PAUSE: ("pause",),
    Verb.UNPAUSE: ("unpause",),
    Verb.REMOVE: ("destroy",),
}


class _Stream:
    def __init__(self) -> None:
        self.queue: queue.Queue[Event | None] = queue.Queue()
        self.on_skipped: Callable[[], object] = lambda: None

    def __iter__(self) -> Iterator[Event]:
        return iter(self.queue.get, None)

    def close(self) -> None:
        self.queue.put(None)


class _Log:
    def __iter__(self) -> Iterator[LogLine]:
        return iter(())

    def close(self) -> None:
        pass


class Pretend:
    """Implements :class:`tui.engine.endpoint.Endpoint`. Ids are hashes of names, and later rows are older."""

    live = True
    address = "pretend://"

    def __init__(self, states: dict[str, State], name: str = "pretend") -> None:
        self.name = name
        self.acts: list[tuple[str, Verb]] = []
        self.refuses: DtuiError | None = None
        self.error = ""
        self.lifecycle = UNKNOWN_LIFECYCLE
        self._stream = _Stream()
        self.rows = [
            Container(
                endpoint=name,
                id=ContainerId(hashlib.sha256(called.encode()).hexdigest()),
                name=called,
                state=state,
                status=state.value,
                driver=_DRIVER,
                image="shop/web:1",
                created=datetime(2024, 1, 1, 12, 0, 59 - number, tzinfo=UTC),
                exit_code=0 if state is State.EXITED else None,
            )
            for number, (called, state) in enumerate(states.items())
        ]

    def move(self, called: str, state: State | None, *actions: str, exit_code: int = 0) -> None:
        """Set the state of a container, None to remove it, and send the events ``actions`` ("rename" by default)."""
        now = {row.name: row for row in self.rows}
        row = now.pop(called)
        code = exit_code if state is State.EXITED else None
        self.rows = [
            replace(one, state=state, status=state.value, exit_code=code) if one is row and state else one
            for one in self.rows
            if one is not row or state
        ]
        for action in actions or ("rename",):
            self._stream.queue.put(Event(action, row.id, exit_code))

    def facts(self) -> EngineFacts:
        return EngineFacts(self.name, "Docker", "1", "1.41", _DRIVER, "ext4", "/nowhere")

    def snapshot(self) -> tuple[Container, ...]:
        return tuple(self.rows)

    def inspect(self, container_id: str) -> Details:
        row = next((row for row in self.rows if row.id == container_id), None)
        if row is None:
            raise NotFound(f"no {container_id}")
        reach = LayerAccess(AccessKind.NONE, "it is pretended")
        details = Details(row, 0, ("true",), "/", self.error, False, 0, None, None, (), None, reach)
        return replace(details, lifecycle=self.lifecycle)

    def size(self, container_id: str) -> int | None:
        del container_id
        return None

    def events(self) -> _Stream:
        return self._stream

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> _Log:
        del container_id, follow, tail
        return _Log()

    def act(self, container_id: str, verb: Verb) -> None:
        row = next((row for row in self.rows if row.id == container_id), None)
        if row is None:
            raise NotFound(f"no {container_id}")
        self.acts.append((row.name, verb))
        if self.refuses:
            self.error = "refused"
            raise self.refuses
        self.move(row.name, _AFTER.get(verb), *_EVENTS[verb])

    def close(self) -> None:
        self._stream.close()
