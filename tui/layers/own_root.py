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
from tui.core.model import LayerStack, Marks


def refuse_other_root(fd: int, pid: int, stack: LayerStack) -> None:
    """Raise NotReachable unless an open root of a process is what the engine made the container's root.

    The descriptor itself is compared, by device and inode, so that nobody can change it in between.
    """
    root = os.fstat(fd)
    for place in _places(pid, stack):
        with suppress(OSError):
            if os.path.samestat(place.stat(), root):
                return
    raise NotReachable(
        "the container's first process has another root than the container: a chroot, or another mount namespace",
        "docker exec reaches what it sees; stop the container to edit its layer",
    )


def _places(pid: int, stack: LayerStack) -> Iterator[Path]:
    """Yield where the container's root is found from outside, here and in the engine's own mount namespace.

    That is the one of the first process' parent: containerd's shim or conmon, which nobody inside can choose.
    """
    known = stack.writable.path if stack.marks is Marks.TREE else stack.merged
    if known is None:
        return
    yield known
    parent = _parent_of(pid)
    if parent:
        yield Path(f"/proc/{parent}/root{known}")


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("PPid:")), 0)
    except (OSError, ValueError):
        return 0
