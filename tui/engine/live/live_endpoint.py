"""A live Engine: Docker 20.10 to 29, or podman's compatible API, over a unix socket, tcp or ssh."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui.core.errors import DtuiError, EngineError, LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import (
    AccessKind,
    Container,
    Details,
    Driver,
    EngineFacts,
    Event,
    LayerAccess,
    LayerStack,
    Proof,
    Trust,
)
from tui.core.text import printable
from tui.drivers.data_root import DataRoot
from tui.drivers.registry import access_of, driver_for
from tui.drivers.snapshotters import Snapshotter
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.endpoint import LogLine, Verb
from tui.engine.live import answers, containerd, parse
from tui.engine.live.sdk import Client, ErrorChunk, connect, engine_errors
from tui.engine.live.transport import Connections
from tui.engine.live.trust import Peer, engine_proof, is_engine_of, layer_proof, unproven_by, unproven_by_layer
from tui.engine.log_lines import LogParser
from tui.engine.user_ids import with_ids

_CONTAINERD = "/run/containerd/containerd.sock"
"""Usual socket of the system's containerd; Engines before 27 do not report it."""

_STOP_SECONDS = 10
"""Seconds that a container has to end by itself, as with ``docker stop``."""


class LiveEndpoint:
    """An Engine that runs. Fulfils :class:`tui.engine.endpoint.Endpoint`."""

    live = True

    def __init__(self, name: str, address: str, *, tls: Any = None) -> None:
        self.name = name
        self.address = address
        self._tls = tls
        self._thread_local = threading.local()
        self._connections: weakref.WeakSet[Connections] = weakref.WeakSet()
        self._closed = False
        self._lock = threading.Lock()
        self._last_facts: EngineFacts | None = None
        self._last_offline: OfflineEndpoint | None = None
        self._names: dict[str, str] = {}
        self._hidden_ids: frozenset[str] = frozenset()

    @property
    def local(self) -> bool:
        """Whether the Engine's files are proven to be on this host. Asks the Engine the first time."""
        return self._facts.proof.proven

    @property
    def client(self) -> Client:
        """This thread's own connection: the SDK's sessions are not thread-safe."""
        client: Client | None = getattr(self._thread_local, "client", None)
        if client is None:
            client = self.connect()
            self._thread_local.client = client
        return client

    def connect(self, *, timeout: int | None = 60) -> Client:
        """Return a new connection, closed with the endpoint."""
        connections = Connections()
        with self._lock:
            if self._closed:
                connections.close()
            self._connections.add(connections)  # before connecting, so that closing also ends a connect that hangs
        return connect(self.address, tls=self._tls, timeout=timeout, connections=connections)

    def close(self) -> None:
        """Close all connections, which wakes threads waiting on them with an error. Never waits."""
        with self._lock:
            self._closed = True
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    @property
    def _facts(self) -> EngineFacts:
        # not functools.cached_property: until Python 3.12 all its instances share one lock, and an Engine that
        # never answers would hold up every other
        return self._last_facts or self.facts()

    def facts(self) -> EngineFacts:
        """Ask who answers; raises EngineLost, EngineError."""
        client = self.client
        with engine_errors(self.name):
            version = client.version()
            info = client.info()
        facts = parse.facts_of(self.name, version, info)
        self._last_facts = replace(facts, proof=engine_proof(client.peer, facts.data_root))
        return self._last_facts

    def _proof_of(self, peer: Peer | None) -> Proof:
        """Judge who gave the last answer. It may be another process than the one that reported the facts."""
        facts = self._facts
        return engine_proof(peer, facts.data_root) if facts.proof.proven else facts.proof

    def snapshot(self) -> tuple[Container, ...]:
        """List all containers in one call, and those that the daemon hides."""
        facts, client = self._facts, self.client
        with engine_errors(self.name):
            by_id = {container.id: container for container in self._listed_containers(facts.driver, all=1)}
        proof = self._proof_of(client.peer)
        listed = tuple(replace(container, trust=proof.trust) for container in by_id.values())
        self._names = {container.id: container.name for container in listed}
        return listed + (self._hidden({container.id for container in listed}, client.peer) if proof.proven else ())

    @property
    def _offline(self) -> OfflineEndpoint | None:
        """The Engine's data-root, None if it is not proven to be on this host or cannot be read."""
        facts = self._facts
        root = Path(facts.data_root)
        if self._last_offline is None and facts.proof.proven and os.access(root / "containers", os.R_OK | os.X_OK):
            with suppress(DtuiError):
                self._last_offline = OfflineEndpoint(self.name, root)
        return self._last_offline

    def _hidden(self, listed: set[ContainerId], peer: Peer | None) -> tuple[Container, ...]:
        """Return containers of other storage drivers, which are on disk but not in the daemon's list.

        They come from the disk alone, so the Engine must be the one of this data-root: otherwise an Engine of another
        host, forwarded here by root, would be given containers of this host.
        """
        offline = self._offline
        if offline is None or peer is None or not (offline.has_any_of(listed) or is_engine_of(peer, offline.root.path)):
            self._hidden_ids = frozenset()
            return ()
        unlisted = offline.unlisted(set(listed))
        hidden = tuple(
            replace(container, hidden=True) for container in unlisted if container.driver != self._facts.driver
        )
        self._hidden_ids = frozenset(container.id for container in hidden)
        return hidden

    def size(self, container_id: str) -> int | None:
        """Ask the Engine for the bytes in the writable layer, which it walks for that."""
        filters = json.dumps({"id": [container_id]})
        with engine_errors(self.name):
            for row in self.client.rows("/containers/json", parse.MAX_CONTAINERS, all=1, size=1, filters=filters):
                listed = parse.listed_container(row, self.name, self._facts.driver)
                if listed.id == container_id:
                    return listed.size_rw if "SizeRw" in row else 0  # the Engine omits 0
        return None

    def _listed_containers(self, driver: Driver, **params: Any) -> Iterator[Container]:
        """Yield the containers of a list call as they arrive."""
        for row in self.client.rows("/containers/json", parse.MAX_CONTAINERS, **params):
            yield parse.listed_container(row, self.name, driver)

    def inspect(self, container_id: str) -> Details:
        """Ask for everything about one container; raises EngineError if the answer is about another one."""
        client = self.client
        try:
            with engine_errors(self.name):
                body = client.inspect_container(container_id)
        except NotFound:
            return self._inspect_hidden(container_id)
        return self._details(body, ContainerId(container_id), client.peer)

    def _inspect_hidden(self, container_id: str) -> Details:
        offline = self._offline if container_id in self._hidden_ids else None
        details = offline.inspect(container_id) if offline else None
        if details is None or details.container.driver == self._facts.driver:
            raise NotFound(f"there is no container {container_id[:12]}", "dtui ls lists the containers")
        return replace(details, container=replace(details.container, hidden=True))

    @parse.checks_answer("a container")
    def _details(self, body: dict[str, Any], container_id: ContainerId, peer: Peer | None) -> Details:
        driver = self._facts.driver
        container = parse.inspected_container(body, self.name, driver)
        if container.id != container_id:
            raise EngineError(
                f"{self.name} was asked about container {container_id[:12]} but answered about {container.short_id}",
                "dtui does not use the answer",
            )
        layers = self._layers(body, container_id, container.name, peer)
        state = parse.object_of(body.get("State"))
        pid = parse.pid_of(body)
        settings = parse.settings_of(body)
        if pid and not layers.proof.proven:
            settings = (("pid on its host", str(pid)), *settings)
        pid = pid if layers.proof.proven else 0
        mode = str((body.get("HostConfig") or {}).get("UsernsMode") or "")
        stack, reported_stack = (
            with_ids(layer_stack, Path(self._facts.data_root), container_id, pid=pid, mode=mode)
            for layer_stack in (layers.stack, layers.reported_stack)
        )
        return Details(
            container=replace(container, trust=layers.proof.trust),
            pid=pid,
            argv=parse.argv_of(body),
            working_dir=parse.text_of(parse.object_of(body.get("Config")).get("WorkingDir")),
            error=parse.text_of(state.get("Error")),
            oom_killed=state.get("OOMKilled") is True,
            restart_count=parse.number_of(body.get("RestartCount")),
            started_at=parse.parse_time(state.get("StartedAt")),
            finished_at=parse.parse_time(state.get("FinishedAt")),
            mounts=parse.mounts_of(body),
            stack=stack,
            access=_access_of(driver, layers),
            log_path=parse.text_of(body.get("LogPath")),
            mount_id=stack.writable.id if stack else "",
            settings=settings,
            proof=layers.proof,
            reported_stack=reported_stack,
            lifecycle=parse.lifecycle_of(body),
            labels=parse.container_labels(body),
        )

    def _layers(self, body: dict[str, Any], container_id: ContainerId, name: str, peer: Peer | None) -> _Layers:
        """Find a container's layers in the records on this host, if the Engine may be trusted at all."""
        facts, proof = self._facts, self._proof_of(peer)
        storage_driver = driver_for(facts.driver)
        data = (body.get("GraphDriver") or {}).get("Data") or {}
        data = {str(key): str(value) for key, value in data.items()}
        reported_stack = None
        if storage_driver and storage_driver.engine_key and data.get(storage_driver.engine_key):
            try:
                reported_stack = storage_driver.from_engine(container_id, data)
            except DtuiError:
                proof = unproven_by_layer(data[storage_driver.engine_key]) if proof.proven else proof
        if not proof.proven or peer is None or storage_driver is None:
            return _Layers(proof, reported_stack=reported_stack)
        try:
            root = DataRoot(Path(facts.data_root))
            if isinstance(storage_driver, Snapshotter):
                stack = self._snapshot(storage_driver, root, container_id)
            else:
                stack = storage_driver.from_data_root(root, container_id)
            verdict = layer_proof(peer, root, container_id, name, stack, reported_stack, facts.data_root)
        except DtuiError as error:
            return _Layers(unproven_by(error), reported_stack=reported_stack)
        if not verdict.proven:
            return _Layers(verdict, reported_stack=reported_stack)
        return _Layers(replace(proof, reason=f"{proof.reason}; {verdict.reason}"), stack)

    def _snapshot(self, snapshotter: Snapshotter, root: DataRoot, container_id: str) -> LayerStack:
        """Ask containerd where a container's snapshot is; if it does not answer, search the data-root."""
        address, namespace = self._facts.containerd or _CONTAINERD, self._facts.namespace
        try:
            home = DataRoot(containerd.snapshotter_root(address, namespace, snapshotter.driver.name))
            snapshot_mounts = containerd.mounts(address, namespace, snapshotter.driver.name, container_id)
        except DtuiError:
            return snapshotter.from_data_root(root, container_id)
        stack = snapshotter.stack_in(home, root, container_id, address)
        reported_path = next((mount.writable for mount in snapshot_mounts if mount.writable), None)
        if reported_path not in (None, stack.writable.path):
            recorded_path = printable(str(stack.writable.path))
            raise LayerError(
                f"containerd names {printable(str(reported_path))}, but its database {recorded_path}", "try again"
            )
        return stack

    def events(self) -> LiveEvents:
        """Return a stream of what happens to containers from now on."""
        client = self.connect(timeout=None)
        with engine_errors(self.name):
            return LiveEvents(self.name, client, client.event_lines(filters=json.dumps({"type": ["container"]})))

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> LiveLogs:
        """Return the log from its last ``tail`` lines on, or all of it for None."""
        with engine_errors(self.name):
            tty = parse.is_tty(self.client.inspect_container(container_id))
        client = self.connect(timeout=None)
        last = "all" if tail is None else tail
        options = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "tail": last}
        with engine_errors(self.name):
            stream = client.log_chunks(container_id, tty=tty, **options)
        return LiveLogs(self.name, client, stream)

    def act(self, container_id: str, verb: Verb) -> None:
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


