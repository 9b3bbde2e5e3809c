"""What screens see of the app: the endpoints, their containers, and what outlives a screen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from textual.notifications import SeverityLevel
from textual.screen import Screen

from tui.core.records import Container
from tui.engine.endpoint import Endpoint
from tui.services.discover import FailedAttempt
from tui.services.feed import Feed
from tui.ui.ending import Ending
from tui.ui.outside import OpenCopies
from tui.ui.threads import DaemonThreads


class Host(Protocol):
    """The app, for its screens."""

    feed: Feed
    tried: tuple[FailedAttempt, ...]
    ending: Ending
    open_copies: OpenCopies
    threads: DaemonThreads

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints that are followed."""
        ...

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of this name."""
        ...

    def open_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Follow these endpoints and show their containers."""
        ...

    def leave_endpoints(self) -> None:
        """Follow nothing any more and show the ways in."""
        ...

    def refresh_feed(self) -> None:
        """List all endpoints again."""
        ...

    def open_layer(self, container: Container, path: bytes = b"/", *, edit: bool = False) -> None:
        """Open a container's layer, at a path, with the editor on it if asked."""
        ...

    def push_screen(self, screen: Screen[Any]) -> object:
        """Show a screen over the present one."""
        ...

    def suspend(self) -> AbstractContextManager[None]:
        """Lend the terminal to another program."""
        ...

    def notify(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information", timeout: float, markup: bool
    ) -> None:
        """Show a notice for so many seconds."""
        ...

    def keep(self, resource: AbstractContextManager[Path]) -> Path:
        """Enter something now and leave it when the app ends."""
        ...
