"""Benchmarks in a directory of the host itself: the control to which storage drivers are compared."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from tui.core.errors import BenchError
from tui.linux.mount_table import file_system_at


class BareProcess:
    """A process on the host."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def output(self) -> Iterator[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for by the holder
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            yield chunk

    def wait(self) -> int:
        return self._process.wait()


class BareContainer:
    """A directory of the host in the role of a container: IOzone runs in it directly."""

    id = "host"
    create_seconds = start_seconds = 0.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = os.getpid()

    def run(self, argv: tuple[str, ...]) -> BareProcess:
        program = shutil.which(argv[0])
        if program is None:
            raise BenchError("iozone is not installed", "apt-get install iozone3 (Debian non-free)")
        self._end()
        self._process = subprocess.Popen(  # noqa: S603 - an absolute path, no shell, a clean environment
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
            env={"LC_ALL": "C"},
        )
        return BareProcess(self._process)

    def stop(self) -> None:
        if self._process:
            self._process.kill()

    def remove(self) -> None:
        """Kill the process and delete the files it left."""
        self._end()
        for leftover in self._directory.glob("dtui-*"):
            with suppress(FileNotFoundError):
                leftover.unlink()

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None


def drop_caches() -> None:
    """Flush dirty pages and drop the host's caches (kernel doc: sysctl/vm, drop_caches); raises BenchError."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
    except OSError as error:
        raise BenchError(
            f"the caches cannot be dropped: {(error.strerror or '').lower()}", "run dtui as root"
        ) from error


class BareHost:
    """A directory of this host. Fulfils :class:`tui.bench.protocols.BenchHost`."""

    local = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def describe(self) -> dict[str, str]:
        return {"engine": "none", "driver": "host", "backing": file_system_at(str(self._directory)), "data_root": ""}

    def free_bytes(self) -> int | None:
        file_system = os.statvfs(self._directory)
        return file_system.f_bavail * file_system.f_frsize

    def has_image(self, name: str) -> bool:
        """Return True: no image is needed."""
        del name
        return True

    def import_image(self, name: str, tar: bytes, labels: Mapping[str, str], command: tuple[str, ...]) -> None:
        """Do nothing: no image is needed."""

    def load_image(self, archive: IO[bytes]) -> None:
        """Raise BenchError: there are no images."""
        raise BenchError("the host has no images", "choose a storage driver instead")

    def start_container(self, image: str, labels: Mapping[str, str]) -> BareContainer:
        """Return the directory itself."""
        del image, labels
        return BareContainer(self._directory)

    def work_directory(self) -> str:
        return str(self._directory)

    def leftovers(self, label: str) -> list[tuple[str, str]]:
        del label
        return []

    def remove_container(self, container_id: str) -> None:
        """Do nothing: there are no containers."""

    def remove_images(self, label: str) -> int:
        del label
        return 0
