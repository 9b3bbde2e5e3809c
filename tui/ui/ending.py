"""Why the app ended, and where it kept the unsaved text."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from textual.worker import WorkerFailed

from tui.core.errors import DtuiError
from tui.core.text import printable
from tui.files import Unsaved, keep_to_tell

_LONGEST = 300
"""Longest error message shown, in characters: it may contain untrusted input of any length."""

_MORE = "DTUI_TRACEBACK=1 shows where it happened"


class AppEnded(DtuiError):
    """The app ended although the user did not quit."""

    def __init__(self, message: str, hint: str = "", code: int = 1) -> None:
        super().__init__(message, hint)
        self.exit_code = code


class HoldsText(Protocol):
    """A screen that may hold unsaved text."""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """Return the text that would be lost."""
        ...


class Ending:
    """Records why the app ends, and keeps unsaved text."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.error: BaseException | None = None
        self._kept_texts: dict[HoldsText, tuple[bytes, str]] = {}
        self.notes: list[str] = []
        """Further lines for the final message."""
        self.end_requested = False
        """Whether a signal asked the app to end; an open editor then ends too."""

    @property
    def ended_by_error(self) -> bool:
        """Whether an error ended the app."""
        return self.error is not None

    def note_error(self, error: BaseException) -> None:
        """Record an error; only the first counts, since it causes the others."""
        if self.error is None:
            self.error = error.error if isinstance(error, WorkerFailed) else error

    def note_editor_work(self, container: str, path: bytes, work_path: Path) -> None:
        """Record where an editor's work is, if the editor ended because the app is ending."""
        if self.end_requested:
            self.notes.append(f"what $EDITOR wrote to {printable(container)}:{printable(path)} is in {work_path}")

    def keep(self, screens: Iterable[HoldsText]) -> None:
        """Write the unsaved texts of screens to disk; a text that was kept already is not written twice."""
        for screen in screens:
            try:
                self._keep(screen)
            except Exception as error:  # noqa: BLE001 - the other texts must be kept all the same
                self._kept_texts.setdefault(screen, (b"", f"unsaved text could not be kept: {_error_text(error)}"))

    def _keep(self, screen: HoldsText) -> None:
        text = screen.unsaved_text
        if text is None or self._kept_texts.get(screen, (None, ""))[0] == text.data:
            return
        about = f"unsaved text of {printable(text.container)}:{printable(text.path)}"
        try:
            message = f"{about} is kept in {keep_to_tell(text)}"
        except OSError as error:
            message = f"{about} could not be kept: {(error.strerror or str(error)).lower()}"
            self._kept_texts[screen] = b"", message
        else:
            self._kept_texts[screen] = text.data, message

    def tell(self, *, in_order: bool) -> None:
        """Raise AppEnded if there is anything to report; ``in_order`` says whether the user quit normally."""
        message = "; ".join([message for _, message in self._kept_texts.values()] + self.notes)
        if isinstance(self.error, KeyboardInterrupt) and not message:
            raise self.error
        if self.error is not None:
            hint = "; ".join(filter(None, [message, "" if isinstance(self.error, DtuiError) else _MORE]))
            raise AppEnded(_error_text(self.error), hint) from self.error
        if not in_order:
            raise AppEnded("the app ended for an unknown reason", message)
        if self.signal is not None and message:
            raise AppEnded(f"ended by {self.signal.name}", message, 128 + self.signal)
        if message:
            raise AppEnded(message, code=0)


def _error_text(error: BaseException) -> str:
    if isinstance(error, DtuiError):
        return str(error)
    try:
        message = f"{type(error).__name__}: {error}".strip(": ")[:_LONGEST]
    except Exception:  # noqa: BLE001 - the error's own __str__ failed
        message = type(error).__name__
    return "; ".join([message, *getattr(error, "__notes__", ())])
