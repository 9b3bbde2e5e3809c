"""Renaming and removing names: in this process, or in a helper inside a running container's mount namespace.

Seen from outside, a mount point of the container looks like an ordinary directory, and removing it would detach the
mount. Inside the namespace the kernel answers EBUSY.
"""

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
"""RENAME_NOREPLACE (linux/fs.h): fail if the new name exists."""

EXCHANGE = 2
"""RENAME_EXCHANGE (linux/fs.h): swap both names atomically."""

WHITEOUT = 4
"""RENAME_WHITEOUT (linux/fs.h): leave a whiteout under the old name."""

_REMOVE_DIRECTORY = 0x200  # AT_REMOVEDIR

ProcessCheck = Callable[[], AbstractContextManager[None]]
"""A context manager that verifies, on entry and exit, that a pid still is the process meant; raises NotReachable."""


class NameOps(Protocol):
    """Operations on single names in open directories.

    All raise OSError, and EditRefused if the helper was killed before it had done its work.
    """

    def rename(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        """Rename an entry, possibly into another directory on the same mount."""
        ...

    def unlink(self, directory: int, name: bytes) -> None:
        """Remove a name that is not a directory."""
        ...

    def rmdir(self, directory: int, name: bytes) -> None:
        """Remove an empty directory."""
        ...


class OwnNameOps:
    """The plain system calls, for trees in which no running container has anything mounted."""

    def rename(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        _rename_no_replace(lambda tried_flags: renameat2(source, old, target, new, tried_flags), target, new, flags)

    def unlink(self, directory: int, name: bytes) -> None:
        os.unlink(name, dir_fd=directory)

    def rmdir(self, directory: int, name: bytes) -> None:
        os.rmdir(name, dir_fd=directory)


def _rename_no_replace(rename_with: Callable[[int], None], target: int, new: bytes, flags: int) -> None:
    """Rename with flags. If the file system supports none (OpenZFS before 2.2), check for the name first."""
    try:
        rename_with(flags)
    except OSError as error:
        if error.errno != errno.EINVAL or not flags:
            raise
        if _exists(target, new):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        rename_with(0)


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class NamespaceNameOps:
    """A helper process inside a container's mount namespace, where a mount point answers EBUSY.

    If the helper is killed, the next operation starts a new one, so that a change already begun can be rolled back.
    """

    def __init__(self, pid: int, proven: ProcessCheck) -> None:
        self._pid = pid
        self._proven = proven
        self._helper: tuple[socket.socket, subprocess.Popen[bytes]] | None = None

    def start(self) -> socket.socket:
        """Start the helper unless it runs, and return our end of its socket; raises NotReachable."""
        if self._helper is None:
            own_end, helper_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with helper_end, self._proven():
                    self._helper = own_end, _start_helper(self._pid, helper_end)
                    _helpers[self._helper[1]] = threading.get_ident()
            except BaseException:
                own_end.close()
                raise
            _check_entered(own_end)
        return self._helper[0]

    def end(self) -> None:
        """Stop the helper; does nothing if there is none."""
        if self._helper is not None:
            control, process = self._helper
            self._helper = None
            _helpers.pop(process, None)
            control.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # it hangs in a call to the container's file system
                process.kill()

    def _ask(self, op: bytes, flags: int, names: tuple[bytes, ...], fds: list[int]) -> None:
        request = struct.pack("ciH", op, flags, len(names[0])) + b"".join(names)
        control = self.start()
        thread = threading.get_ident()
        _awaiting.add(thread)
        try:
            socket.send_fds(control, [request], fds)
            answer = control.recv(4)
        except OSError:
            answer = b""
        except BaseException:  # a late answer must not be taken for that of the next request
            self.end()
            raise
        finally:
            _awaiting.discard(thread)
        if len(answer) != 4:
            self.end()
            raise _HelperGone("the helper in the container's mount namespace was killed", "nothing was changed")
        (number,) = struct.unpack("i", answer)
        if number:
            raise OSError(number, os.strerror(number))

    def rename(self, source: int, old: bytes, target: int, new: bytes, flags: int = 0) -> None:
        try:
            _rename_no_replace(
                lambda tried_flags: self._ask(b"r", tried_flags, (old, new), [source, target]), target, new, flags
            )
        except _HelperGone:
            if _exists(source, old) or not _exists(target, new):
                raise

    def unlink(self, directory: int, name: bytes) -> None:
        self._remove(directory, name, 0)

    def rmdir(self, directory: int, name: bytes) -> None:
        self._remove(directory, name, _REMOVE_DIRECTORY)

    def _remove(self, directory: int, name: bytes, flags: int) -> None:
        try:
            self._ask(b"u", flags, (name,), [directory])
        except _HelperGone:
            if _exists(directory, name):
                raise


_helpers: dict[subprocess.Popen[bytes], int] = {}
"""The running helpers, with the thread that each belongs to."""


_awaiting: set[int] = set()
"""The threads that wait for a helper's answer."""


def awaits_helper(thread: int) -> bool:
    """Return whether a thread waits for a helper, which may itself wait for a file system that does not answer."""
    return thread in _awaiting


def kill_helpers(thread: int) -> None:
    """Kill the helpers of an abandoned thread: one of them may hang in a file system that does not answer."""
    for process in [helper for helper, owner in _helpers.items() if owner == thread]:
        process.kill()


class _HelperGone(EditRefused):
    """The helper ended before answering. The caller checks whether it had done its work."""


@contextmanager
def name_ops_inside(pid: int, proven: ProcessCheck) -> Iterator[NamespaceNameOps]:
    """Run a helper in the mount namespace of a container's process for the duration of the context.

    The helper is a fresh interpreter because a process with several threads cannot enter a mount namespace (setns(2)).
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
        raise NotReachable("the container's process has ended", "check its state") from error
    try:
        return subprocess.Popen(  # noqa: S603 - this program's own interpreter and file
            [sys.executable, "-I", "-S", str(helper), str(control.fileno()), str(namespace)],
            pass_fds=(control.fileno(), namespace),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,  # Ctrl+C must not kill it: we end it ourselves between two entries
        )
    finally:
        os.close(namespace)


def _check_entered(control: socket.socket) -> None:
    answer = control.recv(4)
    number = struct.unpack("i", answer)[0] if len(answer) == 4 else errno.EIO
    if number:
        reason = os.strerror(number).lower()
        raise NotReachable(f"the container's mount namespace cannot be entered: {reason}", "run dtui as root")
