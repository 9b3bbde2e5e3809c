"""Where dtui keeps what must outlive it: backups, journals, locks. Only this user can look into it."""

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

from tui.core.errors import EditRefused, OwnPlaceFailed, Stopped, UsageError
from tui.core.ids import ContainerId
from tui.core.text import printable

LOCKS = Path("/run/dtui")
"""Where root's locks are."""

TEXTS = "DTUI_TEXTS"
"""The variable by which a demo says where a person's texts go."""

_POLL = 0.05
"""Seconds between two tries for a lock that another dtui holds."""


def state_dir(*parts: str) -> Path:
    """Return a directory below the state's; made 0700.

    Raises UsageError for one that is not absolute, and EditRefused when it cannot be made or when others could change
    what it holds, for nothing is written without a way back.
    """
    return _made(state_base(), parts)


def text_dir(*parts: str) -> Path:
    """Return a directory for what a person wrote: as ``state_dir``, and not in a demo's state, which is removed."""
    named = os.environ.get(TEXTS)
    return _made(Path(named) if named else state_base(), parts)


def _made(base: Path, parts: tuple[str, ...]) -> Path:
    path = base.joinpath(*parts)
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for depth in range(len(parts) + 1):  # mkdir's own parents=True would let others look in
            directory = base.joinpath(*parts[:depth])
            directory.mkdir(mode=0o700, exist_ok=True)
            _refuse_unsafe(directory)
        if os.geteuid() == 0:
            _refuse_unsafe_above(base)
    except OSError as error:
        hint = "set DTUI_STATE to a directory that can be written"
        raise OwnPlaceFailed.of(error, path, hint) from error
    return path


def state_base() -> Path:
    """Return the state directory; raises UsageError for one that would depend on the working directory."""
    name, base = "DTUI_STATE", os.environ.get("DTUI_STATE", "")
    if not base and os.geteuid() == 0:
        return Path("/var/lib/dtui")
    if not base:
        home = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(home):  # which the XDG specification says to ignore
            name, home = "HOME", os.path.expanduser("~/.local/state")
        base = os.path.join(home, "dtui")
    if not os.path.isabs(base):
        message = f"{name} leads to {printable(base)}, which is not an absolute path"
        raise UsageError(message, "undo from another directory would not find what is kept there; name it from / on")
    return Path(base)


def is_own_place(path: str) -> bool:
    """Say whether a path of this host is among what dtui keeps for itself, and no file of a container's."""
    return any(Path(path).is_relative_to(place) for place in (state_base(), LOCKS))


