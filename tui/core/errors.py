"""The errors dtui raises on purpose: each says what happened and what to do next, and knows its exit code."""

from __future__ import annotations


class DtuiError(Exception):
    """Something went wrong that a person can act on; shown as ``message; hint`` on one line.

    ``message`` and ``hint`` may hold untrusted names: whoever shows them passes them through
    :func:`tui.core.text.printable`.
    """

    exit_code = 1

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


class Stopped(EditRefused):
    """The user stopped an act in the middle."""


class BenchError(DtuiError):
    """A benchmark run that cannot start or did not end as it must."""
