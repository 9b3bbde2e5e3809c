"""A live Engine: Docker 20.10 to 29, or podman's compatible API, over a unix socket, tcp or ssh."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.core.errors import DtuiError, LayerError, NotFound
from tui.core.model import Container, Details, EngineFacts, Event, LayerStack, Proof, Reach, ReachKind, Trust
from tui.core.text import printable
from tui.drivers.base import DataRoot
from tui.drivers.registry import driver_for, reach_of
from tui.drivers.snapshotters import Snapshotter
from tui.engine import containerd, parse
from tui.engine.endpoint import LogLine, Verb
from tui.engine.loglines import LogParser
from tui.engine.offline import OfflineEndpoint
from tui.engine.owners import with_ids
from tui.engine.sdk import APIClient, ErrorChunk, close_stream, connect, engine_errors

_CONTAINERD = "/run/containerd/containerd.sock"
"""Where Engines before 27, which do not tell, find a containerd that somebody else runs."""

_STOP_SECONDS = 10
"""Time a container has to end by itself, as ``docker stop``."""


class LiveEndpoint:
    """An Engine that answers. Fulfils :class:`tui.engine.endpoint.Endpoint`."""

    live = True

    def __init__(self, name: str, address: str, *, tls: Any = None) -> None:
        self.name = name
        self.address = address
        self._tls = tls
        self._mine = threading.local()
        self._clients: list[APIClient] = []
        self._lock = threading.Lock()
        self._last_facts: EngineFacts | None = None
        self._last_disk: OfflineEndpoint | None = None
        self._names: dict[str, str] = {}

    @property
    def local(self) -> bool:
        """Whether the Engine's files are on this host: only then does a path of its mean anything here."""
        return self.address.startswith(("unix://", "/", "http+unix://"))

    @property
    def client(self) -> APIClient:
        """This thread's own connection."""
        client: APIClient | None = getattr(self._mine, "client", None)
        if client is None:
            client = self.connect()
            self._mine.client = client
        return client

    def connect(self, *, timeout: int | None = 60) -> APIClient:
        """Return a connection of its own, closed with the endpoint."""
        client = connect(self.address, tls=self._tls, timeout=timeout)
        with self._lock:
            self._clients.append(client)
        return client

    def close(self) -> None:
        """Give back all connections."""
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    @property
    def _facts(self) -> EngineFacts:
        # not functools.cached_property: until Python 3.12 all its instances share one lock, and an Engine that
        # never answers would hold up every other
        return self._last_facts or self.facts()

    def facts(self) -> EngineFacts:
        """Say who answers."""
        with engine_errors(self.name):
            version, info = self.client.version(), self.client.info()
        self._last_facts = parse.facts_of(self.name, version, info, self._proof())
        return self._last_facts

    def _proof(self) -> Proof:
        if self.local:
            return Proof(Trust.PROVEN, "a socket of this host")
        return Proof(Trust.REMOTE, "the Engine runs on another host")

    def snapshot(self) -> tuple[Container, ...]:
        """List all containers by one call."""
        driver = self._facts.driver
        with engine_errors(self.name):
            rows = self.client.containers(all=True)
        listed = tuple(parse.listed_container(row, self.name, driver) for row in rows)
        self._names = {row.id: row.name for row in listed}
        return listed + self._hidden({row.id for row in listed})

    @property
    def _disk(self) -> OfflineEndpoint | None:
        """The Engine's data-root as it lies on this host, None where we cannot look into it."""
        root = Path(self._facts.data_root or "/var/lib/docker")
        if self._last_disk is None and self.local and os.access(root / "containers", os.R_OK | os.X_OK):
            with suppress(DtuiError):
                self._last_disk = OfflineEndpoint(self.name, root)
        return self._last_disk

    def _hidden(self, listed: set[str]) -> tuple[Container, ...]:
        """Return the containers of other storage drivers, which the daemon finds on disk and leaves out of its list."""
        disk = self._disk
        if disk is None:
            return ()
        others = disk.rows_beside(listed)
        return tuple(replace(row, hidden=True) for row in others if row.driver != self._facts.driver)

    def size(self, container_id: str) -> int | None:
        """Ask the Engine for the bytes in the writable layer; it walks the layer for that."""
        with engine_errors(self.name):
            rows = self.client.containers(all=True, size=True, filters={"id": container_id})
        return (parse.container_of(rows[0], self.name, self._facts.driver).size_rw or 0) if rows else None

    def inspect(self, container_id: str) -> Details:
        """Ask for everything about one container."""
        try:
            with engine_errors(self.name):
                body = self.client.inspect_container(container_id)
        except NotFound:
            return self._inspect_hidden(container_id)
        return self._details(body)

    def _inspect_hidden(self, container_id: str) -> Details:
        disk = self._disk
        details = disk.inspect(container_id) if disk else None
        if details is None or details.container.driver == self._facts.driver:
            raise NotFound(f"there is no container {container_id[:12]}", "the list shows what there is")
        return replace(details, container=replace(details.container, hidden=True))

    @parse.understood
    def _details(self, body: dict[str, Any]) -> Details:
        driver = self._facts.driver
        state = body.get("State") or {}
        pid = int(state.get("Pid") or 0)
        stack, problem = self._stack(body)
        mode = str((body.get("HostConfig") or {}).get("UsernsMode") or "")
        here = pid if self.local else 0
        stack = with_ids(stack, Path(self._facts.data_root), str(body["Id"]), pid=here, mode=mode)
        return Details(
            container=parse.inspected_container(body, self.name, driver),
            pid=pid,
            argv=parse.argv_of(body),
            working_dir=str((body.get("Config") or {}).get("WorkingDir") or ""),
            error=str(state.get("Error") or ""),
            oom_killed=bool(state.get("OOMKilled")),
            restart_count=int(body.get("RestartCount") or 0),
            started_at=parse.parse_time(state.get("StartedAt")),
            finished_at=parse.parse_time(state.get("FinishedAt")),
            mounts=parse.mounts_of(body),
            stack=stack,
            reach=_by_engine(reach_of(driver, stack, local=self.local, problem=problem)),
            log_path=str(body.get("LogPath") or ""),
            mount_id=stack.writable.id if stack else "",
            settings=parse.settings_of(body),
        )

    def _stack(self, body: dict[str, Any]) -> tuple[LayerStack | None, DtuiError | None]:
        known = driver_for(self._facts.driver)
        if known is None:
            return None, None
        graph = body.get("GraphDriver") or {}
        data = {str(key): str(value) for key, value in (graph.get("Data") or {}).items()}
        try:
            if known.tells and data.get(known.tells):
                return known.from_engine(str(body["Id"]), data), None
            if not self.local:
                return None, None
            root = DataRoot(Path(self._facts.data_root or "/var/lib/docker"))
            if isinstance(known, Snapshotter):
                return self._snapshot(known, root, str(body["Id"])), None
            return known.from_data_root(root, str(body["Id"])), None
        except DtuiError as error:
            return None, error

    def _snapshot(self, known: Snapshotter, root: DataRoot, container_id: str) -> LayerStack:
        """Ask containerd where it keeps a container's snapshot; where nobody answers, look for it in the data-root."""
        address, namespace = self._facts.containerd or _CONTAINERD, self._facts.namespace
        try:
            home = containerd.snapshotter_root(address, namespace, known.driver.name)
            parts = containerd.mounts(address, namespace, known.driver.name, container_id)
        except DtuiError:
            return known.from_data_root(root, container_id)
        stack = known.in_home(home, root, container_id, address)
        told = next((part.writable for part in parts if part.writable), None)
        if told not in (None, stack.writable.path):
            raise LayerError(
                f"containerd says {printable(str(told))}, its database {printable(str(stack.writable.path))}",
                "try again",
            )
        return stack

    def events(self) -> LiveEvents:
        """Announce what happens to containers from now on."""
        client = self.connect(timeout=None)
        with engine_errors(self.name):
            return LiveEvents(self.name, client, client.events(decode=True, filters={"type": "container"}))

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> LiveLogs:
        """Yield the log from its last ``tail`` lines on, None for all of it."""
        client = self.connect(timeout=None)
        with engine_errors(self.name):
            stream = client.logs(
                container_id, stream=True, follow=follow, timestamps=True, tail="all" if tail is None else tail
            )
        return LiveLogs(self.name, client, stream)

    def act(self, container_id: str, verb: Verb) -> None:
        """Do one thing to a container."""
        client = self.client
        with engine_errors(f"{verb} {self._names.get(container_id, container_id[:12])}"):
            match verb:
                case Verb.START:
                    client.start(container_id)
                case Verb.STOP:
                    client.stop(container_id, timeout=_STOP_SECONDS)
                case Verb.RESTART:
                    client.restart(container_id, timeout=_STOP_SECONDS)
                case Verb.PAUSE:
                    client.pause(container_id)
                case Verb.UNPAUSE:
                    client.unpause(container_id)
                case Verb.KILL:
                    client.kill(container_id)
                case Verb.REMOVE:
                    client.remove_container(container_id, force=True)


