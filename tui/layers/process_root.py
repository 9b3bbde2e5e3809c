"""The root of a container's process, opened only once it is proven to be the container's own.

Its cgroup says whose process it is, not what it sees: one that did ``chroot`` has a part of the container as its root,
and one that entered another mount namespace (``nsenter -t 1 -m`` beside ``--pid``) this host or another container.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tui.core.errors import NotReachable
from tui.core.records import LayerStack, WhiteoutStyle
from tui.drivers.data_root import open_host
from tui.linux.admission import rights_of_process
from tui.linux.process_marks import has_ended
from tui.linux.processes import is_hosts_root, process
from tui.linux.rooted_paths import Root
from tui.linux.syscalls import O_PATH


@contextmanager
def process_of(pid: int, container_id: str, stack: LayerStack | None = None) -> Iterator[None]:
    """Make sure that a process is the container's own, before and after what is done by its id; raises NotReachable.

    A process id may have been given to another process meanwhile: the pidfd is taken first, then the cgroup must name
    the container, and the process must still live at the end. An engine without control groups puts the container into
    its own: then the process must have the root that the engine made of the container's layers, if those are known.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            named = container_id in groups.read(65536)
        if not named and not (stack is not None and _has_own_root(pid, stack)):
            missing = "no control group of it names the container"
            if stack is not None:
                missing += ", and its root is not the one that the engine made"
            raise NotReachable(f"process {pid} is not proven to be the container's: {missing}", "look at it again")
        yield
        if has_ended(pidfd):
            raise NotReachable("the container's process has just ended", "look at its state again")
    except FileNotFoundError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    finally:
        os.close(pidfd)


def _has_own_root(pid: int, stack: LayerStack) -> bool:
    try:
        fd = os.open(f"/proc/{pid}/root/", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_own_root(fd, pid, stack)
    finally:
        os.close(fd)


def open_process_root(pid: int, container_id: str, stack: LayerStack | None = None) -> Root:
    """Open the root of a running container's process, proven to be that container's; raises NotReachable."""
    root = Root(-1)
    try:
        with process_of(pid, container_id, stack):
            root = Root(-1, rights=rights_of_process(pid))
            root.fd = os.open(f"/proc/{pid}/root/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotReachable(f"/proc/{pid}/root: {error.strerror}", "run dtui as root on this host") from error
    except NotReachable:
        root.close()
        raise
    return root


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
    for path, top in _candidate_roots(pid, stack):
        with suppress(OSError):
            if os.path.samestat(_status(path, top), root):
                return True
    return False


def _status(path: Path, top: str) -> os.stat_result:
    """Return the status of a directory below a root, by a path in which no name is a link; raises OSError."""
    fd = open_host(path, root=top)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _candidate_roots(pid: int, stack: LayerStack) -> Iterator[tuple[Path, str]]:
    """Yield where the container's root is found from outside, here and below the root of the engine's own namespace.

    That is the one of the first process' parent: containerd's shim or conmon, which nobody inside can choose. A user's
    own engine could show us there what it likes, so that only root's parent counts.
    """
    root_path = stack.writable.path if stack.marks is WhiteoutStyle.TREE else stack.merged
    if root_path is None:
        return
    yield root_path, "/"
    first = process(pid)
    parent = process(first.parent) if first else None
    if parent and is_hosts_root(parent):
        yield root_path, f"/proc/{parent.pid}/root"
