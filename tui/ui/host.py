"""The interface of the app that screens use."""

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
        """The endpoints that the app follows."""
        ...

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint with this name."""
        ...

    def open_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Follow these endpoints and show their containers."""
        ...

    def leave_endpoints(self) -> None:
        """Stop following all endpoints and show the welcome screen."""
        ...

    def refresh_feed(self) -> None:
        """List all endpoints again."""
        ...

    def open_layer(self, container: Container, path: bytes = b"/", *, edit: bool = False) -> None:
        """Open a container's layer at a path; ``edit`` opens the file in the editor."""
        ...

    def push_screen(self, screen: Screen[Any]) -> object:
        """Show a screen over the current one."""
        ...

    def suspend(self) -> AbstractContextManager[None]:
        """Lend the terminal to another program."""
        ...

    def notify(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information", timeout: float, markup: bool
    ) -> None:
        """Show a notice for ``timeout`` seconds."""
        ...

    def keep(self, resource: AbstractContextManager[Path]) -> Path:
        """Enter a context manager, exit it when the app ends, and return its path."""
        ...
