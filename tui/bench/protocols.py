"""What a benchmark needs from the place it runs in. Implemented in bare_host and in tui.lab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Protocol


class BenchProcess(Protocol):
    """A running process."""

    def output(self) -> Iterator[bytes]:
        """Yield its output as it is printed, until it ends."""
        ...

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        ...


class BenchContainer(Protocol):
    """A running container in which to start processes, one after another; each sees the files of those before.

    ``pid`` is the container's first process, 0 if it is not proven to be on this host. ``create_seconds`` and
    ``start_seconds`` are what the Engine took.
    """

    id: str
    pid: int
    create_seconds: float
    start_seconds: float

    def run(self, argv: tuple[str, ...]) -> BenchProcess:
        """Start a process in it and return it, with its output from the first byte."""
        ...

    def stop(self) -> None:
        """Kill everything running in it, from any thread."""
        ...

    def remove(self) -> None:
        """Remove it with everything written in it; idempotent."""
        ...


class BenchHost(Protocol):
    """A place to run benchmarks. All methods block; errors are DtuiErrors."""

    def describe(self) -> Mapping[str, str]:
        """Return facts for the record: engine, version, driver, backing, data_root."""
        ...

    @property
    def local(self) -> bool:
        """Whether it is on this host."""
        ...

    def free_bytes(self) -> int | None:
        """Return the free space where files are written, None if unknown."""
        ...

    def has_image(self, name: str) -> bool:
        """Return whether an image exists; always True for a host without containers."""
        ...

    def import_image(self, name: str, tar: bytes, labels: Mapping[str, str], command: tuple[str, ...]) -> None:
        """Create an image of one layer; ``command`` is what its containers run."""
        ...

    def load_image(self, archive: IO[bytes]) -> None:
        """Load an image archive as ``docker save`` writes it."""
        ...

    def start_container(self, image: str, labels: Mapping[str, str]) -> BenchContainer:
        """Start a container without network from an image whose command keeps it alive."""
        ...

    def work_directory(self) -> str:
        """Return the directory for benchmark files, as a process in the container sees it."""
        ...

    def leftovers(self, label: str) -> list[tuple[str, str]]:
        """Return (container id, value) of all containers with a label."""
        ...

    def remove_container(self, container_id: str) -> None:
        """Remove a container, running or not."""
        ...

    def remove_images(self, label: str) -> int:
        """Remove all images with a label and return how many."""
        ...


class Target(Protocol):
    """One of the things that a run compares, prepared before and cleaned up after it."""

    @property
    def name(self) -> str:
        """Its name in charts and tables."""
        ...

    @property
    def control(self) -> bool:
        """Whether it only serves to judge the others: the host itself, or a target measured a second time."""
        ...

    @property
    def has_images(self) -> bool:
        """Whether it accepts images, and its containers' files can be reached from this host."""
        ...

    def open(self) -> BenchHost:
        """Prepare it, which may start a daemon; raises DtuiError."""
        ...

    def close(self) -> None:
        """Remove what ``open`` created; idempotent."""
        ...
