"""The frame of every screen: title line, body, status line, footer; and why a key does nothing now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from time import monotonic
from typing import Any, ClassVar, TypeVar, cast

from textual import events, getters, on
from textual._callback import invoke
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from tui.core.errors import DtuiError, Stopped
from tui.core.progress import Meter
from tui.core.text import printable
from tui.files import Unsaved
from tui.ui.actions import actions_of, is_letter
from tui.ui.commands.base import Commands
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.base import Dialog
from tui.ui.dialogs.working import ProgressDialog
from tui.ui.host import Host
from tui.ui.unforeseen import contained, ends_the_app, error_line
from tui.ui.waiting import run_with_progress
from tui.ui.widgets.lines import Banner, Keys, StatusLine, TitleLine
from tui.ui.widgets.rows import VirtualList

Answer = TypeVar("Answer")
Result = TypeVar("Result")

_FLOW = "flow"
_BAD_NEWS = 4.0
"""Seconds for which bad news can be read, whatever is pressed meanwhile."""


def set_title(widget: Widget, title: str, subtitle: str | None = None) -> None:
    """Put untrusted text into a widget's border, a plain str would be parsed as markup; None leaves the lower one."""
    widget.border_title = Content(printable(title))
    if subtitle is not None:
        widget.border_subtitle = Content(printable(subtitle))


