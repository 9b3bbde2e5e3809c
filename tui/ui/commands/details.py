"""Details of the container under the cursor: read once the cursor rests, its layer counted in the background."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from textual.timer import Timer
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import AccessKind, Container, Details
from tui.core.text import human_size, printable
from tui.engine.endpoint import Endpoint
from tui.render.containers import inspect_lines
from tui.services.layer_summary import summarise_layer
from tui.ui.commands.base import Commands, Surface
from tui.ui.dialogs.show import TextDialog
from tui.ui.host import Host
from tui.ui.widgets.detail_pane import DetailPane
from tui.ui.widgets.log_pane import LogPane

_SETTLE = 0.12
"""Seconds that the cursor must rest on a row before its details are read."""

_READING = 0.2
"""Seconds after which "reading…" replaces the details of another container."""


class ContainerDetails(Commands):
    """Fills the detail pane, and the log pane if it is displayed, for the container that ``current`` returns.

    ``counted`` is called when its layer has been counted.
    """

    def __init__(
        self,
        surface: Surface,
        pane: DetailPane,
        log: LogPane,
        current: Callable[[], Container | None],
        counted: Callable[[], None],
    ) -> None:
        super().__init__(surface)
        self.shown: Details | None = None
        """Details of the container under the cursor, None until they arrive."""
        self._sizes: dict[tuple[str, str], int] = {}
        self._counted = counted
        self._pane = pane
        self._log = log
        self._current = current
        self._settle: Timer | None = None
        self._patience: Timer | None = None

    def action_inspect(self) -> None:
        """Show all details in a dialog."""
        if self.shown:
            show_details(self.surface.host, self.shown)

    def size_of(self, container: Container) -> int | None:
        """Return the size of a container's writable layer in bytes, None unless it was counted."""
        return self._sizes.get((container.endpoint, container.id))

    def forget_size(self, container: Container) -> None:
        """Forget the size of a container's layer."""
        self._sizes.pop((container.endpoint, container.id), None)

    def forget_sizes(self) -> None:
        """Forget the sizes of all layers."""
        self._sizes.clear()

    def schedule(self) -> None:
        """Read the details once the cursor rests."""
        if self._settle:
            self._settle.stop()
        self._settle = self.surface.set_timer(_SETTLE, self.ask)

    def show_name(self) -> None:
        """Show the container's name at once, and forget the details of another one."""
        container = self._current()
        if container is None or (self.shown and self.shown.container.id == container.id):
            return
        self.shown = None
        self._pane.show_name(container)
        self._patience = self._patience or self.surface.set_timer(_READING, self._tell_reading)

    def _tell_reading(self) -> None:
        self._patience = None
        if self.shown is None and self._current():
            self._pane.show_note("reading…", "italic")

    def ask(self) -> None:
        """Read the details now, and open the log."""
        container = self._current()
        if container is None:
            self.shown = None
            self._pane.show_note("")
            self._log.shut()
            return
        endpoint = self.surface.host.endpoint(container.endpoint)
        self.surface.read(
            f"the layer of {container.name}",
            lambda: self._inspect(endpoint, container),
            group="details",
            exclusive=True,
        )
        if self._log.display and not container.hidden:
            self._log.open(endpoint, container.id, follow=container.state.alive, tail=50)

    def _inspect(self, endpoint: Endpoint, container: Container) -> None:
        worker = get_current_worker()
        try:
            details = endpoint.inspect(container.id)
        except DtuiError as error:
            self.surface.call_later(self._show, container, None, error)
            return
        if worker.is_cancelled:
            return
        self.surface.call_later(self._show, container, details)
        if details.access.kind is not AccessKind.NONE:
            size, summary = summarise_layer(endpoint, details, lambda: worker.is_cancelled)
            if not worker.is_cancelled:
                self.surface.call_later(self._show_summary, container, size, summary)

    def _show(self, container: Container, details: Details | None, error: DtuiError | None = None) -> None:
        """Show details, or the error, unless the cursor has moved on."""
        if not self._is_current(container):
            return
        if self._patience:
            self._patience.stop()
            self._patience = None
        self.shown = details
        self._pane.show_name(container)
        if details:
            self._pane.show_details(details)
        elif error:
            self._pane.show_note(str(error))

    def _show_summary(self, container: Container, size: int | None, summary: str) -> None:
        """Store the size of a layer and show its summary."""
        if size is not None:
            self._sizes[container.endpoint, container.id] = size
        if self.shown and self._is_current(container):
            self._pane.show_details(self.shown, f"{human_size(size)} · {summary}")
            self._counted()

    def _is_current(self, container: Container) -> bool:
        current = self._current()
        return current is not None and current.id == container.id


def show_details(host: Host, details: Details) -> None:
    """Show all details of a container in a dialog."""
    host.push_screen(TextDialog(printable(details.container.name), inspect_lines(details, datetime.now(UTC))))
