"""What a benchmark needs of a place to run in. Engines fulfil it in the engine package; this one does not know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Protocol


class BenchProcess(Protocol):
    """A process at work."""

    def output(self) -> Iterator[bytes]:
        """Yield what it prints, as it prints it, until it ends."""
        ...

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        ...


class BenchContainer(Protocol):
    """A container that is there for the processes run in it: its first process, and what making and starting it took.

    The process is 0 where it is not proven to be one of this host.

    Processes that run in it one after another find each other's files.
    """

    id: str
    pid: int
    create_seconds: float
    start_seconds: float

    def run(self, argv: tuple[str, ...]) -> BenchProcess:
        """Start a process in it, and give its output from the first byte."""
        ...

    def stop(self) -> None:
        """End all that runs in it at once; from any thread."""
        ...

    def remove(self) -> None:
        """Remove it and all that was written in it; idempotent."""
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
        """Return the free space where files are written; None when it cannot be known from here."""
        ...

    def has_image(self, name: str) -> bool:
        """Say whether an image is there; a place without containers has them all."""
        ...

    def import_image(self, name: str, tar: bytes, labels: Mapping[str, str], command: tuple[str, ...]) -> None:
        """Make an image of one layer, with the command that its containers run."""
        ...

    def load_image(self, archive: IO[bytes]) -> None:
        """Load an image from an archive as ``docker save`` writes it."""
        ...

    def start_container(self, image: str, labels: Mapping[str, str]) -> BenchContainer:
        """Start a container without network, of an image that keeps itself alive."""
        ...

    def work_folder(self) -> str:
        """Return the directory in which benchmarks may make files, as the process there sees it."""
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


class Target(Protocol):
    """One of the things that a run compares: made ready before it, cleared away after it."""

    @property
    def name(self) -> str:
        """What it is called in charts and tables."""
        ...

    @property
    def control(self) -> bool:
        """Whether it is there to judge the others by: the host itself, or another target once more."""
        ...

    @property
    def has_images(self) -> bool:
        """Whether images can be put into it and their containers' files be reached from this host."""
        ...

    def open(self) -> BenchHost:
        """Make it ready, which may start a daemon; raises DtuiError."""
        ...

    def close(self) -> None:
        """Clear away what it made; idempotent."""
        ...
