"""A live Engine as a place to run benchmarks, with images and containers through the SDK."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from tui.core.errors import DtuiError, NotFound
from tui.core.ids import ContainerId
from tui.engine.live import parse
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.engine.live.sdk import Client, engine_errors
from tui.linux.mount_table import file_system_at

WORK = "/work"
"""A directory in the image; files created in it are in the container's writable layer."""

_VOLUME = "/volume"


_KILLED = 137
"""Exit code of a killed process. The Engine reports none if the container was removed meanwhile."""


class EngineProcess:
    """A process in a benchmark container."""

    def __init__(self, client: Client, container_id: str, argv: tuple[str, ...]) -> None:
        self._client = client
        with engine_errors("benchmark"):
            self._id = parse.container_id_of(client.exec_create(container_id, list(argv)))
            self._stream = client.exec_start(self._id, stream=True)

    def output(self) -> Iterator[bytes]:
        with engine_errors("benchmark"):
            yield from self._stream

    def wait(self) -> int:
        """Return the exit code; the output has already ended."""
        with engine_errors("benchmark"):
            code = parse.process_exit_code(self._client.exec_inspect(self._id))
        return _KILLED if code is None else code


class EngineContainer:
    """A running container, with the times that the Engine took to create and start it."""

    def __init__(
        self, endpoint: LiveEndpoint, image: str, labels: Mapping[str, str], volume: Path | None = None
    ) -> None:
        self._endpoint = endpoint
        self._client: Client = endpoint.connect(timeout=None)  # a process may print nothing for a long time
        client = self._client
        with engine_errors("benchmark"):
            started_at = time.perf_counter()
            binds = [f"{volume}:{_VOLUME}"] if volume else None
            host = client.create_host_config(network_mode="none", binds=binds)
            # an unguessable name: a forwarded Engine cannot answer with another container of the same name
            name = f"dtui-bench-{secrets.token_hex(8)}"
            created = client.create_container(image, name=name, labels=dict(labels), host_config=host)
            self.id: str = ContainerId(parse.container_id_of(created))
            self.create_seconds = time.perf_counter() - started_at
        try:
            with engine_errors("benchmark"):
                started_at = time.perf_counter()
                client.start(self.id)
                self.start_seconds = time.perf_counter() - started_at
            self.pid = self._pid(name) if endpoint.local else 0
        except DtuiError:
            with suppress(DtuiError):  # report the first error; a later run removes the container
                self.remove()
            raise

    def _pid(self, name: str) -> int:
        """Return the first process, 0 if it is not proven to belong to the container just created."""
        details = self._endpoint.inspect(self.id)
        return details.pid if details.container.name == name else 0

    def run(self, argv: tuple[str, ...]) -> EngineProcess:
        return EngineProcess(self._client, self.id, argv)

    def stop(self) -> None:
        with engine_errors("benchmark"):
            self._endpoint.client.kill(self.id)

    def remove(self) -> None:
        try:
            with suppress(NotFound), engine_errors("benchmark"):
                self._endpoint.client.remove_container(self.id, force=True, v=True)
        finally:
            self._client.close()


class EngineBenchHost:
    """Fulfils :class:`tui.bench.protocols.BenchHost` on a live endpoint."""

    def __init__(self, endpoint: LiveEndpoint, volume: Path | None = None) -> None:
        self.endpoint = endpoint
        self._volume = volume

    @property
    def local(self) -> bool:
        return self.endpoint.local

    def describe(self) -> dict[str, str]:
        facts = self.endpoint.facts()
        return {
            "endpoint": facts.endpoint,
            "engine": f"{facts.product} {facts.version}",
            "driver": "volume" if self._volume else facts.driver.name,
            "backing": facts.backing or (file_system_at(facts.data_root) if facts.local else ""),
            "data_root": facts.data_root,
        }

    def free_bytes(self) -> int | None:
        facts = self.endpoint.facts()
        try:
            file_system = os.statvfs(facts.data_root) if facts.local else None
        except OSError:
            return None
        return file_system.f_bavail * file_system.f_frsize if file_system else None

    def has_image(self, name: str) -> bool:
        try:
            with engine_errors("benchmark image"):
                self.endpoint.client.inspect_image(name)
        except NotFound:
            return False
        return True

    def import_image(self, name: str, tar: bytes, labels: Mapping[str, str], command: tuple[str, ...]) -> None:
        repository, _, tag = name.partition(":")
        changes = [f"LABEL {key}={value}" for key, value in labels.items()] + [f"CMD {json.dumps(command)}"]
        with engine_errors("benchmark image"):
            self.endpoint.client.import_image_from_data(tar, repository=repository, tag=tag, changes=changes)

    def load_image(self, archive: IO[bytes]) -> None:
        """Load an image on a connection without a time limit: it may take longer than other calls."""
        client = self.endpoint.connect(timeout=None)
        try:
            with engine_errors("benchmark image"):
                for _ in client.load_image(archive, quiet=True):
                    pass
        finally:
            client.close()

    def start_container(self, image: str, labels: Mapping[str, str]) -> EngineContainer:
        return EngineContainer(self.endpoint, image, labels, self._volume)

    def work_directory(self) -> str:
        """Return the work directory of the image, or the mount point of the volume."""
        return _VOLUME if self._volume else WORK

    def leftovers(self, label: str) -> list[tuple[str, str]]:
        with engine_errors("benchmark"):
            filters = json.dumps({"label": [label]})
            rows = self.endpoint.client.rows("/containers/json", parse.MAX_CONTAINERS, all=1, filters=filters)
            return [parse.id_and_label(row, label) for row in rows if parse.labels_of(row).get(label) is not None]

    def remove_container(self, container_id: str) -> None:
        with engine_errors("benchmark"):
            self.endpoint.client.remove_container(container_id, force=True, v=True)

    def remove_images(self, label: str) -> int:
        with engine_errors("benchmark image"):
            rows = self.endpoint.client.images(filters={"label": label})
            images = parse.image_ids(rows)
            for image in images:
                self.endpoint.client.remove_image(image, force=True)
        return len(images)


class EndpointTarget:
    """A running Engine as a target, left as it is. Fulfils :class:`tui.bench.protocols.Target`."""

    control = False

    def __init__(self, endpoint: LiveEndpoint, name: str = "") -> None:
        self._endpoint = endpoint
        self.name = name or endpoint.name
        self.has_images = endpoint.local and os.geteuid() == 0

    def open(self) -> EngineBenchHost:
        return EngineBenchHost(self._endpoint)

    def close(self) -> None:
        """Do nothing: the Engine was there before."""
