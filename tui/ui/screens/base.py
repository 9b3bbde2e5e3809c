"""The frame of every screen: title line, body, status line, footer; and why a key does nothing now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, getters
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Input

from tui.core.errors import DtuiError
from tui.core.text import printable
from tui.editing.unsaved import Unsaved
from tui.ui.actions import TABLE, actions_of
from tui.ui.widgets.lines import Banner, StatusLine, TitleLine

if TYPE_CHECKING:
    from tui.ui.app import DtuiApp


_LINE_OPENERS = frozenset(action.id for action in TABLE if action.keys == "slash")


def set_title(widget: Widget, title: str, subtitle: str | None = None) -> None:
    """Put untrusted text into a widget's border, a plain str would be parsed as markup; None leaves the lower one."""
    widget.border_title = Content(printable(title))
    if subtitle is not None:
        widget.border_subtitle = Content(printable(subtitle))


class Frame(Screen[None]):
    """A screen of dtui. ``scope`` names its part of the action table."""

    scope: ClassVar[str] = "app"
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - Textual types it so
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    title_line = getters.query_one(TitleLine)
    status = getters.query_one(StatusLine)
    banner = getters.query_one(Banner)

    def __init__(self) -> None:
        super().__init__()
        self.there = asyncio.Event()

    def on_mount(self) -> None:
        """Note that there is something to type to; the screens' own handlers come before this one."""
        self.there.set()

    @property
    def palette(self) -> tuple[tuple[str, str], ...]:
        """The scopes whose actions the palette offers, each with what stands before their names in methods."""
        return ((self.scope, ""),)

    @property
    def dtui(self) -> DtuiApp:
        """The app, as what it is."""
        return cast("DtuiApp", self.app)

    def compose(self) -> ComposeResult:
        """Put the frame around the body."""
        yield TitleLine()
        yield Banner()
        yield from self.body()
        yield StatusLine()
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """Compose what the screen is about."""
        raise NotImplementedError

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now; empty when it can."""
        del action
        return ""

    def hides(self, action: str) -> bool:
        """Say whether an action does not exist now, as in another mode of the screen: ``/`` is a letter in a line."""
        return isinstance(self.focused, Input) and action in _LINE_OPENERS

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey an action out while there is a reason against it."""
        del parameters
        if not self.is_mounted:
            return True
        if self.hides(action):
            return False
        return None if self.why_not(action) else True

    def on_key(self, event: events.Key) -> None:
        """Answer a greyed-out key with the reason."""
        if isinstance(self.focused, Input):
            return
        meant = [action for action in actions_of(self.scope) if event.key in action.keys.split(",")]
        for action in [one for one in meant if not self.hides(one.id)] or meant:
            reason = self.why_not(action.id)
            if reason:
                event.stop()
                self.tell(reason, "bad")

    def tell(self, text: str, level: str = "") -> None:
        """Write on the status line; ``level`` is empty, ``good`` or ``bad``."""
        self.status.say(printable(text), level)

    def tell_error(self, error: DtuiError) -> None:
        """Write an error and its hint on the status line."""
        self.tell(str(error), "bad")

    @property
    def unsaved(self) -> str:
        """Name what would be lost if the screen went now; empty when nothing would."""
        return ""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """Return what would be lost, to be kept when nobody can be asked."""
        return None
