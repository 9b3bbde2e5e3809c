"""Where dtui keeps what must outlive it (backups, journals, locks, unsaved text), readable only by its user."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import platformdirs

from tui.core.errors import EditRefused, StateFileError, Stopped, UsageError
from tui.core.ids import ContainerId
from tui.core.text import printable

LOCKS = Path("/run/dtui")
"""Directory of root's locks: one per host, whatever ``DTUI_STATE`` says."""

TEXT_DIR_VARIABLE = "DTUI_TEXTS"
"""Environment variable that tells a demo where to keep a person's unsaved text."""

_POLL_INTERVAL = 0.05
"""Seconds between two attempts to take a lock that another dtui holds."""


def state_dir(*parts: str) -> Path:
    """Return a directory below the state directory, created with mode 0700 if need be.

    Raises UsageError if the state directory is not absolute, and EditRefused if it cannot be created or if others could
    change its contents: without a trustworthy place for backups nothing may be changed.
    """
    return _created(state_base(), parts)


def text_dir(*parts: str) -> Path:
    """Return a directory for text that a person wrote.

    Like ``state_dir``, except in a demo, whose own state directory is removed at the end.
    """
    configured_path = os.environ.get(TEXT_DIR_VARIABLE)
    return _created(Path(configured_path) if configured_path else state_base(), parts)


def _created(base: Path, parts: tuple[str, ...]) -> Path:
    path = base.joinpath(*parts)
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for depth in range(len(parts) + 1):  # mkdir(parents=True) would give the parents the default mode
            directory = base.joinpath(*parts[:depth])
            directory.mkdir(mode=0o700, exist_ok=True)
            _refuse_unsafe(directory)
        if os.geteuid() == 0:
            _refuse_unsafe_above(base)
    except OSError as error:
        hint = "set DTUI_STATE to a writable directory"
        raise StateFileError.of(error, path, hint) from error
    return path


def is_system_root() -> bool:
    """Return whether this process is the root of its system, not that of a user namespace such as ``podman unshare``.

    A container with an init of its own also has a user namespace, but its root owns /var/lib.
    """
    if os.geteuid() != 0:
        return False
    everybody = [b"0", b"0", b"4294967295"]  # user_namespaces(7): the map of the first user namespace
    return Path("/proc/self/uid_map").read_bytes().split() == everybody or os.access("/var/lib", os.W_OK)


def state_base() -> Path:
    """Return the state directory; raises UsageError if its path would depend on the working directory."""
    configured_path = os.environ.get("DTUI_STATE")
    if not configured_path:
        # root's state is the host's: two administrators must find each other's backups and locks
        return Path("/var/lib/dtui") if is_system_root() else platformdirs.user_state_path("dtui")
    if not os.path.isabs(configured_path):
        message = f"DTUI_STATE points to {printable(configured_path)}, which is not an absolute path"
        raise UsageError(message, "undo run from another directory would not find it; use an absolute path")
    return Path(configured_path)


def is_state_path(path: str) -> bool:
    """Return whether a path of this host belongs to dtui's own state, so that no change may touch it."""
    return any(Path(path).is_relative_to(directory) for directory in (state_base(), LOCKS))


def _refuse_unsafe(path: Path) -> None:
    """Raise EditRefused for a directory that others own or can change: an undo would restore what they put there."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        if path != state_base() or status.st_uid not in (0, os.geteuid()):
            raise EditRefused(f"{path} is a symbolic link", "replace it with a directory of your own")
        status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise EditRefused(f"{path} is not a directory", "move it out of the way")
    if status.st_uid != os.geteuid():
        raise EditRefused(
            f"{path} belongs to user {status.st_uid}", f"check its contents, then chown it to {os.geteuid()}"
        )
    if status.st_mode & 0o022:
        message = f"{path} can be changed by others (mode {stat.S_IMODE(status.st_mode):04o})"
        raise EditRefused(message, f"check what they put there, then chmod 700 {path}")


@cache
def _refuse_unsafe_above(base: Path) -> None:
    """Raise EditRefused if anybody could replace the state directory through one of its parents."""
    for parent in base.resolve().parents:
        mode = parent.stat().st_mode
        if mode & 0o002 and not mode & stat.S_ISVTX:
            message = f"{parent} can be changed by anybody (mode {stat.S_IMODE(mode):04o})"
            raise EditRefused(message, "set DTUI_STATE to a directory that only you can replace")


def mode_warning() -> str:
    """Return a warning if others can read the state directory, else an empty string."""
    base = state_base()
    try:
        mode = stat.S_IMODE(base.stat().st_mode)
    except OSError:  # it is created, or refused, when it is needed
        return ""
    if not mode & 0o055:
        return ""
    return f"others can read {base} (mode {mode:04o}), which holds dtui's backups; chmod 700 {base}"


_RESERVED_BYTES = 64 << 10
"""Bytes reserved on the state disk for the journal of an undo that keeps no backup."""


def reserve_space() -> None:
    """Reserve space for the journal of an undo, so that a full disk can be emptied by undoing.

    If there is no space to reserve, none is reserved.
    """
    reserve = state_dir() / "spare"
    if reserve.exists():
        return
    with suppress(OSError):
        fd = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _RESERVED_BYTES)
        except OSError:
            reserve.unlink()
        finally:
            os.close(fd)


@contextmanager
def reserve_released() -> Iterator[None]:
    """Release the reserved space for the duration of the context."""
    with suppress(OSError):
        (state_dir() / "spare").unlink(missing_ok=True)
    try:
        yield
    finally:
        reserve_space()


def sync_dir(path: Path) -> None:
    """Flush a directory, so that the names in it survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock_dir() -> Path:
    """Return the lock directory: for root one per host, so that all dtuis meet there; for a user in their own state."""
    if not is_system_root():
        return state_dir("locks")
    try:
        LOCKS.mkdir(mode=0o700, exist_ok=True)
        _refuse_unsafe(LOCKS)
    except OSError as error:
        raise StateFileError.of(error, LOCKS, "dtui keeps its locks there") from error
    return LOCKS


