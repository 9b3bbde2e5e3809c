"""The welcome screen, shown if no Docker Engine answers: what was tried, and what to do next."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.core.errors import DtuiError
from tui.core.text import printable
from tui.engine.sample import demo_directory
from tui.services.discover import Discovery, FailedAttempt, discover, open_sample
from tui.ui.actions import actions_of, key_text, screen_bindings
from tui.ui.screens.base import BaseScreen

_PATIENCE = 2.0
"""Seconds after which the search for containers shows that it takes long."""


def welcome_text(tried: tuple[FailedAttempt, ...]) -> Text:
    """Return the attempts with their errors, and the keys that help."""
    text = Text.assemble(("No Docker Engine answers.", "bold"), "\n\nTried:\n")
    for attempt in tried:
        text.append_text(
            Text.assemble(
                ("  ✗ ", "red"), (printable(attempt.address), "bold"), "\n      ", printable(attempt.reason), "\n"
            )
        )
    if not tried:
        text.append("  nothing: no address was given, and there is no socket in the usual places\n")
    text.append("\nWhat you can do:\n")
    for action in actions_of("welcome"):
        text.append_text(
            Text.assemble((f"  {action.key_display or key_text(action.keys):>3} ", "bold"), action.help, "\n")
        )
    return text


class WelcomeScreen(BaseScreen):
    """Offers the demo, a data-root or another host if no Docker Engine answers."""

    scope = "welcome"
    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("welcome")
    DEFAULT_CSS = "WelcomeScreen VerticalScroll { padding: 1 2; }"

    def body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="welcome")

    def on_mount(self) -> None:
        """Show what was tried."""
        self.title_line.left = Text.assemble(("dtui", "bold"), " ▸ no Docker here")
        self._show(self.host.tried)

    def _show(self, tried: tuple[FailedAttempt, ...]) -> None:
        self.query_one("#welcome", Static).update(welcome_text(tried))

    def _enter(self, discovered: Discovery) -> None:
        if discovered.endpoints:
            self.host.open_endpoints(discovered.endpoints)
        else:
            self._show(discovered.tried)
            self.tell(discovered.tried[0].reason if discovered.tried else "nothing found", "bad")

    @work(exclusive=True)
    async def action_retry(self) -> None:
        """Look for an engine in the usual places again."""
        self.tell("looking for a Docker Engine…")
        try:
            await self._try()
        except DtuiError as error:
            self.tell_error(error)

    async def _try(self, *, hosts: tuple[str, ...] = (), roots: tuple[Path, ...] = ()) -> None:
        find = partial(discover, hosts=hosts, roots=roots)
        self._enter(await self.call("Looking for containers", find, _PATIENCE))

    @work(exclusive=True)
    async def action_demo(self) -> None:
        """Build the sample in a temporary directory, and open it."""
        self.tell("building the sample…")
        root = self.host.keep(demo_directory()) / "data-root"
        root.mkdir()
        try:
            self._enter(await asyncio.to_thread(open_sample, root))
        except DtuiError as error:
            self.tell_error(error)

    @work(exclusive=True)
    async def action_data_root(self) -> None:
        """Ask for a data-root and read it."""

        async def read(answer: str) -> None:
            await self._try(roots=(_user_path(answer),))

        await self.ask("Data-root to read without its daemon", read, verb="read it", value="/var/lib/docker")

    @work(exclusive=True)
    async def action_host(self) -> None:
        """Ask for a Docker host and connect."""

        async def connect(answer: str) -> None:
            await self._try(hosts=(answer,))

        forms = "ssh://user@host, tcp://host:2376 or unix:///run/docker.sock"
        await self.ask("Docker host", connect, verb="connect", placeholder=forms)


def _user_path(text: str) -> Path:
    """Return the typed text as a path, with ``~`` expanded."""
    return Path(text).expanduser()
