"""How the app ended: by what, and where the text is that was not saved."""

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
"""Characters of an error that nobody foresaw: it may hold a stranger's bytes, however many they are."""

_MORE = "DTUI_TRACEBACK=1 tells where it happened"


class AppEnded(DtuiError):
    """The app did not end because it was left."""

    def __init__(self, message: str, hint: str = "", code: int = 1) -> None:
        super().__init__(message, hint)
        self.exit_code = code


class HoldsText(Protocol):
    """A screen that may hold text which was not saved."""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """Return what would be lost."""
        ...


class Ending:
    """Notes why the app ends and keeps what would be lost by it."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.error: BaseException | None = None
        self._kept_texts: dict[HoldsText, tuple[bytes, str]] = {}
        self.notes: list[str] = []
        """What else is to be told at the end."""
        self.end_requested = False
        """Whether a signal asked the app to end, which ends an editor that is open, too."""

    @property
    def ended_by_error(self) -> bool:
        """Whether an error ended the app."""
        return self.error is not None

    def note_error(self, error: BaseException) -> None:
        """Note the error; the first is the cause of those that follow."""
        if self.error is None:
            self.error = error.error if isinstance(error, WorkerFailed) else error

    def note_editor_work(self, container: str, path: bytes, work_path: Path) -> None:
        """Tell where an editor's work is if it ended because the app is to end; a note tells the next start."""
        if self.end_requested:
            self.notes.append(f"what $EDITOR wrote of {printable(container)}:{printable(path)} is in {work_path}")

    def keep(self, screens: Iterable[HoldsText]) -> None:
        """Keep the unsaved texts of screens; what was kept already is not kept twice."""
        for screen in screens:
            try:
                self._keep(screen)
            except Exception as error:  # noqa: BLE001 - the others' texts are to be kept all the same
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
        """Raise AppEnded with what there is to tell; ``in_order`` says whether the app was left as it should be."""
        message = "; ".join([message for _, message in self._kept_texts.values()] + self.notes)
        if isinstance(self.error, KeyboardInterrupt) and not message:
            raise self.error
        if self.error is not None:
            hint = "; ".join(filter(None, [message, "" if isinstance(self.error, DtuiError) else _MORE]))
            raise AppEnded(_error_text(self.error), hint) from self.error
        if not in_order:
            raise AppEnded("the app ended and did not say why", message)
        if self.signal is not None and message:
            raise AppEnded(f"ended by {self.signal.name}", message, 128 + self.signal)
        if message:
            raise AppEnded(message, code=0)


def _error_text(error: BaseException) -> str:
    if isinstance(error, DtuiError):
        return str(error)
    try:
        message = f"{type(error).__name__}: {error}".strip(": ")[:_LONGEST]
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is
        message = type(error).__name__
    return "; ".join([message, *getattr(error, "__notes__", ())])