@dataclass(frozen=True, slots=True)
class _Layers:
    """A container's layers: proven ones from the records on this host, else those that the Engine reports."""

    proof: Proof
    stack: LayerStack | None = None
    reported_stack: LayerStack | None = None


def _access_of(driver: Driver, layers: _Layers) -> LayerAccess:
    """Return how the writable layer can be reached: if not directly, then through the Engine's archive API."""
    if not layers.proof.proven:
        display_path = printable(str(layers.reported_stack.writable.path)) if layers.reported_stack else ""
        location = f"; the layer there is {display_path}" if display_path and layers.proof.trust is Trust.REMOTE else ""
        return LayerAccess(AccessKind.ENGINE, layers.proof.reason + location)
    access = access_of(driver, layers.stack, local=True)
    return replace(access, kind=AccessKind.ENGINE) if access.kind is AccessKind.NONE else access


class _LiveStream:
    """A stream on a connection of its own."""

    def __init__(self, name: str, client: Client, stream: Any) -> None:
        self._name = name
        self._client = client
        self._stream = stream
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._client.close()

    def _chunks(self) -> Iterator[Any]:
        try:
            with engine_errors(self._name):
                yield from self._stream
        except DtuiError:
            if not self._closed:  # the error is the result of our own close()
                raise


class LiveEvents(_LiveStream):
    """The Engine's container events."""

    def __init__(self, name: str, client: Client, stream: Any) -> None:
        super().__init__(name, client, stream)
        self.skipped = 0
        """Number of events that could not be parsed."""
        self.on_skipped: Callable[[], object] = lambda: None

    def __iter__(self) -> Iterator[Event]:
        for line in self._chunks():
            try:
                yield parse.event_of(answers.decode_json(line))
            except EngineError:
                self.skipped += 1
                self.on_skipped()


class LiveLogs(_LiveStream):
    """A container's log."""

    def __iter__(self) -> Iterator[LogLine]:
        out, err = LogParser(), LogParser(error=True)
        for chunk in self._chunks():
            yield from (err if isinstance(chunk, ErrorChunk) else out).feed(chunk)
        yield from (*out.end(), *err.end())