def _by_engine(reach: Reach) -> Reach:
    """Where the layer itself is out of reach, there is still the Engine's archive API."""
    return replace(reach, kind=ReachKind.ENGINE) if reach.kind is ReachKind.NONE else reach


class _LiveStream:
    """A stream on a connection of its own."""

    def __init__(self, name: str, client: APIClient, stream: Any) -> None:
        self._name = name
        self._client = client
        self._stream = stream
        self._closed = False

    def close(self) -> None:
        """End the stream from any thread."""
        self._closed = True
        close_stream(self._stream)
        self._client.close()

    def _chunks(self) -> Iterator[Any]:
        try:
            with engine_errors(self._name):
                yield from self._stream
        except DtuiError:
            if not self._closed:  # closing pulls the connection away: that is no trouble
                raise


class LiveEvents(_LiveStream):
    """The Engine's events of containers."""

    def __iter__(self) -> Iterator[Event]:
        for body in self._chunks():
            yield parse.event_of(body)


class LiveLogs(_LiveStream):
    """A container's log."""

    def __iter__(self) -> Iterator[LogLine]:
        out, err = LogParser(), LogParser(error=True)
        for chunk in self._chunks():
            yield from (err if isinstance(chunk, ErrorChunk) else out).feed(chunk)
        yield from (*out.end(), *err.end())
