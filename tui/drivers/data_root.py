"""An Engine's data-root, opened once: everything in it is reached below that descriptor.

No symbolic link in it is followed. A record or a layer whose directory somebody swapped for a link to a directory of
the host is refused instead of read or written. Mount points are entered, because administrators mount a disk at
``overlay2`` and btrfs has a subvolume for each layer.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tui.core.errors import DtuiError, LayerError, NotFound, NotReachable, TooManyOpen
from tui.core.records import HostDirectory, Layer, LayerStack
from tui.core.text import printable
from tui.drivers.users import REMAPPED
from tui.linux.syscalls import O_PATH, Resolve, openat2

BENEATH = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS
"""How every path below a data-root is resolved."""

_MAX_SIZE = 4 << 20
"""Largest record in bytes; a larger file is not what it claims to be."""

_MAX_DEPTH = 100
"""Deepest nesting of a JSON record; Engines write fewer than ten levels."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class DataRoot:
    """A data-root, graphroot or snapshotter's directory, with access to its records by relative path.

    Its descriptor is closed with the last reference, so threads may share a data-root.
    """

    def __init__(self, path: Path) -> None:
        """Open a directory; symlinks in ``path`` itself are followed this once. Raises NotFound, NotReachable,
        LayerError."""
        try:
            canonical_path = Path(os.path.realpath(path, strict=True))
            fd = open_host(canonical_path)
        except OSError as error:
            raise _cannot_open(path, error) from error
        self._adopt(fd, canonical_path)

    def _adopt(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._closed = weakref.finalize(self, os.close, fd)
        status = os.fstat(fd)
        self.path = path
        owner = 0 if _is_remapped(path) else status.st_uid
        self.directory = HostDirectory(path, status.st_dev, status.st_ino, owner)

    def below(self, name: str) -> DataRoot:
        """Open a subdirectory as a data-root of its own; raises NotReachable, LayerError."""
        with self._explained(name):
            fd = self.open(name, O_PATH | os.O_DIRECTORY)
        root = object.__new__(DataRoot)
        root._adopt(fd, self.path / name)
        return root

    def open(self, name: str, flags: int) -> int:
        """Open a path below this directory and return the descriptor; raises OSError."""
        return openat2(self._fd, os.fsencode(name), flags, BENEATH)

    def open_file(self, name: str) -> BinaryIO:
        """Open a regular file for reading. Raises OSError, also for a pipe or device, which is never opened."""
        path_fd = self.open(name, O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(path_fd).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file")
            fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(path_fd)
        return os.fdopen(fd, "rb")

    def status(self, name: str) -> os.stat_result:
        """Return the status of a path, of a symlink itself; raises OSError."""
        fd = self.open(name, O_PATH | os.O_NOFOLLOW)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def exists(self, name: str) -> bool:
        """Return whether something exists at a path and this process may look at it."""
        try:
            self.status(name)
        except OSError:
            return False
        return True

    def is_directory(self, name: str) -> bool:
        """Return whether a path is a directory that this process may look at."""
        try:
            return stat.S_ISDIR(self.status(name).st_mode)
        except OSError:
            return False

    def names(self, name: str) -> list[str]:
        """List a directory; raises OSError."""
        fd = self.open(name, _DIRECTORY)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def target_of(self, name: str) -> str:
        """Return the target of a symbolic link without following it; raises OSError."""
        fd = self.open(name, O_PATH | os.O_NOFOLLOW)
        try:
            return os.fsdecode(os.readlink(b"", dir_fd=fd))
        finally:
            os.close(fd)

    def text(self, name: str) -> str:
        """Read a small text file; raises LayerError or NotReachable, naming the file."""
        with self._explained(name), self.open_file(name) as file:
            data = file.read(_MAX_SIZE + 1)
        if len(data) > _MAX_SIZE:
            display_path = self.display_path(name)
            raise LayerError(f"{display_path} is too large for an Engine's record", "check that this is a data-root")
        return data.decode("utf-8", "surrogateescape")

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON object; raises LayerError if it is truncated, too deep, or not an object."""
        value = parse_json(self.text(name), self.display_path(name))
        if not isinstance(value, dict):
            raise LayerError(
                f"{self.display_path(name)} does not hold a JSON object", "the container's record is damaged"
            )
        return value

    def display_path(self, name: str) -> str:
        """Return a path below this directory as shown in messages."""
        return printable(str(self.path / name))

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise data_root_error(self.display_path(name), error) from error


def parse_json(text: str, display_name: str) -> Any:
    """Parse a record; raises LayerError if it is not JSON, too deep, or has numbers too long to read."""
    try:
        value = json.loads(text)
        _refuse_deep(value)
    except (ValueError, RecursionError) as error:
        raise LayerError(f"{display_name} is not valid JSON", "the container's record is damaged") from error
    return value


def _refuse_deep(value: Any) -> None:
    """Raise RecursionError for a value so deep that walking it could exhaust the stack."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        next_level: list[Any] = []
        for node in level:
            next_level += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        level = next_level
        if not level:
            return
    raise RecursionError


def data_root_error(display_path: str, error: OSError) -> DtuiError:
    """Return the DtuiError for an OSError about a path in a data-root."""
    too_many_open = TooManyOpen.of(error)
    if too_many_open:
        return too_many_open
    if isinstance(error, PermissionError):
        return NotReachable(f"{display_path}: permission denied", "run dtui as root, or use sudo")
    if error.errno in (errno.ELOOP, errno.EXDEV):
        return LayerError(
            f"{display_path} is or contains a symbolic link, which dtui does not follow: it could lead anywhere",
            "bind-mount the directory instead",
        )
    return LayerError(f"{display_path}: {(error.strerror or '').lower()}", "the data-root is incomplete")


def _cannot_open(path: Path, error: OSError) -> DtuiError:
    display_path = printable(str(path))
    if isinstance(error, PermissionError):
        return NotReachable(f"{display_path}: permission denied", "run dtui as root, or use sudo")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{display_path} does not exist", "name the Engine's data-root, such as /var/lib/docker")
    return LayerError(f"{display_path}: {(error.strerror or '').lower()}", "name a directory")


# directories of this host -----------------------------------------------------------------------------------


def open_host(path: Path, flags: int = O_PATH | os.O_DIRECTORY, root: str = "/") -> int:
    """Open an absolute path in which no component is a symlink, below another root if given; raises OSError."""
    top = os.open(root, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return openat2(top, os.fsencode(path).lstrip(b"/") or b".", flags, BENEATH)
    finally:
        os.close(top)


def open_layer(stack: LayerStack, layer: Layer) -> int:
    """Open a layer's directory beneath the data-root it was found in; raises NotReachable, LayerError."""
    return _open_below(stack, layer.path)


def open_layer_parent(stack: LayerStack) -> int:
    """Open the directory that holds the writable layer; raises NotReachable, LayerError."""
    return _open_below(stack, stack.writable.path.parent)


def open_volume(stack: LayerStack, path: Path) -> int:
    """Open a volume's directory beneath the data-root that has the container; raises NotReachable, LayerError."""
    if stack.root is None or not path.is_relative_to(stack.root.path / "volumes"):
        raise NotReachable(f"{printable(str(path))} is not in the Engine's data-root", "it is a directory of the host")
    return _open_below(stack, path)


def _open_below(stack: LayerStack, path: Path) -> int:
    display_path = printable(str(path))
    if stack.root is None or not path.is_relative_to(stack.root.path):
        raise LayerError(
            f"only the Engine names {display_path}, so dtui does not open it",
            "dtui can read the files through the Engine's API",
        )
    root = _reopen(stack.root)
    try:
        return openat2(root, os.fsencode(path.relative_to(stack.root.path)), _DIRECTORY, BENEATH)
    except FileNotFoundError as error:
        hint = "the container was removed, or the data-root is damaged; refresh the list"
        raise LayerError(f"layer {display_path} is gone", hint) from error
    except OSError as error:
        raise data_root_error(display_path, error) from error
    finally:
        os.close(root)


def _reopen(directory: HostDirectory) -> int:
    """Open a data-root again; raises LayerError unless it is the very directory its records were read from."""
    display_path = printable(str(directory.path))
    try:
        fd = open_host(directory.path)
    except OSError as error:
        raise data_root_error(display_path, error) from error
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) != (directory.device, directory.inode):
        os.close(fd)
        raise LayerError(f"{display_path} is not the same directory as before", "refresh the list and try again")
    return fd


def has_foreign_owner(directory: HostDirectory) -> bool:
    """Return whether a user other than root and us can change a data-root and what runs from it."""
    return directory.owner not in (0, os.geteuid())


def _is_remapped(path: Path) -> bool:
    """Return whether a daemon made a data-root for remapped users: owned by them, but in a directory of root's."""
    if not REMAPPED.fullmatch(path.name):
        return False
    parent_status = path.parent.stat()
    return parent_status.st_uid == 0 and not parent_status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
