"""Build images for the copy-on-write suite: known files in the lowest of any number of layers.

The format is that of ``docker save`` (a manifest, a configuration, a tar per layer), which every Engine can load.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tui.bench.image import IDLE, LABEL, closure_of
from tui.core.errors import BenchError

REPOSITORY = "dtui/layers"
MANY_FILES = 1000
"""Number of 4 KiB files in the directory ``many`` of the lowest layer."""


def image_name(layers: int, sizes: tuple[int, ...]) -> str:
    """Return the name of the image with ``layers`` layers and files of these sizes in kB."""
    return f"{REPOSITORY}:{layers}-{'-'.join(map(str, sizes)) or 'none'}"


@contextmanager
def image_archive(layers: int, sizes: tuple[int, ...], directory: Path) -> Iterator[IO[bytes]]:
    """Yield an open archive to load. It exists in ``directory`` for the duration of the context. Raises BenchError."""
    try:
        with tempfile.TemporaryDirectory(prefix="image-", dir=directory) as work_directory:
            yield _archive(layers, sizes, Path(work_directory))
    except OSError as error:
        raise BenchError(f"{directory}: {(error.strerror or '').lower()}", "free some space") from error


def _archive(layers: int, sizes: tuple[int, ...], work_directory: Path) -> IO[bytes]:
    layer_files = [_lowest_layer(sizes, work_directory / "0.tar")] + [
        _upper_layer(number, work_directory / f"{number}.tar") for number in range(1, layers)
    ]
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Cmd": IDLE, "Labels": {LABEL: "layers"}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for _, digest in layer_files]},
            "history": [{"created_by": "dtui"} for _ in layer_files],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for _, digest in layer_files]
    manifest = json.dumps([{"Config": name, "RepoTags": [image_name(layers, sizes)], "Layers": names}]).encode()
    archive = open(work_directory / "image.tar", "w+b")  # noqa: SIM115 - the caller reads it
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member, data in ((name, config), ("manifest.json", manifest)):
            _add(tar, member, io.BytesIO(data), len(data))
        for (path, _), member in zip(layer_files, names, strict=True):
            with path.open("rb") as layer:
                _add(tar, member, layer, path.stat().st_size)
            path.unlink()
    archive.seek(0)
    return archive


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _lowest_layer(sizes: tuple[int, ...], path: Path) -> tuple[Path, str]:
    """Write the layer with all files: the program that keeps the container alive, a file per size, and many small
    ones."""
    with tarfile.open(path, "w") as tar:
        for name, source in sorted(closure_of(IDLE[0]).items()):
            with source.open("rb") as file:
                _add(tar, name, file, source.stat().st_size, 0o755)
        for directory in ("data", "many", "work"):
            _add_directory(tar, directory)
        for kb in sizes:
            _add(tar, f"data/{kb}", _Noise(kb << 10), kb << 10)
        for number in range(MANY_FILES):
            _add(tar, f"many/{number}", _Noise(4096), 4096)
    return path, _digest(path)


def _upper_layer(number: int, path: Path) -> tuple[Path, str]:
    """Write a layer that also has the directory ``many``, so that every lookup there passes through this layer."""
    with tarfile.open(path, "w") as tar:
        _add_directory(tar, "many")
        _add(tar, f"many/layer{number}", io.BytesIO(), 0)
    return path, _digest(path)


class _Noise(io.RawIOBase):
    """``size`` random bytes, which no file system can compress or deduplicate."""

    def __init__(self, size: int) -> None:
        self._remaining = size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        count = self._remaining if size < 0 else min(size, self._remaining)
        self._remaining -= count
        return os.urandom(count)


def _add(tar: tarfile.TarFile, name: str, data: object, size: int, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, mode
    tar.addfile(entry, data)  # type: ignore[arg-type]


def _add_directory(tar: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(entry)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def space_for(sizes: tuple[int, ...], depths: tuple[int, ...]) -> int:
    """Return the bytes that a target needs for the suite: the archive, the image, and three full copies of it."""
    return 5 * (sum(kb << 10 for kb in sizes) + MANY_FILES * 4096 * len(depths)) + (1 << 30)
