"""The log below the file, shown by a key or when the container is started."""

from __future__ import annotations

from textual.content import Content

from tui.core.text import printable
from tui.engine.endpoint import Verb
from tui.ui.commands.base import Commands, Surface
from tui.ui.commands.containers import ActionEnded
from tui.ui.commands.held_container import HeldContainer
from tui.ui.widgets.log_pane import LogPane


class LogDock(Commands):
    """Shows and hides the log pane."""

    def __init__(self, surface: Surface, held: HeldContainer, pane: LogPane) -> None:
        super().__init__(surface)
        self._held = held
        self._pane = pane

    def disabled_reason(self, action: str) -> str:
        return self._held.commands.verb_reason("logs") if action == "logs" else ""

    def action_logs(self) -> None:
        """Show or hide the log below the file."""
        self._pane.display = not self._pane.display
        if self._pane.display:
            self.follow()
        else:
            self._pane.shut()

    def follow(self) -> None:
        """Show the log and follow it."""
        pane, container = self._pane, self._held.record
        pane.display = True
        pane.border_title = Content(printable(f"log of {container.name}"))
        pane.follow = True
        pane.open(self._held.endpoint, container.id, follow=self._held.endpoint.live, tail=200)

    def follow_start(self, event: ActionEnded) -> None:
        """Show and follow the log of a container that was started."""
        if not event.error and event.verb in (Verb.START, Verb.RESTART):
            self.follow()
