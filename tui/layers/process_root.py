"""The root of a container's process, opened only once it is proven to be the container's own.

The cgroup says which container a process belongs to, not what it sees. After ``chroot`` its root is a part of the
container, and after entering another mount namespace (``nsenter -t 1 -m`` with ``--pid``) it is this host or another
container.
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
from tui.linux.processes import is_hosts_root, read_process
from tui.linux.rooted_paths import Root
from tui.linux.syscalls import O_PATH


class ProcessEnded(NotReachable):
    """The process through which a container's files were to be reached has ended."""


@contextmanager
def process_of(pid: int, container_id: str, stack: LayerStack | None = None) -> Iterator[None]:
    """Verify on entry and exit that a pid belongs to the container; raises NotReachable.

    The pid may be reused meanwhile. So the pidfd is taken first, then the cgroup must name the container, and the
    process must still be alive at the end. An engine without cgroups leaves the container in its own cgroup: then the
    process must have the root that the engine made of the container's layers, if those are known.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise ProcessEnded("the container's process has ended", "check its state") from error
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            is_named = container_id in groups.read(65536)
        if not is_named and not (stack is not None and _has_own_root(pid, stack)):
            missing = "its control group does not name the container"
            if stack is not None:
                missing += ", and its root is not the one that the engine made"
            raise NotReachable(
                f"process {pid} is not proven to be the container's: {missing}", "refresh the list and try again"
            )
        yield
        if has_ended(pidfd):
            raise ProcessEnded("the container's process has just ended", "check its state")
    except FileNotFoundError as error:
        raise ProcessEnded("the container's process has ended", "check its state") from error
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
    """Open the root of a running container's process after proving whose it is; raises NotReachable."""
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
    """Raise NotReachable unless an open root of a process is the root that the engine made for the container.

    The descriptor itself is compared, by device and inode, so nobody can change it in between.
    """
    if is_own_root(fd, pid, stack):
        return
    raise NotReachable(
        "the container's first process has another root than the container: a chroot, or another mount namespace",
        "use docker exec, or stop the container to edit its layer",
    )


def is_own_root(fd: int, pid: int, stack: LayerStack) -> bool:
    """Return whether an open root of a process is the root that the engine made for the container."""
    root = os.fstat(fd)
    for path, top in _candidate_roots(pid, stack):
        with suppress(OSError):
            if os.path.samestat(_status(path, top), root):
                return True
    return False


def _status(path: Path, top: str) -> os.stat_result:
    """Return the status of a path without symlinks below a root; raises OSError."""
    fd = open_host(path, root=top)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _candidate_roots(pid: int, stack: LayerStack) -> Iterator[tuple[Path, str]]:
    """Yield the paths of the container's root seen from outside: here, and in the engine's mount namespace.

    The latter is that of the first process' parent, containerd's shim or conmon, which nobody inside can choose. Only a
    parent owned by root counts: a user's own engine could show us anything there.
    """
    root_path = stack.writable.path if stack.whiteout_style is WhiteoutStyle.TREE else stack.merged
    if root_path is None:
        return
    yield root_path, "/"
    first_process = read_process(pid)
    parent = read_process(first_process.parent) if first_process else None
    if parent and is_hosts_root(parent):
        yield root_path, f"/proc/{parent.pid}/root"
