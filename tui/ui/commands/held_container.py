"""The container that a screen shows, which may be removed meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from tui.core.errors import DtuiError
from tui.core.records import Container
from tui.core.text import printable
from tui.engine.endpoint import Endpoint
from tui.render.containers import REMOVED, state_text
from tui.services.feed import Feed
from tui.ui.commands.base import Surface
from tui.ui.commands.containers import ContainerCommands
from tui.ui.feed_messages import EngineEvent


class HeldContainer:
    """Keeps the newest record of a container, and notices its removal.

    ``next_step`` returns the end of the removal message: what can still be done. ``on_removal`` is called once.
    """

    def __init__(
        self, surface: Surface, container: Container, next_step: Callable[[], str], on_removal: Callable[[], None]
    ) -> None:
        self.record = container
        self.is_removed = False
        self.commands = ContainerCommands(surface, lambda: self.record, lambda: self.gone_reason)
        self._surface = surface
        self._next_step = next_step
        self._on_removal = on_removal

    @property
    def endpoint(self) -> Endpoint:
        return self._surface.host.endpoint(self.record.endpoint)

    @property
    def state_words(self) -> Text:
        """The container's state for the title."""
        return REMOVED.copy() if self.is_removed else state_text(self.record)

    @property
    def gone_reason(self) -> str:
        """Why no action is possible any more; empty while the container exists."""
        return f"{printable(self.record.name)} is gone: esc goes back" if self.is_removed else ""

    def update(self, feed: Feed) -> None:
        """Update the record from the newest list."""
        key = (self.record.endpoint, self.record.id)
        self.record = feed.find(key) or self.record
        if feed.lacks(key):
            self._note_removal()

    def take_event(self, event: EngineEvent) -> str:
        """Report an event of this container and return its action; empty for a removal or another container's event."""
        if event.event.id != self.record.id:
            return ""
        if event.event.action == "destroy":
            self._note_removal()
            return ""
        if not self.is_removed:  # after its removal, how it ended does not matter
            self.commands.tell_event(event.event, self.record.name)
        return event.event.action

    def tell_trouble(self, error: DtuiError) -> None:
        """Report an error, unless the container is gone."""
        if not self.is_removed:
            self._surface.tell_error(error)

    def _note_removal(self) -> None:
        if not self.is_removed:
            self.is_removed = True
            self._surface.tell(f"{self.record.name} was removed{self._next_step()}", "bad")
            self._on_removal()
