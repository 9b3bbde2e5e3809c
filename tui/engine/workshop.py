"""A live Engine as a place to run benchmarks: images and containers by the SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from tui.core.errors import NotFound
from tui.engine.live import LiveEndpoint
from tui.engine.sdk import APIClient, close_stream, engine_errors


class EngineJob:
    """A benchmark container, attached before it started so that no byte is missed."""

    def __init__(self, endpoint: LiveEndpoint, image: str, argv: tuple[str, ...], labels: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._client: APIClient = endpoint.connect(timeout=None)
        with engine_errors("benchmark"):
            host = self._client.create_host_config(network_mode="none")
            made = self._client.create_container(image, list(argv), labels=dict(labels), host_config=host)
            self.id = str(made["Id"])
            self._stream = self._client.attach(self.id, stdout=True, stderr=True, stream=True)
            self._client.start(self.id)

    def output(self) -> Iterator[bytes]:
        """Yield what it prints until it ends."""
        with engine_errors("benchmark"):
            yield from self._stream

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        with engine_errors("benchmark"):
            return int(self._client.wait(self.id)["StatusCode"])

    def stop(self) -> None:
        """Ask it to end: iozone unlinks its file on SIGTERM."""
        with engine_errors("benchmark"):
            self._endpoint.client.stop(self.id, timeout=3)

    def remove(self) -> None:
        """Remove the container and all it wrote."""
        close_stream(self._stream)
        try:
            with engine_errors("benchmark"):
                self._endpoint.client.remove_container(self.id, force=True, v=True)
        except NotFound:
            return
        finally:
            self._client.close()


class EngineWorkshop:
    """Fulfils :class:`tui.bench.workshop.Workshop` on a live endpoint."""

    def __init__(self, endpoint: LiveEndpoint) -> None:
        self._endpoint = endpoint

    def describe(self) -> dict[str, str]:
        """Return facts for the record."""
        facts = self._endpoint.facts()
        return {
            "endpoint": facts.endpoint,
            "engine": f"{facts.product} {facts.version}",
            "driver": facts.driver.name,
            "backing": facts.backing,
            "data_root": facts.data_root,
        }

    def free_bytes(self) -> int | None:
        """Return the free space of the data-root, if it is on this host."""
        facts = self._endpoint.facts()
        try:
            found = os.statvfs(facts.data_root) if facts.local else None
        except OSError:
            return None
        return found.f_bavail * found.f_frsize if found else None

    def has_image(self, name: str) -> bool:
        """Say whether an image is there."""
        try:
            with engine_errors("benchmark image"):
                self._endpoint.client.inspect_image(name)
        except NotFound:
            return False
        return True

    def import_image(self, repository: str, tag: str, tar: bytes, labels: Mapping[str, str]) -> None:
        """Make an image of one layer, labelled."""
        changes = [f"LABEL {key}={value}" for key, value in labels.items()]
        with engine_errors("benchmark image"):
            self._endpoint.client.import_image_from_data(tar, repository=repository, tag=tag, changes=changes)

    def start(self, image: str, argv: tuple[str, ...], labels: Mapping[str, str]) -> EngineJob:
        """Start a container without network."""
        return EngineJob(self._endpoint, image, argv, labels)

    def leftovers(self, label: str) -> list[tuple[str, str]]:
        """Return the containers that carry a label, with its value."""
        with engine_errors("benchmark"):
            rows = self._endpoint.client.containers(all=True, filters={"label": label})
        return [(str(row["Id"]), str((row.get("Labels") or {}).get(label, ""))) for row in rows]

    def remove_container(self, container_id: str) -> None:
        """Remove a container, running or not."""
        with engine_errors("benchmark"):
            self._endpoint.client.remove_container(container_id, force=True, v=True)

    def remove_images(self, label: str) -> int:
        """Remove all images that carry a label."""
        with engine_errors("benchmark image"):
            found = self._endpoint.client.images(filters={"label": label})
            for image in found:
                self._endpoint.client.remove_image(image["Id"], force=True)
        return len(found)
