"""The controls of a run: the host's own directory, and another target measured a second time."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tui.bench.bare_host import BareHost
from tui.bench.protocols import BenchHost, Target


@dataclass(frozen=True, slots=True)
class HostTarget:
    """A directory of this host, created for the run and removed afterwards."""

    directory: Path
    name: str = "host"
    control: bool = True
    has_images: bool = False

    def open(self) -> BenchHost:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        work_directory = self.directory / "work"
        work_directory.mkdir(exist_ok=True)
        return BareHost(work_directory)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class RepeatedTarget:
    """A target measured a second time under another name: how much the two differ is the measurement's own spread."""

    original: Target
    control: bool = True

    @property
    def name(self) -> str:
        return f"{self.original.name} again"

    @property
    def has_images(self) -> bool:
        return self.original.has_images

    def open(self) -> BenchHost:
        """Return the original's host, opening it if need be."""
        return self.original.open()

    def close(self) -> None:
        """Do nothing: the original cleans up."""
