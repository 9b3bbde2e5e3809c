"""A dialog that shows the progress of a long operation and can stop it."""

from __future__ import annotations

import asyncio

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.core.progress import Meter
from tui.files import Abandonable
from tui.ui.dialogs.base import Dialog, hint

_LOOK = 0.25
"""Seconds between updates, long enough for a slow connection."""

_TO_ITS_END = "This step cannot be stopped: it would leave a half-finished change."

_STILL = 2.0
"""Seconds without progress after which the dialog says that a call is not answering."""


class ProgressDialog(Dialog[None]):
    """Shows the progress of an operation in another thread; Escape stops it if that leaves nothing half done.

    Once the operation can no longer be stopped, no key is offered. If the file system does not answer, Escape sets
    ``left``, on which the caller waits, and the operation is left behind.
    """

    def __init__(self, title: str, meter: Meter) -> None:
        super().__init__()
        self._title = title
        self._meter = meter
        self.left = asyncio.Event()
        self.job: Abandonable | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._title), classes="question")
            yield Static(id="progress")
            yield Static(id="entry")
            stop = hint(("esc", "stop"))
            stop.id = "stop"
            yield stop

    def on_mount(self) -> None:
        """Start updating the progress."""
        self._show()
        self.set_interval(_LOOK, self._show)

    def _show(self) -> None:
        meter = self._meter
        self.query_one("#progress", Static).update(Text(meter.numbers))
        message = _TO_ITS_END if meter.final else "stopping…" if meter.stopping else meter.path
        if self._does_not_answer():
            message = f"{meter.path or self._title} is not answering; esc leaves it"
        self.query_one("#entry", Static).update(Text(message))
        self.query_one("#stop").display = not meter.final

    def _does_not_answer(self) -> bool:
        return self.job is not None and self.job.still_for() > _STILL

    def action_cancel(self) -> None:
        """Stop the operation, which then closes the dialog; leave it if it is not answering."""
        if self._does_not_answer():
            self.left.set()
        self._meter.stop()
