"""What a system call on a container's path failed with, in one line: the only place where errno becomes words."""

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


class _Words(NamedTuple):
    """What is raised, and what it says of a path; the path comes first unless the message has a place for it."""

    kind: type[DtuiError]
    message: str
    hint: str


_NOT_THERE = _Words(NotFound, "{} does not exist in the container", "the tree shows what exists")
_GONE = _Words(ChangedMeanwhile, "{}: its directory is gone", "the container was changed or removed meanwhile")
_FULL = _Words(EditRefused, "{}: no space left on the layer's disk", "nothing was changed; free some and save again")
_BUSY = _Words(EditRefused, "{} is a mount point or in use", "nothing was changed")
_UNOPENED = _Words(LayerError, "{}: the kernel refuses to open it", "start the container to look into it")
_FIXED = _Words(EditRefused, "{} cannot be changed: it may be immutable", "lsattr tells; nothing was changed")
_NO_ROOT = _Words(NotReachable, "{}: permission denied", "run dtui as root, or use sudo")
_NO_ROOT_TO_CHANGE = _Words(NotReachable, "{}: permission denied", "nothing was changed; run dtui as root")

_READING = {
    errno.ENOENT: _NOT_THERE,
    errno.ENOTDIR: _NOT_THERE,
    errno.EPERM: _UNOPENED,
    errno.EACCES: _UNOPENED,
    errno.ELOOP: _Words(LayerError, "{}: too many symbolic links, or a link out of /proc", "name the file itself"),
    errno.ENOSYS: _Words(NotReachable, "this kernel has no openat2", "Linux 5.6 or newer is needed"),
}

_CHANGING = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _Words(EditRefused, "{} is on a read-only file system", "nothing was changed"),
    errno.EPERM: _FIXED,
    errno.EACCES: _FIXED,
    errno.EBUSY: _BUSY,
    errno.EXDEV: _BUSY,
    errno.EEXIST: _Words(ChangedMeanwhile, "{} exists now", "look at it, then save again"),
    errno.ENOENT: _GONE,
    errno.ESTALE: _GONE,
}


def explain(error: OSError, path: bytes) -> DtuiError:
    """Turn an OSError about a container's path that was looked at or read into ours."""
    return TooManyOpen.of(error) or _in_words(error, path, _READING, LayerError, _NO_ROOT)


def explain_change(error: OSError, path: bytes) -> DtuiError:
    """Turn what a change failed with into ours; nothing was changed in any of these cases."""
    used_up = TooManyOpen.of(error)
    if used_up:
        return used_up
    if isinstance(error.filename, str) and is_state_path(error.filename):
        return StateFileError.of(error, error.filename)
    return _in_words(error, path, _CHANGING, EditRefused, _NO_ROOT_TO_CHANGE)


def _in_words(
    error: OSError, path: bytes, table: dict[int, _Words], other: type[DtuiError], no_root: _Words
) -> DtuiError:
    number = error.errno or 0
    words = table.get(number, _Words(other, "{}: " + os.strerror(number).lower(), "nothing was changed"))
    if number in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        words = no_root
    return words.kind(words.message.replace("{}", printable(path)), words.hint)


@contextmanager
def explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into ours, about a container's path: the tree may change under us."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


@contextmanager
def change_explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into ours, about a path that was to be changed."""
    try:
        yield
    except OSError as error:
        raise explain_change(error, path) from error
