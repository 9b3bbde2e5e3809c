"""What a benchmark needs of an Engine. Implemented in the engine package; this one does not know it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol


class Job(Protocol):
    """A container at work."""

    def output(self) -> Iterator[bytes]:
        """Yield what it prints, as it prints it, until it ends."""
        ...

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        ...

    def stop(self) -> None:
        """Ask it to end, and end it three seconds later; from any thread."""
        ...

    def remove(self) -> None:
        """Remove the container and all it wrote; idempotent."""
        ...


class Workshop(Protocol):
    """An Engine as a place to run benchmarks. All methods block; errors are DtuiErrors."""

    def describe(self) -> Mapping[str, str]:
        """Return facts for the record: engine, version, driver, backing, data_root."""
        ...

    def free_bytes(self) -> int | None:
        """Return the free space where containers write; None when it cannot be known from here."""
        ...

    def has_image(self, name: str) -> bool:
        """Say whether an image is there."""
        ...

    def import_image(self, repository: str, tag: str, tar: bytes, labels: Mapping[str, str]) -> None:
        """Make an image of one layer."""
        ...

    def start(self, image: str, argv: tuple[str, ...], labels: Mapping[str, str]) -> Job:
        """Start a container without network and give its output from the first byte."""
        ...

    def leftovers(self, label: str) -> list[tuple[str, str]]:
        """Return (container id, value) of all containers that carry a label."""
        ...

    def remove_container(self, container_id: str) -> None:
        """Remove a container, running or not."""
        ...

    def remove_images(self, label: str) -> int:
        """Remove all images that carry a label; return how many."""
        ...
