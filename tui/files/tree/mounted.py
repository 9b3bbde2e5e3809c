"""What is mounted over a container's layers while it does not run: volumes on this host, or where else to look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui.core.errors import EditRefused, NotFound, NotReachable
from tui.core.records import Mount
from tui.core.text import printable
from tui.drivers.data_root import open_volume
from tui.layers.mount_covers import RUNTIME_MOUNTS
from tui.layers.view import LayerView
from tui.linux.rooted_paths import Root, normalized, reopen_regular
from tui.linux.syscalls import O_PATH


def mount_hint(mount: Mount, verb: str) -> str:
    """Return how to read or edit what is in a mount of a stopped container."""
    if mount.kind == "tmpfs":
        return "its contents go with each stop: start the container first"
    return f"{verb} {printable(mount.source)} on the host, or start the container first"


@contextmanager
def volume_root(layers: LayerView, mount: Mount, path: bytes) -> Iterator[tuple[Root, bytes]]:
    """Yield the root of a volume of the data-root, and a canonical path in it; raises NotReachable for other mounts.

    No link in a volume is followed: it would lead into a container that is not there.
    """
    mounted_at = next(place for place, known in layers.covers.mounts if known is mount)
    if mount.kind != "volume":
        subject = f"{printable(path)} is in the {mount.description} at {printable(mounted_at)}"
        raise NotReachable(subject, mount_hint(mount, "read"))
    with Root(open_volume(layers.stack, Path(mount.source))) as root:
        yield root, b"/" + path[len(mounted_at) :].lstrip(b"/")


def open_at_rest(layers: LayerView, path: bytes) -> int:
    """Open a file of a container at rest for reading, as the container would see it; links in its layers are followed.

    Raises NotFound, EditRefused for the kernel's files, and NotReachable below a mount that cannot be reached.
    """
    mount = layers.covers.mount_hiding(path)
    if mount is not None and mount.kind == "volume":
        with volume_root(layers, mount, path) as (root, inner):
            fd = root.open_canonical(inner, O_PATH)
            try:
                return reopen_regular(fd, path)
            finally:
                os.close(fd)
    try:
        return layers.open_regular(path)
    except NotFound as error:
        if mount is not None:
            message = f"{printable(path)} is hidden by the {mount.description} at {printable(mount.destination)}"
            raise NotReachable(message, mount_hint(mount, "read")) from error
        refuse_kernel_path(layers, path)
        raise


def refuse_kernel_path(layers: LayerView, path: bytes) -> None:
    """Raise EditRefused if a path leads below /proc, /sys or /dev, itself or by one link."""
    for place in (normalized(path), layers.target_of(normalized(path))):
        if any((place + b"/").startswith(kernel + b"/") for kernel in RUNTIME_MOUNTS):
            link = "" if place == normalized(path) else f" leads to {printable(place)}, which"
            message = f"{printable(path)}{link} is a file of the kernel's"
            raise EditRefused(message, "docker exec shows it while the container runs")
