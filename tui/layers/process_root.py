"""Whether the root of a container's process is the container's own.

Its cgroup says whose process it is, not what it sees: one that did ``chroot`` has a part of the container as its root,
and one that entered another mount namespace (``nsenter -t 1 -m`` beside ``--pid``) this host or another container.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tui.core.errors import NotReachable
from tui.core.records import LayerStack, WhiteoutStyle
from tui.drivers.data_root import open_host
from tui.linux.processes import is_hosts_root, process


def refuse_other_root(fd: int, pid: int, stack: LayerStack) -> None:
    """Raise NotReachable unless an open root of a process is what the engine made the container's root.

    The descriptor itself is compared, by device and inode, so that nobody can change it in between.
    """
    if is_own_root(fd, pid, stack):
        return
    raise NotReachable(
        "the container's first process has another root than the container: a chroot, or another mount namespace",
        "docker exec reaches what it sees; stop the container to edit its layer",
    )


def is_own_root(fd: int, pid: int, stack: LayerStack) -> bool:
    """Say whether an open root of a process is what the engine made the container's root."""
    root = os.fstat(fd)
    for place, top in _places(pid, stack):
        with suppress(OSError):
            if os.path.samestat(_status(place, top), root):
                return True
    return False


def _status(place: Path, top: str) -> os.stat_result:
    """Return the status of a directory below a root, by a path in which no name is a link; raises OSError."""
    fd = open_host(place, root=top)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _places(pid: int, stack: LayerStack) -> Iterator[tuple[Path, str]]:
    """Yield where the container's root is found from outside, here and below the root of the engine's own namespace.

    That is the one of the first process' parent: containerd's shim or conmon, which nobody inside can choose. A user's
    own engine could show us there what it likes, so that only root's parent counts.
    """
    known = stack.writable.path if stack.marks is WhiteoutStyle.TREE else stack.merged
    if known is None:
        return
    yield known, "/"
    first = process(pid)
    parent = process(first.parent) if first else None
    if parent and is_hosts_root(parent):
        yield known, f"/proc/{parent.pid}/root"
