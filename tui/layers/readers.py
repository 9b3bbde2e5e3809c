"""Whether an engine is just reading a full tree, of which no mount tells.

docker announces each file of a tree before it opens it, and most of the time it waits in between for whoever takes the
tree. If the file is gone by then, the whole ``docker commit``, ``cp`` or ``export`` fails (moby 20.10,
``pkg/archive/archive.go``, ``addTarFile``: 25 of 40 commits did, measured).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from tui.core.errors import DtuiError
from tui.core.records import LayerStack
from tui.drivers.data_root import DataRoot, open_layer
from tui.linux.syscalls import O_PATH, identity_of

_NOWHERE = -100
"""AT_FDCWD, which is ignored for absolute paths."""

_PARTS = "tar-split.json.gz"
"""What docker writes about a layer's tar for as long as it reads it (moby, layer/filestore.go)."""

Identity = tuple[int, int]


def is_read_by_engine(stack: LayerStack) -> bool:
    """Return whether a process has the layer as its root, or docker is adding an image layer, perhaps from this one.

    ``docker cp`` and ``export`` read by a process or thread that enters the layer; ``docker commit`` reads from the
    daemon's own root.
    """
    fd = open_layer(stack, stack.writable)
    try:
        layer = identity_of(fd)
    finally:
        os.close(fd)
    additions = set(_added_layers(stack))
    return any(
        _identity(f"/proc/{pid}/task/{thread}/root") == layer for pid in _numbers("/proc") for thread in _threads(pid)
    ) or (bool(additions) and any(_identity(path) in additions for pid in _numbers("/proc") for path in _open_by(pid)))


def _added_layers(stack: LayerStack) -> Iterator[Identity]:
    """Yield the files about image layers that docker adds now, or was adding when it was killed."""
    if stack.root is None:
        return
    home = f"image/{stack.driver.name}/layerdb/tmp"
    with suppress(DtuiError, OSError):
        root = DataRoot(stack.root.path)
        for name in root.names(home):
            with suppress(OSError):
                fd = root.open(f"{home}/{name}/{_PARTS}", O_PATH | os.O_NOFOLLOW)
                try:
                    yield identity_of(fd)
                finally:
                    os.close(fd)


def _identity(path: str) -> Identity | None:
    try:
        return identity_of(_NOWHERE, os.fsencode(path))
    except OSError:  # the process has ended, or is not ours to look at
        return None


def _numbers(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.isdigit()]
    except OSError:
        return []


def _threads(pid: str) -> list[str]:
    return _numbers(f"/proc/{pid}/task")


def _open_by(pid: str) -> Iterator[str]:
    return (f"/proc/{pid}/fd/{number}" for number in _numbers(f"/proc/{pid}/fd"))
