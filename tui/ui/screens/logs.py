"""The log of one container, full screen: follow, search."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from tui.core.model import Container
from tui.core.text import count_of, printable
from tui.ui.actions import bindings
from tui.ui.feed import Feed, Happened
from tui.ui.present import state_text
from tui.ui.screens.base import Frame
from tui.ui.widgets.lines import Line
from tui.ui.widgets.log_pane import LogPane


class LogsScreen(Frame):
    """Follows a container's log over its stops and starts."""

    scope = "logs"
    AUTO_FOCUS = "#log"
    CSS_PATH = "logs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("logs")

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def body(self) -> ComposeResult:
        """Compose search line and log."""
        yield Line(self._search, placeholder="search", id="search", hidden=True)
        yield LogPane(id="log")

    @property
    def log_pane(self) -> LogPane:
        """The log."""
        return self.query_one("#log", LogPane)

    def on_mount(self) -> None:
        """Open the log."""
        self.set_focus(self.log_pane)
        self._open()
        self.watch(self.app, "feed", self._show_state)

    def _open(self) -> None:
        endpoint = self.dtui.endpoint(self._container.endpoint)
        self.log_pane.open(endpoint, self._container.id, follow=endpoint.live)

    def _show_state(self, feed: Feed) -> None:
        self._container = feed.find((self._container.endpoint, self._container.id)) or self._container
        self.title_line.left = Text.assemble(
            ("dtui", "bold"), f" ▸ containers ▸ {printable(self._container.name)} ▸ logs"
        )
        self.title_line.right = state_text(self._container)

    @on(LogPane.Ended)
    def _ended(self, event: LogPane.Ended) -> None:
        self.tell(event.problem or "the container has ended; a start goes on here", "bad" if event.problem else "")

    @on(Happened)
    def _happened(self, event: Happened) -> None:
        if event.event.id == self._container.id and event.event.action == "start":
            self._open()
            self.tell("started")

    def action_back(self) -> None:
        """Leave the search first, then the screen."""
        line = self.query_one("#search", Line)
        if line.display:
            line.hide()
            self.log_pane.needle = ""
            self.set_focus(self.log_pane)
            return
        self.dismiss()

    def action_follow(self) -> None:
        """Follow, or hold still."""
        self.log_pane.follow = not self.log_pane.follow
        self.tell("following" if self.log_pane.follow else "held still: f follows again")

    def action_wrap(self) -> None:
        """Break long lines, or leave them whole."""
        self.log_pane.wrap = not self.log_pane.wrap
        self.tell("long lines are broken" if self.log_pane.wrap else "long lines stay whole: → scrolls")

    def action_search(self) -> None:
        """Type what to search for."""
        self.query_one("#search", Line).show()

    def _search(self, words: str) -> None:
        self.log_pane.needle = words
        self.set_focus(self.log_pane)
        self._find(-1)

    def _find(self, step: int) -> None:
        if not self.log_pane.needle:
            self.tell("nothing searched yet: / searches")
            return
        found = self.log_pane.find(step)
        self.tell(f"found on {count_of(found, 'line')}" if found else "no line matches", "" if found else "bad")

    def action_find_next(self) -> None:
        """Go to the next match."""
        self._find(1)

    def action_find_previous(self) -> None:
        """Go to the match before."""
        self._find(-1)
