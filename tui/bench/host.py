"""The host's own directory as a place to run benchmarks: the control by which storage drivers are judged."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from tui.bench.workshop import Holder
from tui.core.errors import BenchError
from tui.core.mounts import file_system_of

_PATIENCE = 3
"""Seconds that IOzone has to remove its file."""


class HostJob:
    """IOzone, run by the host itself."""

    def __init__(self, program: str, argv: tuple[str, ...], folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(  # noqa: S603 - an absolute path, no shell, a clean environment
            [program, *argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env={"LC_ALL": "C"}
        )

    def output(self) -> Iterator[bytes]:
        """Yield what it prints until it ends."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            yield chunk

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Ask it to end; iozone removes its file on SIGTERM."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def remove(self) -> None:
        """End it and remove what it left."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        for left in self._folder.glob("dtui-*"):
            with suppress(FileNotFoundError):
                left.unlink()


class HostWorkshop:
    """Fulfils :class:`tui.bench.workshop.Workshop` in a directory of this host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def describe(self) -> dict[str, str]:
        """Return facts for the record."""
        return {"engine": "none", "driver": "host", "backing": file_system_of(str(self._folder)), "data_root": ""}

    def free_bytes(self) -> int | None:
        """Return the free space of the directory's disk."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def has_image(self, name: str) -> bool:
        """No image is needed."""
        del name
        return True

    def import_image(self, repository: str, tag: str, tar: bytes, labels: Mapping[str, str]) -> None:
        """No image is needed."""

    def load_image(self, archive: IO[bytes]) -> None:
        """Raise BenchError: there are no images."""
        raise BenchError("the host has no images", "choose a storage driver")

    def hold(self, image: str, labels: Mapping[str, str]) -> Holder:
        """Raise BenchError: there are no containers."""
        raise BenchError("the host has no containers", "choose a storage driver")

    def place(self) -> str:
        """Return the directory."""
        return str(self._folder)

    def start(self, image: str, argv: tuple[str, ...], labels: Mapping[str, str]) -> HostJob:
        """Run IOzone as it is on this host."""
        del image, labels
        program = shutil.which(argv[0])
        if program is None:
            raise BenchError("iozone is not installed", "apt-get install iozone3 (Debian non-free)")
        return HostJob(program, argv, self._folder)

    def leftovers(self, label: str) -> list[tuple[str, str]]:
        """There are no containers."""
        del label
        return []

    def remove_container(self, container_id: str) -> None:
        """There are no containers."""

    def remove_images(self, label: str) -> int:
        """There are no images."""
        del label
        return 0
