"""Shown over the screen while something takes its time: what is being done, how far it is, and a way to stop it."""

from __future__ import annotations

import threading

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.core.errors import Stopped
from tui.core.text import count_of, printable
from tui.ui.dialogs.base import Dialog, hint

_LOOK = 0.1
"""Seconds between two looks at how far it is."""


class Working(Dialog[None]):
    """Progress of an act in another thread; Escape stops it after the entry that is being done.

    What would be neither old nor new if it stopped half-way goes to its end, and says so.
    """

    def __init__(self, title: str, *, to_the_end: bool = False) -> None:
        super().__init__()
        self._title = title
        self._to_the_end = to_the_end
        self._stopped = threading.Event()
        self._count = 0
        self._path = b""

    def step(self, count: int, path: bytes) -> None:
        """Take note of how far the act is; raises Stopped once it is to stop. For the act's own thread."""
        self._count, self._path = count, path
        if self._stopped.is_set() and not self._to_the_end:
            raise Stopped("stopped", "nothing was changed")

    def compose(self) -> ComposeResult:
        """Lay out title and progress."""
        with Vertical():
            yield Static(Text(self._title), classes="question")
            yield Static(id="progress")
            if not self._to_the_end:
                yield hint(("esc", "stop"))

    def on_mount(self) -> None:
        """Show how far it is, again and again."""
        self._show()
        self.set_interval(_LOOK, self._show)

    def _show(self) -> None:
        words = printable(self._path)
        if self._stopped.is_set():
            words = "it goes to its end: half of it would be neither old nor new" if self._to_the_end else "stopping…"
        self.query_one("#progress", Static).update(Text(f"{count_of(self._count, 'entry', 'entries')}  {words}"))

    def action_cancel(self) -> None:
        """Stop; the act itself ends the dialog."""
        self._stopped.set()