def _refuse_unsafe(path: Path) -> None:
    """Raise EditRefused for a directory that somebody else owns or may change: undo would put back what they say."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        if path != state_base() or status.st_uid not in (0, os.geteuid()):
            raise EditRefused(f"{path} is a symbolic link", "put a directory of your own there")
        status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise EditRefused(f"{path} is not a directory", "move it out of the way")
    if status.st_uid != os.geteuid():
        raise EditRefused(f"{path} belongs to user {status.st_uid}", f"chown it to {os.geteuid()}, once it is yours")
    if status.st_mode & 0o022:
        message = f"{path} can be changed by others (mode {stat.S_IMODE(status.st_mode):04o})"
        raise EditRefused(message, f"look what they put there, then chmod 700 {path}")


@cache
def _refuse_unsafe_above(base: Path) -> None:
    """Raise EditRefused where anybody may put another directory in the place of the state directory."""
    for parent in base.resolve().parents:
        mode = parent.stat().st_mode
        if mode & 0o002 and not mode & stat.S_ISVTX:
            message = f"{parent} can be changed by anybody (mode {stat.S_IMODE(mode):04o})"
            raise EditRefused(message, "set DTUI_STATE to a directory that only you can replace")


def mode_warning() -> str:
    """Return a line where others may look into the state directory, nothing where they may not."""
    base = state_base()
    try:
        mode = stat.S_IMODE(base.stat().st_mode)
    except OSError:  # it is made, or refused, when it is needed
        return ""
    if not mode & 0o055:
        return ""
    return f"{base} is open to others (mode {mode:04o}), and holds what dtui replaced; chmod 700 {base}"


_SPARE = 64 << 10
"""Bytes of the state disk for the journal of an undo that keeps nothing."""


def make_spare_room() -> None:
    """Reserve room for what an undo must write down even when the disk is full; without room there is none."""
    spare = state_dir() / "spare"
    if spare.exists():
        return
    with suppress(OSError):
        fd = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _SPARE)
        except OSError:
            spare.unlink()
        finally:
            os.close(fd)


@contextmanager
def spare_room() -> Iterator[None]:
    """Give up the room that was reserved, for as long as the context lasts."""
    with suppress(OSError):
        (state_dir() / "spare").unlink(missing_ok=True)
    try:
        yield
    finally:
        make_spare_room()


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
        _refuse_unsafe(LOCKS)
    except OSError as error:
        raise OwnPlaceFailed.of(error, LOCKS, "locks are kept there") from error
    return LOCKS


@dataclass(slots=True)
class Patience:
    """How long this process waits for a container that another dtui changes, and whether it does so now."""

    seconds: float = 0.0
    stopped: Callable[[], bool] = bool
    waiting: bool = False


_patience = Patience()


@contextmanager
def patience(seconds: float, stopped: Callable[[], bool]) -> Iterator[Patience]:
    """Wait for locks within the context: at most so many seconds, and no longer than until ``stopped``."""
    global _patience  # noqa: PLW0603 - one process does one thing to a container at a time
    before, _patience = _patience, Patience(seconds, stopped)
    try:
        yield _patience
    finally:
        _patience = before


@contextmanager
def container_lock(container_id: ContainerId) -> Iterator[None]:
    """Hold the lock of a container's edits.

    Raises EditRefused while another dtui holds it, for as long as the process is to wait, and Stopped in the meantime.
    """
    lock = _Lock(_lock_dir() / f"{container_id}.lock", threading.get_ident())
    _locks.add(lock)
    try:
        _take(lock)
        yield
    finally:
        _locks.discard(lock)
        lock.release()


class _Lock:
    """One thread's lock, a file that is there only while somebody holds it; given back once by whoever comes first."""

    def __init__(self, path: Path, thread: int) -> None:
        self._path = path
        self.thread = thread
        self._fd = -1
        self._held = False
        self._once = threading.Lock()

    def take(self) -> bool:
        """Take it unless somebody holds it; the file stays open to try again."""
        with own_place(self._path):
            while not self._held:
                if self._fd < 0:
                    self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                self._held = self._is_named()
                if not self._held:  # who held it has removed the file in between
                    os.close(self._fd)
                    self._fd = -1
        return True

    def _is_named(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.lstat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give it back if it is held."""
        with self._once:
            if self._fd < 0:
                return
            with suppress(OSError):  # an empty file that stays is in nobody's way
                if self._held and self._is_named():
                    self._path.unlink()
            os.close(self._fd)
            self._fd, self._held = -1, False


def sweep_locks() -> None:
    """Remove the locks that a killed dtui left."""
    with suppress(OSError):
        for path in _lock_dir().glob("*.lock"):
            lock = _Lock(path, threading.get_ident())
            try:
                lock.take()
            finally:
                lock.release()


_locks: set[_Lock] = set()


def release_locks(thread: int | None = None) -> None:
    """Give back the locks of a thread, or of all, which wait in a system call that may never end.

    Whoever calls this makes sure that the thread does nothing more: a thread in the kernel keeps all descriptors of its
    process open, also after kill -9.
    """
    for lock in [candidate for candidate in _locks if thread in (None, candidate.thread)]:
        lock.release()


@contextmanager
def own_place(path: Path) -> Iterator[None]:
    """Turn an OSError about a file or directory of dtui's own into one that names it, not a container's file."""
    try:
        yield
    except OSError as error:
        raise OwnPlaceFailed.of(error, path) from error


def _take(lock: _Lock) -> None:
    end = time.monotonic() + max(_patience.seconds, _POLL)  # one look more: a sweep holds each lock for a moment
    _patience.waiting = True
    try:
        while not lock.take():
            if time.monotonic() >= end:
                hint = "try again in a moment; on the command line --wait SECONDS does"
                raise EditRefused("another dtui is writing into this container", hint)
            time.sleep(_POLL)
            if _patience.stopped():
                message = "stopped waiting for another dtui, which writes into this container"
                raise Stopped(message, "nothing was changed")
    finally:
        _patience.waiting = False
