"""Start a container and watch it: the log pane that opens below what a screen shows."""

from __future__ import annotations

from tui.engine.endpoint import Endpoint
from tui.ui.screens.acts import ActionEnded
from tui.ui.screens.base import set_title
from tui.ui.screens.holding import HoldingFrame
from tui.ui.widgets.log_pane import LogPane


class FollowingFrame(HoldingFrame):
    """A screen with one container in hand and a log pane that is hidden until it is wanted."""

    @property
    def log_pane(self) -> LogPane:
        """The log."""
        return self.query_one("#log", LogPane)

    @property
    def endpoint(self) -> Endpoint:
        """Where it lives."""
        return self.host.endpoint(self.container.endpoint)

    def action_logs(self) -> None:
        """Show or hide the log below the file."""
        pane = self.log_pane
        pane.display = not pane.display
        if pane.display:
            self.follow_log()
        else:
            pane.shut()

    def follow_log(self) -> None:
        """Show the log below the file and follow it."""
        pane = self.log_pane
        pane.display = True
        set_title(pane, f"log of {self.container.name}")
        pane.follow = True
        pane.open(self.endpoint, self.container.id, follow=self.endpoint.live, tail=200)

    def on_action_ended(self, event: ActionEnded) -> None:
        """Follow the log of what was started."""
        super().on_action_ended(event)
        if not event.error and event.verb.value in ("start", "restart"):
            self.follow_log()
