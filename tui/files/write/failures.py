"""What a change of a container's files failed with, in one line each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotReachable, OwnPlaceFailed, TooManyOpen
from tui.core.state import is_own_place
from tui.core.text import printable


def explain(error: OSError, path: bytes) -> DtuiError:
    """Turn what a write failed with into one line; nothing was changed in any of these cases."""
    display_path = printable(path)
    used_up = TooManyOpen.of(error)
    if used_up:
        return used_up
    if isinstance(error.filename, str) and is_own_place(error.filename):
        return OwnPlaceFailed.of(error, error.filename)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EditRefused(
            f"{display_path}: no space left on the layer's disk", "nothing was changed; free some and save again"
        )
    if error.errno == errno.EROFS:
        return EditRefused(f"{display_path} is on a read-only file system", "nothing was changed")
    if error.errno in (errno.EPERM, errno.EACCES):
        if os.geteuid() != 0:
            return NotReachable(f"{display_path}: permission denied", "nothing was changed; run dtui as root")
        return EditRefused(
            f"{display_path} cannot be changed: it may be immutable", "lsattr tells; nothing was changed"
        )
    if error.errno in (errno.EBUSY, errno.EXDEV):
        return EditRefused(f"{display_path} is a mount point or in use", "nothing was changed")
    if error.errno == errno.EEXIST:
        return ChangedMeanwhile(f"{display_path} exists now", "look at it, then save again")
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return ChangedMeanwhile(
            f"{display_path}: its directory is gone", "the container was changed or removed meanwhile"
        )
    return EditRefused(f"{display_path}: {os.strerror(error.errno or 0).lower()}", "nothing was changed")


@contextmanager
def explained(path: bytes) -> Iterator[None]:
    """Turn every OSError inside the context into ours, about a path that was to be changed."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error