@dataclass(slots=True)
class LockWait:
    """How long to wait for a container that another dtui is changing, and whether we are waiting now."""

    seconds: float = 0.0
    is_stopped: Callable[[], bool] = bool
    waiting: bool = False


_lock_wait = LockWait()


@contextmanager
def lock_wait(seconds: float, is_stopped: Callable[[], bool]) -> Iterator[LockWait]:
    """Wait for locks inside the context for at most ``seconds``, or until ``is_stopped`` returns True."""
    global _lock_wait  # noqa: PLW0603 - one process does one thing to a container at a time
    previous, _lock_wait = _lock_wait, LockWait(seconds, is_stopped)
    try:
        yield _lock_wait
    finally:
        _lock_wait = previous


@contextmanager
def container_lock(container_id: ContainerId) -> Iterator[None]:
    """Hold the lock on a container's files.

    Raises EditRefused if another dtui still holds it when the wait is over, and Stopped if the user stops the wait.
    """
    lock = _Lock(_lock_dir() / f"{container_id}.lock", threading.get_ident())
    _locks.add(lock)
    try:
        _wait_for_lock(lock)
        yield
    finally:
        _locks.discard(lock)
        lock.release()


class _Lock:
    """A lock held by one thread. Its file exists only while it is held.

    It may be released by another thread, for instance when its own thread hangs in a system call.
    """

    def __init__(self, path: Path, thread: int) -> None:
        self._path = path
        self.thread = thread
        self._fd = -1
        self._is_held = False
        self._release_guard = threading.Lock()

    def take(self) -> bool:
        """Try to take the lock and return whether that worked; the file stays open for another try."""
        with state_file_explained(self._path):
            while not self._is_held:
                if self._fd < 0:
                    self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                self._is_held = self._is_named()
                if not self._is_held:  # its former holder removed the file in between
                    os.close(self._fd)
                    self._fd = -1
        return True

    def _is_named(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.lstat())
        except FileNotFoundError:
            return False

    def release(self) -> bool:
        """Release the lock; return whether it was held."""
        with self._release_guard:
            held = self._is_held
            if self._fd < 0:
                return False
            with suppress(OSError):  # an empty file left behind does no harm
                if self._is_held and self._is_named():
                    self._path.unlink()
            os.close(self._fd)
            self._fd, self._is_held = -1, False
        return held


def sweep_locks() -> None:
    """Remove lock files left behind by a killed dtui."""
    with suppress(OSError):
        for path in _lock_dir().glob("*.lock"):
            lock = _Lock(path, threading.get_ident())
            try:
                lock.take()
            finally:
                lock.release()


_locks: set[_Lock] = set()


def release_locks(thread: int | None = None) -> bool:
    """Release the locks of one thread, or of all; return whether any was held.

    The threads hang in a system call that may never return.

    The caller must make sure that the thread does nothing more. A thread in the kernel keeps every descriptor of its
    process open, even after kill -9, so its locks would otherwise stay taken.
    """
    released = [lock.release() for lock in list(_locks) if thread in (None, lock.thread)]
    return any(released)


@contextmanager
def state_file_explained(path: Path) -> Iterator[None]:
    """Turn an OSError about one of dtui's own files into an error that names that file."""
    try:
        yield
    except OSError as error:
        raise StateFileError.of(error, path) from error


def _wait_for_lock(lock: _Lock) -> None:
    deadline = time.monotonic() + max(
        _lock_wait.seconds, _POLL_INTERVAL
    )  # try at least twice: sweep_locks holds each lock briefly
    _lock_wait.waiting = True
    try:
        while not lock.take():
            if time.monotonic() >= deadline:
                hint = "try again in a moment, or wait with --wait SECONDS on the command line"
                raise EditRefused("another dtui is changing this container", hint)
            time.sleep(_POLL_INTERVAL)
            if _lock_wait.is_stopped():
                message = "stopped waiting for another dtui to finish changing this container"
                raise Stopped(message, "nothing was changed")
    finally:
        _lock_wait.waiting = False