class BaseScreen(Screen[None]):
    """A screen of dtui. ``scope`` names its part of the action table.

    What is told on the status line is about what was in hand then (``subject``). It stays until a key or a click puts
    something else in hand, bad news for ``_BAD_NEWS`` seconds at least; what moves by itself takes nothing away.
    """

    scope: ClassVar[str] = "app"
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - Textual types it so
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    title_line = getters.query_one(TitleLine)
    status = getters.query_one(StatusLine)
    banner = getters.query_one(Banner)

    def __init__(self) -> None:
        super().__init__()
        self.accepts_keys = asyncio.Event()
        self._told_at = 0.0
        self._told_of: list[Hashable] = []

    def on_mount(self) -> None:
        """Note that there is something to type to; the screens' own handlers come before this one."""
        self.accepts_keys.set()

    @property
    def palette(self) -> tuple[tuple[str, str], ...]:
        """The scopes whose actions the palette offers, each with what stands before their names in methods."""
        return ((self.scope, ""),)

    @property
    def host(self) -> Host:
        """The app, as far as screens know it."""
        return cast("Host", self.app)

    def compose(self) -> ComposeResult:
        """Put the frame around the body."""
        yield TitleLine()
        yield Banner()
        yield from self.body()
        yield StatusLine()
        yield Keys()

    def body(self) -> ComposeResult:
        """Compose what the screen is about."""
        raise NotImplementedError

    @property
    def commands(self) -> tuple[Commands, ...]:
        """The sets of commands whose actions the screen's keys take."""
        return ()

    def handler(self, action: str) -> Callable[..., object] | None:
        """Return what an action of the table calls: a method ``action_<id>`` of the screen or its commands."""
        owners = (self, *self.commands)
        return next(filter(None, (getattr(owner, f"action_{action}", None) for owner in owners)), None)

    async def action_do(self, action: str, *parameters: str) -> None:
        """Take an action of the table."""
        handler = self.handler(action)
        if handler is not None:
            await invoke(handler, *parameters)

    def disabled_reason(self, action: str) -> str:
        """Say why an action cannot be taken now; empty when it can."""
        return next(filter(None, (commands.disabled_reason(action) for commands in self.commands)), "")

    def hides(self, action: str) -> bool:
        """Say whether an action does not exist now, as in another mode of the screen."""
        return any(commands.hides(action) for commands in self.commands)

    def types(self, action: str) -> bool:
        """Say whether the key of an action is a letter that goes into a line now."""
        return isinstance(self.focused, Input) and is_letter(action, self.scope)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey an action out while there is a reason against it."""
        if action != "do" or not self.is_mounted:
            return True
        action = str(parameters[0])
        if self.hides(action) or self.types(action):
            return False
        return None if self.disabled_reason(action) else True

    def can(self, action: str) -> bool:
        """Say whether an action can be taken now by its name, as in the palette, where no letter stands for it."""
        return not self.hides(action) and not self.disabled_reason(action)

    def on_key(self, event: events.Key) -> None:
        """Answer a greyed-out key with the reason."""
        if isinstance(self.focused, Input):
            return
        meant = [action for action in actions_of(self.scope) if event.key in action.keys.split(",")]
        for action in [candidate for candidate in meant if not self.hides(candidate.id)] or meant:
            reason = self.disabled_reason(action.id)
            if reason:
                event.stop()
                self.tell(reason, "bad")

    def start_flow(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run an action that asks and waits as the one that the screen carries out now.

        While one is under way another is refused: cancelling the first would leave its thread at work and its outcome
        untold.
        """
        flows = [worker for worker in self.workers if worker.group == _FLOW and worker.node is self]
        if any(not worker.is_finished for worker in flows):
            work.close()
            self.tell("one moment: what was asked for before is still under way", "bad")
        else:
            self.run_worker(work, name=name, group=_FLOW)

    async def call(self, title: str, work: Callable[[], Result], patience: float, meter: Meter | None = None) -> Result:
        """Return what a call in a thread returns; show its progress where it takes longer than ``patience`` seconds.

        Raises Stopped when the user leaves a call that waits for a file system.
        """
        return await run_with_progress(self.app, ProgressDialog(title, meter or Meter()), work, patience)

    async def choose(self, dialog: Dialog[Answer]) -> Answer | None:
        """Show a dialog and return its answer, None for Escape."""
        answer: Answer | None = await self.app.push_screen_wait(dialog)
        return answer

    def run_worker(self, work: Any, *args: Any, **options: Any) -> Worker[Any]:
        """Run work in a worker that does not end the app, whatever comes out of it."""
        return super().run_worker(contained(work), *args, **{**options, "exit_on_error": ends_the_app()})

    @on(Worker.StateChanged)
    def _tell_failed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.tell(error_line(event.worker.error), "bad")

    def tell(self, text: str, level: str = "") -> None:
        """Write on the status line; ``level`` is empty, ``good`` or ``bad``."""
        self._told_at, self._told_of = monotonic(), []
        self.status.say(printable(text), level)

    def tell_error(self, error: DtuiError) -> None:
        """Write an error and its hint on the status line."""
        self.tell(str(error), "bad")

    @property
    def subject(self) -> Hashable:
        """What is in hand: what is told is about it."""
        return None

    def note_subject(self) -> None:
        """Note before a key or click takes effect what is in hand."""
        if not self._told_of:
            self._told_of = [self.subject]
        self.clear_stale_status()

    @on(VirtualList.Moved)
    def clear_stale_status(self) -> None:
        """Clear the status line when what it tells of is in hand no more."""
        bad = self.status.has_class("-bad")
        if not self._told_of or self._told_of == [self.subject] or (bad and monotonic() < self._told_at + _BAD_NEWS):
            return
        self.tell("")

    async def ask(
        self, question: str, act: Callable[[str], Awaitable[None]], *, value: str = "", placeholder: str = ""
    ) -> None:
        """Ask for a line and act on it; one that is refused stays in the question, with the reason."""
        error = ""
        while answer := await self.app.push_screen_wait(
            AskDialog(question, value=value, placeholder=placeholder, error=error)
        ):
            try:
                await act(answer)
            except Stopped as stopped:
                self.tell_error(stopped)
            except DtuiError as refused:
                value, error = answer, str(refused)
                continue
            return

    @property
    def unsaved(self) -> str:
        """Name what would be lost if the screen went now; empty when nothing would."""
        return ""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """Return what would be lost, to be kept when nobody can be asked."""
        return None
