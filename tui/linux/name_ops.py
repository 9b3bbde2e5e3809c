"""How names are renamed and removed: by this process, or inside a running container's mount namespace."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tui.core.errors import EditRefused, NotReachable
from tui.linux.syscalls import renameat2

NO_REPLACE = 1
"""RENAME_NOREPLACE (linux/fs.h): the new name must be free."""

EXCHANGE = 2
"""RENAME_EXCHANGE: both names are there at any time."""

_REMOVE_DIRECTORY = 0x200  # AT_REMOVEDIR

Proven = Callable[[], AbstractContextManager[None]]
"""Makes sure, before and after what is done in it, that a process is the one that is meant; raises NotReachable."""


class NameOps(Protocol):
    """Changes of single names in directories that are held open.

    All raise OSError, and EditRefused where whoever does it was killed before it was done.
    """

    def rename(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        """Give an entry another name, in another directory of the same mount if need be."""
        ...

    def unlink(self, directory: int, name: bytes) -> None:
        """Remove a name that is no directory."""
        ...

    def rmdir(self, directory: int, name: bytes) -> None:
        """Remove an empty directory."""
        ...


class OwnNameOps:
    """The plain system calls: for trees in which nothing of a running container is mounted."""

    def rename(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        """Rename by renameat2."""
        _rename_no_replace(lambda tried_flags: renameat2(source, old, target, new, tried_flags), target, new, flags)

    def unlink(self, directory: int, name: bytes) -> None:
        """Remove a name."""
        os.unlink(name, dir_fd=directory)

    def rmdir(self, directory: int, name: bytes) -> None:
        """Remove an empty directory."""
        os.rmdir(name, dir_fd=directory)


def _rename_no_replace(rename: Callable[[int], None], target: int, new: bytes, flags: int) -> None:
    """Rename with flags; where a file system knows none (OpenZFS before 2.2), look first."""
    try:
        rename(flags)
    except OSError as error:
        if error.errno != errno.EINVAL or not flags:
            raise
        if _exists(target, new):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        rename(0)


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class NamespaceNameOps:
    """The helper inside a container's mount namespace; a mount point answers EBUSY there.

    One that somebody killed is started anew when it is needed again, so that what was begun can be taken back.
    """

    def __init__(self, pid: int, proven: Proven) -> None:
        self._pid = pid
        self._proven = proven
        self._helper: tuple[socket.socket, subprocess.Popen[bytes]] | None = None

    def start(self) -> socket.socket:
        """Start the helper unless it is there; return its end of the line. Raises NotReachable."""
        if self._helper is None:
            own_end, helper_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with helper_end, self._proven():
                    self._helper = own_end, _start_helper(self._pid, helper_end)
                    _helpers[self._helper[1]] = threading.get_ident()
            except BaseException:
                own_end.close()
                raise
            _entered(own_end)
        return self._helper[0]

    def end(self) -> None:
        """End the helper; harmless when there is none."""
        if self._helper is not None:
            control, process = self._helper
            self._helper = None
            _helpers.pop(process, None)
            control.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # the container's file system does not answer it
                process.kill()

    def _ask(self, op: bytes, flags: int, names: tuple[bytes, ...], fds: list[int]) -> None:
        request = struct.pack("ciH", op, flags, len(names[0])) + b"".join(names)
        control = self.start()
        try:
            socket.send_fds(control, [request], fds)
            answer = control.recv(4)
        except OSError:
            answer = b""
        except BaseException:  # the answer that is still to come must not be taken for the next one's
            self.end()
            raise
        if len(answer) != 4:
            self.end()
            raise _HelperGone("the helper in the container's mount namespace was killed", "nothing was changed")
        (number,) = struct.unpack("i", answer)
        if number:
            raise OSError(number, os.strerror(number))

    def rename(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        """Rename inside the namespace."""
        try:
            _rename_no_replace(
                lambda tried_flags: self._ask(b"r", tried_flags, (old, new), [source, target]), target, new, flags
            )
        except _HelperGone:
            if _exists(source, old) or not _exists(target, new):
                raise

    def unlink(self, directory: int, name: bytes) -> None:
        """Remove a name inside the namespace."""
        self._remove(directory, name, 0)

    def rmdir(self, directory: int, name: bytes) -> None:
        """Remove an empty directory inside the namespace."""
        self._remove(directory, name, _REMOVE_DIRECTORY)

    def _remove(self, directory: int, name: bytes, flags: int) -> None:
        try:
            self._ask(b"u", flags, (name,), [directory])
        except _HelperGone:
            if _exists(directory, name):
                raise


_helpers: dict[subprocess.Popen[bytes], int] = {}
"""The helpers that run, and which thread's they are."""


def kill_helpers(thread: int) -> None:
    """Kill the helpers of a thread that is given up: one may wait for a file system that does not answer."""
    for process in [helper for helper, owner in _helpers.items() if owner == thread]:
        process.kill()


class _HelperGone(EditRefused):
    """The helper ended before it said whether it did what it was asked; who asked looks whether it did."""


@contextmanager
def name_ops_inside(pid: int, proven: Proven) -> Iterator[NamespaceNameOps]:
    """Start the helper in the mount namespace of a running container's process and end it afterwards.

    It is a fresh interpreter, for a process with threads may not enter another mount namespace (setns(2)).
    """
    operations = NamespaceNameOps(pid, proven)
    try:
        operations.start()
        yield operations
    finally:
        operations.end()


def _start_helper(pid: int, control: socket.socket) -> subprocess.Popen[bytes]:
    helper = Path(__file__).with_name("namespace_helper.py")
    try:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    try:
        return subprocess.Popen(  # noqa: S603 - this program's own interpreter and file
            [sys.executable, "-I", "-S", str(helper), str(control.fileno()), str(namespace)],
            pass_fds=(control.fileno(), namespace),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,  # Ctrl+C is for us, who end it when an entry is whole
        )
    finally:
        os.close(namespace)


def _entered(control: socket.socket) -> None:
    answer = control.recv(4)
    number = struct.unpack("i", answer)[0] if len(answer) == 4 else errno.EIO
    if number:
        why = os.strerror(number).lower()
        raise NotReachable(f"the container's mount namespace cannot be entered: {why}", "run dtui as root")
