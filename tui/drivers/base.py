"""The contract of a storage driver: it knows one backend's layout on disk and nothing else."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tui.core.errors import LayerError, NotReachable
from tui.core.model import Driver, LayerRole, LayerStack
from tui.core.record_ids import LayerId
from tui.core.text import printable

_LARGEST = 4 << 20
"""Bytes of a record file; a larger one is not what it claims to be."""


@dataclass(frozen=True, slots=True)
class DataRoot:
    """The directory an Engine keeps everything in (``docker info``: Docker Root Dir)."""

    path: Path

    def mount_record(self, driver: str, container_id: str, name: str) -> str:
        """Return a record of ``layerdb/mounts/<container>``: mount-id, init-id or parent."""
        return read_record(self.path / "image" / driver / "layerdb" / "mounts" / container_id / name).strip()


class StorageDriver(Protocol):
    """One storage driver. A new one is one file and one line in the registry."""

    driver: Driver
    tells: str
    """Key of inspect's GraphDriver.Data by which the Engine says where a layer is; empty when it does not."""
    home: str
    """Where the driver has one entry for each layer, below the data-root; empty when that is not in it."""

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Find a container's layers by the records in a data-root; raises LayerError, NotReachable."""
        ...

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Find a container's layers by what the Engine says (inspect's GraphDriver.Data); raises LayerError."""
        ...


def check_layer_id(layer_id: str) -> LayerId:
    """Return a layer id fit to be a directory's name; raises LayerError for anything else."""
    return LayerId(layer_id)


def init_of(layer_id: LayerId) -> LayerId:
    """Return the id of the layer that the Engine puts under a container's own."""
    return LayerId(f"{layer_id}-init")


def role_of(layer_id: str) -> LayerRole:
    """Tell a layer below the writable one by its id: ``-init`` is what the Engine puts under every container."""
    return LayerRole.INIT if layer_id.endswith("-init") else LayerRole.IMAGE


def mount_command(root: DataRoot, driver: str, container_id: str) -> str:
    """Return what a person types to find a layer in layerdb."""
    return f"cat {printable(str(root.path))}/image/{driver}/layerdb/mounts/{container_id}/mount-id"


def inspect_command(key: str, container_id: str) -> str:
    """Return what a person types to have the Engine say where a layer is."""
    return f"docker inspect --format '{{{{.GraphDriver.Data.{key}}}}}' {container_id[:12]}"


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read; raises OSError, for a pipe or device instead of waiting for it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return open(fd, "rb")


def read_record(path: Path) -> str:
    """Read a small text file of a data-root; raises LayerError, NotReachable, each naming the file."""
    shown = printable(str(path))
    try:
        with open_regular(path) as file:
            data = file.read(_LARGEST + 1)
    except PermissionError as error:
        raise NotReachable(f"{shown}: permission denied", "run dtui as root, or use sudo") from error
    except OSError as error:
        raise LayerError(f"{shown}: {(error.strerror or '').lower()}", "the data-root is not whole") from error
    if len(data) > _LARGEST:
        raise LayerError(f"{shown} is larger than any record of Docker's", "is this really a data-root?")
    return data.decode("utf-8", "surrogateescape")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a data-root; raises LayerError when it is cut short or is none."""
    try:
        value = json.loads(read_record(path))
    except (ValueError, RecursionError) as error:
        raise LayerError(f"{printable(str(path))} is not whole JSON", "the container's record is damaged") from error
    if not isinstance(value, dict):
        raise LayerError(f"{printable(str(path))} holds no JSON object", "the container's record is damaged")
    return value
