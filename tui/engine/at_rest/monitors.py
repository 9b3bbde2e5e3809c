"""Which of podman's containers run: those whose conmon runs as the owner of the storage.

Anybody can start a process called ``conmon -c ID -p PIDFILE``. It is believed only if it belongs entirely to the owner
of the storage (for root's storage: in this user namespace, itself or its parent in this mount namespace, running a
program named conmon), watches a container of this storage, and names a pid file that nobody else can have written.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tui.core.errors import DtuiError
from tui.core.id_maps import host_id
from tui.core.records import HostDirectory
from tui.drivers.containers_storage import container_records
from tui.drivers.data_root import DataRoot, has_foreign_owner, open_host
from tui.drivers.users import ids_of_record
from tui.linux.processes import is_hosts_root, program_of, read_process, shares_namespace
from tui.linux.syscalls import O_PATH

_INIT = 1
"""Adopts processes whose parent ended. We may not be allowed to look at its namespaces."""

_ID = re.compile("[0-9a-f]{64}")
_PIDFILE = re.compile("/(?:[^/]+/)+(overlay|vfs)-containers/([0-9a-f]{64})/userdata/pidfile")


@dataclass(frozen=True, slots=True)
class Monitor:
    """A running conmon: its container, the container's first process (0: not trusted), and when it started."""

    container_id: str
    pid: int
    started: datetime | None


def monitors(root: DataRoot) -> dict[str, Monitor]:
    """Find the running conmon of each container of a storage: ``conmon ... -c ID ... -p PIDFILE``."""
    running = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if not _belongs_to_owner(int(entry), root.directory):
            continue  # reading a stranger's command line may hang: it may be on a file system that never answers
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                argv = [os.fsdecode(word) for word in file.read(65536).split(b"\0")]
        except OSError:
            continue  # the process ended meanwhile
        if os.path.basename(argv[0]) == "conmon" and (monitor := _monitor(int(entry), argv, root)):
            running[monitor.container_id] = monitor
    return running


def _monitor(pid: int, argv: list[str], root: DataRoot) -> Monitor | None:
    """Return what a conmon monitors, None if it does not belong to this storage."""
    container_id, pidfile, bundle = (_option_value(argv, option) for option in ("-c", "-p", "-b"))
    if (
        not _ID.fullmatch(container_id)
        or not _belongs_to_owner(pid, root.directory)
        or not _is_bundle(root, container_id, bundle)
    ):
        return None
    pidfile_path = Path(os.path.realpath(pidfile))
    match = _PIDFILE.fullmatch(str(pidfile_path))
    if match is None or match[2] != container_id:
        return None
    if not _only_owner_writes(pidfile_path, root.directory.owner, _container_root(root, match[1], container_id)):
        return None
    first, started = _read_pidfile(pidfile_path, root.directory.owner)
    child = read_process(first) if first else None
    if child is None or child.parent != pid:
        return None
    return Monitor(container_id, 0 if has_foreign_owner(root.directory) else first, started)


def _option_value(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1] if option in argv[:-1] else ""


def _belongs_to_owner(pid: int, directory: HostDirectory) -> bool:
    """Return whether a process belongs to the storage's owner and, if that is root, was started by root on this
    host."""
    candidate = read_process(pid)
    if candidate is None or directory.owner != 0:
        return candidate is not None and candidate.runs_as(directory.owner)
    # with a user namespace, podman runs the monitor in a mount namespace that none of its parents is in
    started_here = (
        any(shares_namespace(process_id, "mnt") for process_id in (pid, candidate.parent)) or candidate.parent == _INIT
    )
    return is_hosts_root(candidate) and started_here and program_of(pid) == "conmon"


def _is_bundle(root: DataRoot, container_id: str, bundle: str) -> bool:
    """Return whether conmon's bundle directory is the container's in this storage, not in another."""
    for driver in ("overlay", "vfs"):
        try:
            if os.path.samestat(os.stat(bundle), root.status(f"{driver}-containers/{container_id}/userdata")):
                return True
        except OSError:
            continue
    return False


def _container_root(root: DataRoot, driver: str, container_id: str) -> int | None:
    """Return the host user that is root in a container, from its record; None if unknown."""
    try:
        records = container_records(root, driver)
        users = next(ids_of_record(record).users for record in records if record.get("id") == container_id)
    except (DtuiError, StopIteration):
        return None
    return host_id(users, 0)


def _only_owner_writes(path: Path, owner: int, container_root: int | None) -> bool:
    """Return whether only root and the owner can replace a file, judging by the directories above it.

    podman gives the last directory to the container's own root, who cannot reach it and cannot create files of the
    owner's.
    """
    for directory in path.parents:
        try:
            status = directory.lstat()
        except OSError:
            return False
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
        last = directory == path.parent
        if shared or status.st_uid not in ((0, owner, container_root) if last else (0, owner)):
            return False
    return True


def _read_pidfile(path: Path, owner: int) -> tuple[int, datetime | None]:
    """Return the pid in the owner's pid file and when it was written; 0 if it is not valid."""
    try:
        path_fd = open_host(path, O_PATH)
        try:
            status = os.fstat(path_fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != owner:
                return 0, None
            with open(f"/proc/self/fd/{path_fd}", "rb") as file:
                text = file.read(32).strip()
        finally:
            os.close(path_fd)
        started = datetime.fromtimestamp(status.st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return 0, None
    return int(text) if text.isdigit() and len(text) < 10 else 0, started
