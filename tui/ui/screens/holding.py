"""A screen of one container that may be removed while it is looked at."""

from __future__ import annotations

from rich.text import Text
from textual import on

from tui.core.errors import DtuiError
from tui.core.records import Container, Event
from tui.core.text import printable
from tui.render.containers import REMOVED, state_text
from tui.services.feed import Feed
from tui.ui.feed_messages import EngineEvent
from tui.ui.screens.acts import ActingFrame


class HoldingFrame(ActingFrame):
    """Keeps the container as the newest list has it, and knows when no list has it any more."""

    _container: Container
    is_removed = False
    """Whether the container was removed: nothing more can be done to it."""

    @property
    def container(self) -> Container:
        """The container."""
        return self._container

    @property
    def state_words(self) -> Text:
        """The container's state for the title."""
        return REMOVED.copy() if self.is_removed else state_text(self._container)

    @on(EngineEvent)
    def _happened(self, event: EngineEvent) -> None:
        if event.event.id != self._container.id:
            return
        if event.event.action == "destroy":
            self.note_removal()
            return
        self.tell_event(event.event, self._container.name)
        self.happened(event.event.action)

    def happened(self, action: str) -> None:
        """Show what became of the container by an event of its engine."""
        raise NotImplementedError

    def update_container(self, feed: Feed) -> None:
        """Take from the newest list what is known of the container."""
        key = (self._container.endpoint, self._container.id)
        self._container = feed.find(key) or self._container
        if feed.lacks(key):
            self.note_removal()

    def note_removal(self) -> None:
        """Note that the container was removed, and say so once."""
        if not self.is_removed:
            self.is_removed = True
            self.tell(f"{self._container.name} was removed{self.after_removal()}", "bad")
            self.show_removal()

    def tell_event(self, event: Event, name: str) -> None:
        """Tell what happened, but of what is removed no more how it ended before."""
        if not self.is_removed or event.id != self._container.id:
            super().tell_event(event, name)

    def tell_trouble(self, error: DtuiError) -> None:
        """Tell what could not be shown; of a container that is gone that is no news."""
        if not self.is_removed:
            self.tell_error(error)

    def after_removal(self) -> str:
        """Say what can be done still."""
        return ": esc leads back"

    def show_removal(self) -> None:
        """Show that the container is gone."""
        raise NotImplementedError

    def verb_reason(self, action: str) -> str:
        """Say why an act cannot be done to the container in hand."""
        return self.gone_reason or super().verb_reason(action)

    @property
    def gone_reason(self) -> str:
        """Why nothing can be done any more; empty while the container is there."""
        return f"{printable(self._container.name)} is gone: esc leads back" if self.is_removed else ""
