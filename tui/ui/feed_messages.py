"""Messages that carry news from the endpoint watchers to the app."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message

from tui.core.records import Event
from tui.services.feed import Source


class SourceChanged(Message):
    """The containers, facts or problem of one endpoint changed."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def can_replace(self, message: Message) -> bool:
        """Keep only the newest state of an endpoint in the queue."""
        return isinstance(message, SourceChanged) and message.source.name == self.source.name


class EngineEvent(Message, bubble=False):
    """An engine sent an event about a container. The app passes it to every screen."""

    def __init__(self, endpoint: str, event: Event) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.event = event


class ContainersListed(Message, bubble=False):
    """A requested reload ended, with ``problem`` if it failed. The app passes it to every screen."""

    def __init__(self, problem: str = "") -> None:
        super().__init__()
        self.problem = problem


class EventsSkipped(Message, bubble=False):
    """An Engine announces what nobody here understands; posted once an endpoint."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.endpoint = endpoint


class FeedMessages:
    """Posts a message for each watcher callback. Implements :class:`tui.services.feed.FeedListener`."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        self._post = post

    def source_changed(self, source: Source) -> None:
        """Post SourceChanged."""
        self._post(SourceChanged(source))

    def announced(self, endpoint: str, event: Event) -> None:
        """Post EngineEvent."""
        self._post(EngineEvent(endpoint, event))

    def skipped(self, endpoint: str) -> None:
        """Post EventsSkipped."""
        self._post(EventsSkipped(endpoint))

    def listed(self, problem: str) -> None:
        """Post ContainersListed."""
        self._post(ContainersListed(problem))
