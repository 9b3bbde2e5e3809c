"""The log screen: follows and searches the log of one container."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from tui.core.records import Container
from tui.core.text import count_of, printable
from tui.services.feed import Feed
from tui.ui.actions import screen_bindings
from tui.ui.commands.base import Commands
from tui.ui.commands.containers import VERBS, ActionEnded
from tui.ui.commands.held_container import HeldContainer
from tui.ui.feed_messages import EngineEvent
from tui.ui.screens.base import BaseScreen
from tui.ui.widgets.lines import Line
from tui.ui.widgets.log_pane import LogPane

_AGAIN = 3
"""Seconds before a log that ended while its container still runs is opened again."""


def search_message(pane: LogPane) -> tuple[str, bool]:
    """Return how many lines match a search, and whether any does or may yet."""
    matches, lines, earlier = pane.matching(), len(pane.lines), pane.earlier_matches
    if pane.is_complete:
        return (f"{count_of(matches, 'line')} matched" if matches else "no line matches"), bool(matches)
    if earlier is None or not earlier.ended:
        message = f"{matches:,} of the last {lines:,} lines matched"
        if not pane.searching:
            return f"{message}; earlier lines were not searched", bool(matches)
        far = f" {earlier.read:,} read, {earlier.matches:,} matched" if earlier else ""
        return f"{message}; searching earlier lines:{far} · esc stops", True
    matches, lines = matches + earlier.matches + pane.fallen_matches, lines + earlier.read + pane.fallen
    message = f"{matches:,} of {lines:,} lines matched" if matches else f"none of {lines:,} lines matches"
    if pane.fallen_matches:
        message += f"; {pane.fallen_matches:,} of them are no longer shown: / searches again"
    if earlier.problem:
        return f"{message}; the search failed: {earlier.problem}", False
    return message, bool(matches)


class LogsScreen(BaseScreen):
    """Follows a container's log, also after it is stopped and started again."""

    scope = "logs"
    AUTO_FOCUS = "#log"
    CSS_PATH = "logs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("logs")

    def __init__(self, container: Container) -> None:
        super().__init__()
        self.held = HeldContainer(self, container, lambda: ": its log ends here, esc goes back", self._show_title)
        self.log_pane = LogPane(id="log")
        self._end_unreported = False
        self._troubled: frozenset[str] = frozenset()

    def body(self) -> ComposeResult:
        yield Line(self._search, placeholder="search", id="search", hidden=True)
        yield self.log_pane

    @property
    def commands(self) -> tuple[Commands, ...]:
        """The commands for the container; the log's actions are the screen's own methods."""
        return (self.held.commands,)

    def on_mount(self) -> None:
        """Open the log, and follow the state of the container."""
        self.set_focus(self.log_pane)
        self._open()
        self.watch(self.app, "feed", self._show_state)

    def _open(self) -> None:
        self._end_unreported = False
        endpoint = self.held.endpoint
        self.log_pane.open(endpoint, self.held.record.id, follow=endpoint.live)

    def _show_state(self, feed: Feed) -> None:
        self.held.update(feed)
        self._show_title()
        self._follow_engine(feed.troubled)
        self._tell_end()

    def _follow_engine(self, troubled: frozenset[str]) -> None:
        """Keep the log while its engine does not answer, and continue it afterwards."""
        endpoint, before = self.held.record.endpoint, self._troubled
        self._troubled = troubled
        if self.held.is_removed or (endpoint in before) == (endpoint in troubled):
            return
        if endpoint in troubled:
            self.tell(f"{endpoint} does not answer; the log continues when it does", "bad")
        else:
            self.tell(f"{endpoint} answers again", "good")
            self._open()

    def _show_title(self) -> None:
        self.title_line.left = Text.assemble(
            ("dtui", "bold"), f" ▸ containers ▸ {printable(self.held.record.name)} ▸ logs"
        )
        self.title_line.right = self.held.state_words
        self.refresh_bindings()

    def hides(self, action: str) -> bool:
        """Hide container actions once the container was removed."""
        return super().hides(action) or (self.held.is_removed and action in VERBS)

    @on(ActionEnded)
    def _verb_ended(self, event: ActionEnded) -> None:
        self.held.commands.tell_outcome(event)

    @on(EngineEvent)
    def _engine_event(self, event: EngineEvent) -> None:
        """Follow the log of the next run when the container is started."""
        if self.held.take_event(event) == "start":
            self._open()

    @on(LogPane.Ended)
    def _log_ended(self, event: LogPane.Ended) -> None:
        if event.problem:
            self.tell(event.problem, "bad")
        else:
            self._end_unreported = True
            self._tell_end()
            self.set_timer(_AGAIN, self._follow_on)

    def _follow_on(self) -> None:
        """Open the log again unless the container ended too: its engine may have been restarted."""
        if self._end_unreported and not self.held.is_removed and self.held.record.endpoint not in self._troubled:
            self._open()

    def _tell_end(self) -> None:
        """Report the end of the log once the container's state has changed, so that the keys named in it exist."""
        held = self.held
        if not self._end_unreported or held.is_removed or (held.endpoint.live and held.record.state.alive):
            return
        self._end_unreported = False
        restart_hint = "" if held.commands.verb_reason("start") else ": s starts it again and follows its log"
        self.tell(f"{held.record.name} has ended{restart_hint}")

    def action_back(self) -> None:
        """Stop the search, else close the search line, else leave the screen."""
        if self.log_pane.searching:
            self.log_pane.stop_search()
            self._tell_found()
            return
        line = self.query_one("#search", Line)
        if line.display:
            line.hide()
            self.log_pane.needle = ""
            self.log_pane.stop_search()
            self.set_focus(self.log_pane)
            return
        self.dismiss()

    def action_follow(self) -> None:
        """Follow the log, or stop following."""
        self.log_pane.follow = not self.log_pane.follow
        self.tell("following" if self.log_pane.follow else "not following: f follows again")

    def action_wrap(self) -> None:
        """Wrap long lines, or stop wrapping."""
        self.log_pane.wrap = not self.log_pane.wrap
        self.tell("long lines are wrapped" if self.log_pane.wrap else "long lines are not wrapped: → scrolls")

    def action_search(self) -> None:
        """Show the search line."""
        self.query_one("#search", Line).show()

    def _search(self, needle: str) -> None:
        """Search the loaded lines at once, and request the earlier ones from the engine."""
        self.log_pane.needle = needle
        self.set_focus(self.log_pane)
        self.log_pane.search_earlier()
        self._find(-1)

    @on(LogPane.Searched)
    def _searched(self, event: LogPane.Searched) -> None:
        """Report the progress of a search; scroll to its matches if no loaded line matches."""
        if event.log_matches.ended and event.log_matches.matches and not self.log_pane.matching():
            self.call_after_refresh(self.log_pane.find, -1)  # the rows exist only after the next layout
        self._tell_found()

    def _tell_found(self) -> None:
        message, good = search_message(self.log_pane)
        self.tell(message, "" if good else "bad")

    def _find(self, step: int) -> None:
        if not self.log_pane.needle:
            self.tell("no search yet: / searches")
            return
        self.log_pane.find(step)
        self._tell_found()

    def action_find_next(self) -> None:
        """Go to the next match."""
        self._find(1)

    def action_find_previous(self) -> None:
        """Go to the previous match."""
        self._find(-1)
