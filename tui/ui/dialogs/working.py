"""Shown over the screen while something takes its time: what is being done, how far it is, and a way to stop it."""

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
"""Seconds between two looks at how far it is: seldom enough for a thin line."""

_TO_ITS_END = "From here it goes to its end: half of it would be neither old nor new."

_STILL = 2.0
"""Seconds after which a call that has come no further is said not to be answered."""


class ProgressDialog(Dialog[None]):
    """Progress of an act in another thread; Escape stops it where that leaves nothing half done.

    Once the act goes to its end whatever happens, no key is offered. What waits for a file system that does not answer
    is left by Escape: whoever shows the dialog waits for ``left``.
    """

    def __init__(self, title: str, meter: Meter) -> None:
        super().__init__()
        self._title = title
        self._meter = meter
        self.left = asyncio.Event()
        self.job: Abandonable | None = None

    def compose(self) -> ComposeResult:
        """Lay out title and progress."""
        with Vertical():
            yield Static(Text(self._title), classes="question")
            yield Static(id="progress")
            yield Static(id="entry")
            stop = hint(("esc", "stop"))
            stop.id = "stop"
            yield stop

    def on_mount(self) -> None:
        """Show how far it is, again and again."""
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
        """Stop; the act itself ends the dialog, unless it does not answer."""
        if self._does_not_answer():
            self.left.set()
        self._meter.stop()
