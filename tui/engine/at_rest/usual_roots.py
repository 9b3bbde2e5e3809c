"""Where Docker and podman keep their data-roots on this host, by their own settings or by default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tui.core.errors import DtuiError
from tui.core.state import is_system_root
from tui.drivers.data_root import DataRoot
from tui.engine.at_rest.docker import is_data_root
from tui.engine.at_rest.podman import is_podman_root

_LARGEST = 1 << 20
"""Largest file of settings in bytes."""


def usual_roots() -> tuple[Path, ...]:
    """Return the data-roots that exist: the system's, or those of a user who is not root."""
    candidates = dict.fromkeys(Path(os.path.realpath(path)) for path in _candidates())
    return tuple(path for path in candidates if is_root(path))


def is_root(path: Path) -> bool:
    """Return whether a directory is a data-root of Docker's or podman's."""
    try:
        root = DataRoot(path)
    except DtuiError:
        return False
    return is_podman_root(root) or is_data_root(root)


def _candidates() -> Iterator[Path]:
    if is_system_root():
        yield from _dockers(Path("/etc/docker"), Path("/var/lib/docker"))
        yield from _podmans(Path("/etc/containers"), Path("/var/lib/containers/storage"))
        return
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    yield from _dockers(settings / "docker", data / "docker")
    yield from _podmans(settings / "containers", data / "containers/storage")


def _dockers(settings: Path, default: Path) -> Iterator[Path]:
    with suppress(DtuiError):
        chosen = DataRoot(settings).json("daemon.json").get("data-root")
        if isinstance(chosen, str) and chosen.startswith("/"):
            yield Path(chosen)
            return
    yield default


def _podmans(settings: Path, default: Path) -> Iterator[Path]:
    with suppress(OSError, ValueError), (settings / "storage.conf").open("rb") as file:
        storage = tomllib.loads(file.read(_LARGEST).decode()).get("storage")
        chosen = storage.get("graphroot") if isinstance(storage, dict) else None
        if isinstance(chosen, str) and chosen.startswith("/"):
            yield Path(chosen)
            return
    yield default
