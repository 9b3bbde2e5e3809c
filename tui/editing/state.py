"""Where dtui keeps what must outlive it: backups, journals, locks. Only this user can look into it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui.core.errors import EditRefused
from tui.core.record_ids import ContainerId

LOCKS = Path("/run/dtui")
"""Where root's locks are."""


def state_dir(*parts: str) -> Path:
    """Return a directory below DTUI_STATE, else /var/lib/dtui for root and $XDG_STATE_HOME/dtui for a user; made 0700.

    Raises EditRefused when it cannot be made, for nothing is written without a way back.
    """
    base = os.environ.get("DTUI_STATE")
    if not base and os.geteuid() == 0:
        base = "/var/lib/dtui"
    if not base:
        base = os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "dtui")
    path = Path(base, *parts)
    try:
        Path(base).parent.mkdir(parents=True, exist_ok=True)
        for depth in range(len(parts) + 1):  # mkdir's own parents=True would let others look in
            Path(base, *parts[:depth]).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EditRefused(f"{path}: {error.strerror}", "set DTUI_STATE to a directory that can be written") from error
    return path


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock_dir() -> Path:
    """Return where locks are: for root one place on the host, whatever DTUI_STATE says; for a user the state's own."""
    if os.geteuid() != 0:
        return state_dir("locks")
    try:
        LOCKS.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EditRefused(f"{LOCKS}: {(error.strerror or '').lower()}", "locks are kept there") from error
    return LOCKS


@contextmanager
def container_lock(container_id: ContainerId) -> Iterator[None]:
    """Hold the lock of a container's edits; raises EditRefused while another dtui holds it."""
    path = _lock_dir() / f"{container_id}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EditRefused("another dtui is writing into this container", "try again in a moment") from error
        yield
    finally:
        os.close(fd)
