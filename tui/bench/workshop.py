"""What a benchmark needs of a place to run in. Engines fulfil it in the engine package; this one does not know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Protocol


class Job(Protocol):
    """A process at work, in a container or not."""

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
        """Remove it and all it wrote; idempotent."""
        ...


class Holder(Protocol):
    """A container that does nothing but be there: its process, and what making and starting it took."""

    id: str
    pid: int
    create_seconds: float
    start_seconds: float

    def remove(self) -> None:
        """Remove it; idempotent."""
        ...


class Workshop(Protocol):
    """A place to run benchmarks. All methods block; errors are DtuiErrors."""

    def describe(self) -> Mapping[str, str]:
        """Return facts for the record: engine, version, driver, backing, data_root."""
        ...

    def free_bytes(self) -> int | None:
        """Return the free space where files are written; None when it cannot be known from here."""
        ...

    def has_image(self, name: str) -> bool:
        """Say whether an image is there; a place without containers has them all."""
        ...

    def import_image(self, repository: str, tag: str, tar: bytes, labels: Mapping[str, str]) -> None:
        """Make an image of one layer."""
        ...

    def load_image(self, archive: IO[bytes]) -> None:
        """Load an image from an archive as ``docker save`` writes it."""
        ...

    def hold(self, image: str, labels: Mapping[str, str]) -> Holder:
        """Start a container of an image that keeps itself alive."""
        ...

    def place(self) -> str:
        """Return the directory in which benchmarks may make files, as the process there sees it."""
        ...

    def start(self, image: str, argv: tuple[str, ...], labels: Mapping[str, str]) -> Job:
        """Start a process without network and give its output from the first byte."""
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

    def open(self) -> Workshop:
        """Make it ready, which may start a daemon; raises DtuiError."""
        ...

    def close(self) -> None:
        """Clear away what it made; idempotent."""
        ...
