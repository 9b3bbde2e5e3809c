"""Turn the errno of a failed system call on a container's path into one line; done nowhere else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tui.core.errors import (
    ChangedMeanwhile,
    DtuiError,
    EditRefused,
    LayerError,
    NotFound,
    NotReachable,
    StateFileError,
    TooManyOpen,
)
from tui.core.state import is_state_path
from tui.core.text import printable


class _Wording(NamedTuple):
    """The error to raise with its message, in which ``{}`` stands for the path, and its hint."""

    kind: type[DtuiError]
    message: str
    hint: str


_NOT_THERE = _Wording(NotFound, "{} does not exist in the container", "the tree shows what exists")
_GONE = _Wording(ChangedMeanwhile, "{}: its directory is gone", "the container was changed or removed meanwhile")
_FULL = _Wording(
    EditRefused, "{}: no space left on the layer's disk", "nothing was changed; free some space and save again"
)
_BUSY = _Wording(EditRefused, "{} is a mount point or in use", "nothing was changed")
_KERNEL_REFUSES = _Wording(LayerError, "{}: the kernel refuses to open it", "start the container to read it")
_IMMUTABLE = _Wording(
    EditRefused, "{} cannot be changed: it may be immutable", "check with lsattr; nothing was changed"
)
_NEEDS_ROOT = _Wording(NotReachable, "{}: permission denied", "run dtui as root, or use sudo")
_NEEDS_ROOT_TO_CHANGE = _Wording(NotReachable, "{}: permission denied", "nothing was changed; run dtui as root")

_READING = {
    errno.ENOENT: _NOT_THERE,
    errno.ENOTDIR: _NOT_THERE,
    errno.EPERM: _KERNEL_REFUSES,
    errno.EACCES: _KERNEL_REFUSES,
    errno.ELOOP: _Wording(LayerError, "{}: too many symbolic links, or a link out of /proc", "name the file itself"),
    errno.ENOSYS: _Wording(NotReachable, "this kernel has no openat2", "Linux 5.6 or newer is needed"),
}

_CHANGING = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _Wording(EditRefused, "{} is on a read-only file system", "nothing was changed"),
    errno.EPERM: _IMMUTABLE,
    errno.EACCES: _IMMUTABLE,
    errno.EBUSY: _BUSY,
    errno.EXDEV: _BUSY,
    errno.EEXIST: _Wording(ChangedMeanwhile, "{} exists now", "look at it, then save again"),
    errno.ENOENT: _GONE,
    errno.ESTALE: _GONE,
}


def explain(error: OSError, path: bytes) -> DtuiError:
    """Return the DtuiError for an OSError about a container's path that was read."""
    return TooManyOpen.of(error) or _worded(error, path, _READING, LayerError, _NEEDS_ROOT)


def explain_change(error: OSError, path: bytes) -> DtuiError:
    """Return the DtuiError for an OSError of a change; nothing was changed in any of these cases."""
    used_up = TooManyOpen.of(error)
    if used_up:
        return used_up
    if isinstance(error.filename, str) and is_state_path(error.filename):
        return StateFileError.of(error, error.filename)
    return _worded(error, path, _CHANGING, EditRefused, _NEEDS_ROOT_TO_CHANGE)


def _worded(
    error: OSError, path: bytes, wordings: dict[int, _Wording], default_error: type[DtuiError], needs_root: _Wording
) -> DtuiError:
    number = error.errno or 0
    wording = wordings.get(number, _Wording(default_error, "{}: " + os.strerror(number).lower(), "nothing was changed"))
    if number in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        wording = needs_root
    return wording.kind(wording.message.replace("{}", printable(path)), wording.hint)


@contextmanager
def explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into a DtuiError about a container's path, which may change any time."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


@contextmanager
def change_explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into a DtuiError about a path that was to be changed."""
    try:
        yield
    except OSError as error:
        raise explain_change(error, path) from error
