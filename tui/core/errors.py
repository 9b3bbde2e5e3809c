"""The errors dtui raises on purpose: each says what happened and what to do next, and knows its exit code."""

from __future__ import annotations

import errno
import os


class DtuiError(Exception):
    """Something went wrong that a person can act on; shown as ``message; hint`` on one line.

    ``message`` and ``hint`` may hold untrusted names: whoever shows them passes them through
    :func:`tui.core.text.printable`.
    """

    exit_code = 1
    tells_outcome = False
    """Whether it says what the file is now, which nobody knows who only hears what became of the container."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(DtuiError):
    """The command line or a setting cannot be understood."""

    exit_code = 2


class NotFound(DtuiError):
    """No such container, path or layer."""


class NotReachable(DtuiError):
    """It exists, but not for this process on this host without more: a mount, root or a daemon."""

    exit_code = 3


class ChangedMeanwhile(DtuiError):
    """Somebody else wrote the file or started the container between our look and our act."""

    exit_code = 4


class EngineError(DtuiError):
    """The Engine answered, and refused or failed."""


class EngineLost(EngineError):
    """The Engine does not answer (any more)."""

    exit_code = 3


class LayerError(DtuiError):
    """A layer, a data-root or a file in it is not in a shape that can be read safely."""


class EditRefused(DtuiError):
    """An edit that cannot be made safely, or that the file system refuses; nothing was written."""


class AlreadyThere(EditRefused):
    """A name that is taken by a file, which could be replaced."""


class TooManyOpen(DtuiError):
    """This process, or this host, has no descriptor left: no file is to blame."""

    @classmethod
    def of(cls, error: OSError) -> TooManyOpen | None:
        """Return what to raise for such an OSError, None for any other."""
        if error.errno == errno.EMFILE:
            return cls("too many open files", "nothing was changed; raise the limit: ulimit -n 1024")
        if error.errno == errno.ENFILE:
            return cls("too many open files on this host", "nothing was changed; raise fs.file-max")
        return None


class OwnPlaceFailed(EditRefused):
    """A file or directory of dtui's own cannot be used: its journal, backups or locks."""

    @classmethod
    def of(cls, error: OSError, path: str | os.PathLike[str], hint: str = "") -> DtuiError:
        """Return what to raise for an OSError about such a place."""
        full = {errno.ENOSPC: "free some space or inodes there", errno.EDQUOT: "free some space there"}
        advice = hint or full.get(error.errno or 0, "dtui keeps its state there; nothing was changed")
        kind = NoRoom if error.errno in full else cls
        return TooManyOpen.of(error) or kind(f"{os.fspath(path)}: {(error.strerror or str(error)).lower()}", advice)


class NoRoom(EditRefused):
    """The disk that dtui keeps its state on is full."""


def for_room(error: OSError) -> str:
    """Return what to do about a disk that is full, nothing for any other failure."""
    return ": free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""


class Stopped(EditRefused):
    """The user stopped an act in the middle."""


class BenchError(DtuiError):
    """A benchmark run that cannot start or did not end as it must."""
