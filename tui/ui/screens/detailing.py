"""What is known of the container under the cursor: asked for when the cursor rests, and counted in the background."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text
from textual import on, work
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import AccessKind, Container, Details
from tui.core.text import human_size, printable
from tui.engine.endpoint import Endpoint
from tui.render.containers import detail_lines
from tui.services.feed import Feed
from tui.services.layer_summary import summarise_layer
from tui.ui.screens.acts import ActingFrame
from tui.ui.screens.base import set_title
from tui.ui.screens.containers_messages import DetailsArrived, SummaryArrived
from tui.ui.widgets.log_pane import LogPane

_SETTLE = 0.12
"""Seconds the cursor rests on a row before the Engine is asked for its details."""

_READING = 0.2
"""Seconds after which another container's details make way for the word that these are being read."""


class DetailingFrame(ActingFrame):
    """A screen with a list of containers, and below it what is known of one."""

    def __init__(self) -> None:
        super().__init__()
        self._details: Details | None = None
        self._sizes: dict[tuple[str, str], int] = {}
        self._settle: Timer | None = None
        self._patience: Timer | None = None

    def show_feed(self, feed: Feed) -> None:
        """Show the newest lists of all endpoints."""
        raise NotImplementedError

    def schedule_details(self) -> None:
        """Ask for the details once the cursor rests."""
        if self._settle:
            self._settle.stop()
        self._settle = self.set_timer(_SETTLE, self._ask_details)

    def _name_details(self) -> None:
        """Put the name over the details at once; another container's details do not stay under it."""
        container = self.container
        if container is None or (self._details and self._details.container.id == container.id):
            return
        self._details = None
        set_title(self.query_one("#detail"), container.name, container.short_id)
        self._patience = self._patience or self.set_timer(_READING, self._tell_reading)

    def _tell_reading(self) -> None:
        self._patience = None
        if self._details is None and self.container:
            self.query_one("#detail", Static).update(Text("reading…", style="italic"))

    def _ask_details(self) -> None:
        container = self.container
        log = self.query_one("#log", LogPane)
        if container is None:
            self._details = None
            self.query_one("#detail", Static).update("")
            log.shut()
            return
        self._inspect(self.host.endpoint(container.endpoint), container)
        if log.display and not container.hidden:
            log.open(self.host.endpoint(container.endpoint), container.id, follow=container.state.alive, tail=50)

    @work(thread=True, exclusive=True, group="details", exit_on_error=True)
    def _inspect(self, endpoint: Endpoint, container: Container) -> None:
        worker = get_current_worker()
        try:
            details = endpoint.inspect(container.id)
        except DtuiError as error:
            self.post_message(DetailsArrived(container, None, error))
            return
        if worker.is_cancelled:
            return
        self.post_message(DetailsArrived(container, details))
        if details.reach.kind is not AccessKind.NONE:
            size, summary = summarise_layer(endpoint, details, lambda: worker.is_cancelled)
            if not worker.is_cancelled:
                self.post_message(SummaryArrived(container, size, summary))

    @on(DetailsArrived)
    def _detailed(self, event: DetailsArrived) -> None:
        if self.container is None or self.container.id != event.container.id:
            return
        if self._patience:
            self._patience.stop()
            self._patience = None
        self._details = event.details
        set_title(self.query_one("#detail"), event.container.name, event.container.short_id)
        detail = self.query_one("#detail", Static)
        if event.details:
            detail.update(detail_lines(event.details, datetime.now(UTC)))
        elif event.error:
            detail.update(Text(printable(str(event.error))))

    @on(SummaryArrived)
    def _summed(self, event: SummaryArrived) -> None:
        if event.size is not None:
            self._sizes[event.container.endpoint, event.container.id] = event.size
        if self.container and self.container.id == event.container.id and self._details:
            changes = f"{human_size(event.size)} · {event.summary}"
            self.query_one("#detail", Static).update(detail_lines(self._details, datetime.now(UTC), changes))
            self.show_feed(self.host.feed)
