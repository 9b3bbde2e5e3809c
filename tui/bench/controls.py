"""The controls of a run: the host's own directory, and another target once more."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tui.bench.bare_host import BareHost
from tui.bench.protocols import BenchHost, Target


@dataclass(frozen=True, slots=True)
class HostTarget:
    """A directory of this host, made for the run and removed after it."""

    folder: Path
    name: str = "host"
    control: bool = True
    has_images: bool = False

    def open(self) -> BenchHost:
        """Make the directory."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        return BareHost(work)

    def close(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class RepeatedTarget:
    """A target once more under another name: what the two differ by is the spread of the measuring itself."""

    original: Target
    control: bool = True

    @property
    def name(self) -> str:
        """The other's name, and that it is the second."""
        return f"{self.original.name} again"

    @property
    def has_images(self) -> bool:
        """Whether the other has."""
        return self.original.has_images

    def open(self) -> BenchHost:
        """Return the other's place, which is open already or is opened now."""
        return self.original.open()

    def close(self) -> None:
        """The other clears away."""
