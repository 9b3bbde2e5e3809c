"""The errors dtui raises on purpose. Each has a message, a hint on what to do next, and an exit code."""

from __future__ import annotations

import errno
import os


class DtuiError(Exception):
    """A failure that a person can act on, shown as ``message; hint`` on one line.

    ``message`` and ``hint`` may contain untrusted names: pass them through :func:`tui.core.text.printable` before
    showing them.
    """

    exit_code = 1
    states_outcome = False
    """True if the message already says what state the file is in now. The error is then reported as it is, even when
    the container was removed or restarted meanwhile."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(DtuiError):
    """The command line or a setting is invalid."""

    exit_code = 2


class NotFound(DtuiError):
    """No such container, path or layer."""


class NotReachable(DtuiError):
    """It exists, but this process cannot reach it without a mount, root or a running daemon."""

    exit_code = 3


class ChangedMeanwhile(DtuiError):
    """Somebody else wrote the file or started the container between our check and our change."""

    exit_code = 4


class EngineError(DtuiError):
    """The Engine answered, but refused or failed."""


class EngineLost(EngineError):
    """The Engine does not answer, or no longer."""

    exit_code = 3


class LayerError(DtuiError):
    """A layer, a data-root or a file in it is damaged or cannot be read safely."""


class EditRefused(DtuiError):
    """A change that cannot be made safely, or that the file system refuses. Nothing was written."""


class AlreadyThere(EditRefused):
    """The name is taken by a file, which the user may choose to replace."""


class TooManyOpen(DtuiError):
    """This process or this host has run out of file descriptors; the file being opened is not to blame."""

    @classmethod
    def of(cls, error: OSError) -> TooManyOpen | None:
        """Return the error to raise for ``error``, or None if it is about something else."""
        if error.errno == errno.EMFILE:
            return cls("too many open files", "nothing was changed; raise the limit: ulimit -n 1024")
        if error.errno == errno.ENFILE:
            return cls("too many open files on this host", "nothing was changed; raise fs.file-max")
        return None


class StateFileError(EditRefused):
    """A file or directory of dtui's own (journal, backups, locks) cannot be used."""

    @classmethod
    def of(cls, error: OSError, path: str | os.PathLike[str], hint: str = "") -> DtuiError:
        """Return the error to raise for an OSError about one of dtui's own files."""
        full_disk_hints = {errno.ENOSPC: "free some space or inodes there", errno.EDQUOT: "free some space there"}
        advice = hint or full_disk_hints.get(error.errno or 0, "dtui keeps its state there; nothing was changed")
        error_class = StateDiskFull if error.errno in full_disk_hints else cls
        return TooManyOpen.of(error) or error_class(
            f"{os.fspath(path)}: {(error.strerror or str(error)).lower()}", advice
        )


class StateDiskFull(EditRefused):
    """The disk that holds dtui's state is full."""


def full_disk_advice(error: OSError) -> str:
    """Return advice to append to a message about a full disk; empty for any other failure."""
    return ": free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""


class Stopped(EditRefused):
    """The user stopped a change in the middle."""


class BenchError(DtuiError):
    """A benchmark run cannot start, or did not end as it should."""
