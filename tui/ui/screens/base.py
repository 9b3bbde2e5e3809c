"""The base class of all screens: title line, body, status line, footer, and the dispatch of actions."""

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
from tui.ui.waiting import Reads, run_with_progress
from tui.ui.widgets.lines import Banner, Keys, StatusLine, TitleLine
from tui.ui.widgets.rows import VirtualList

Answer = TypeVar("Answer")
Result = TypeVar("Result")

_FLOW = "flow"
_LOOK_AT_READS = 0.5
"""Seconds between two looks at what is read in the background."""

_BAD_NEWS = 4.0
"""Seconds for which an error stays visible, whatever keys are pressed."""


def set_title(widget: Widget, title: str, subtitle: str | None = None) -> None:
    """Set the titles of a widget's border to untrusted text, without parsing markup; None keeps the subtitle."""
    widget.border_title = Content(printable(title))
    if subtitle is not None:
        widget.border_subtitle = Content(printable(subtitle))


def _silence_line(subject: str) -> str:
    return f"{printable(subject)} does not answer; everything else can be used meanwhile"


class BaseScreen(Screen[None]):
    """A screen of dtui. ``scope`` is its scope in the action table.

    A message on the status line is about the ``subject`` at that moment, such as the selected entry. It stays until a
    key or a click changes the subject, an error at least for ``_BAD_NEWS`` seconds.
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
        self._reads = Reads()

    def on_mount(self) -> None:
        """Start accepting keys; the subclasses' own handlers run before this one."""
        self.accepts_keys.set()
        self.set_interval(_LOOK_AT_READS, self._look_at_reads)

    @property
    def palette(self) -> tuple[tuple[str, str], ...]:
        """The scopes that the palette offers, each with the prefix of its method names."""
        return ((self.scope, ""),)

    @property
    def host(self) -> Host:
        """The app."""
        return cast("Host", self.app)

    def compose(self) -> ComposeResult:
        """Compose the frame around the body."""
        yield TitleLine()
        yield Banner()
        yield from self.body()
        yield StatusLine()
        yield Keys()

    def body(self) -> ComposeResult:
        """Compose the widgets between title and status line."""
        raise NotImplementedError

    @property
    def commands(self) -> tuple[Commands, ...]:
        """The command sets that handle the screen's actions."""
        return ()

    def handler(self, action: str) -> Callable[..., object] | None:
        """Return the method ``action_<id>`` of the screen or of its commands."""
        owners = (self, *self.commands)
        return next(filter(None, (getattr(owner, f"action_{action}", None) for owner in owners)), None)

    async def action_do(self, action: str, *parameters: str) -> None:
        """Run an action of the table, or say why it is not possible."""
        handler = self.handler(action)
        if handler is not None:
            await invoke(handler, *parameters)

    def disabled_reason(self, action: str) -> str:
        """Return why an action is not possible now, or an empty string."""
        return next(filter(None, (commands.disabled_reason(action) for commands in self.commands)), "")

    def hides(self, action: str) -> bool:
        """Say whether an action is hidden now, as in another mode of the screen."""
        return any(commands.hides(action) for commands in self.commands)

    def types(self, action: str) -> bool:
        """Say whether the key of an action would be typed into a focused input now."""
        return isinstance(self.focused, Input) and is_letter(action, self.scope)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return None to grey an action out, False to hide it."""
        if action != "do" or not self.is_mounted:
            return True
        action = str(parameters[0])
        if self.hides(action) or self.types(action):
            return False
        return None if self.disabled_reason(action) else True

    def can(self, action: str) -> bool:
        """Say whether an action is possible now from the palette, even while its key would be typed as text."""
        return not self.hides(action) and not self.disabled_reason(action)

    def on_key(self, event: events.Key) -> None:
        """Show the reason when a greyed-out key is pressed."""
        if isinstance(self.focused, Input):
            return
        meant = [action for action in actions_of(self.scope) if event.key in action.keys.split(",")]
        for action in [candidate for candidate in meant if not self.hides(candidate.id)] or meant:
            reason = self.disabled_reason(action.id)
            if reason:
                event.stop()
                self.tell(reason, "bad")

    def start_flow(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run an action that asks questions or waits; the screen runs one at a time.

        A second one is refused: cancelling the first would leave its thread running and its outcome unreported.
        """
        flows = [worker for worker in self.workers if worker.group == _FLOW and worker.node is self]
        if any(not worker.is_finished for worker in flows):
            work.close()
            self.tell("the previous action is still running", "bad")
        else:
            self.run_worker(work, name=name, group=_FLOW)

    async def call(self, title: str, work: Callable[[], Result], patience: float, meter: Meter | None = None) -> Result:
        """Run a call in a thread and return its result; show progress after ``patience`` seconds.

        Raises Stopped when the user leaves a call that waits for a file system.
        """
        return await run_with_progress(self.app, ProgressDialog(title, meter or Meter()), work, patience)

    def read(self, subject: str, work: Callable[[], Result], *, group: str, exclusive: bool = False) -> Worker[Result]:
        """Run work that reads something in a thread; report on the status line if it does not answer."""
        watched = self._reads.watched(subject, group, work, alone=exclusive)
        return self.run_worker(watched, thread=True, exclusive=exclusive, group=group)

    def _look_at_reads(self) -> None:
        silent, ended = self._reads.look()
        if any(self.status.message.plain.endswith(_silence_line(subject)) for subject in ended):
            self.tell("")
        if silent is not None:
            self.tell(_silence_line(silent), "bad")

    async def choose(self, dialog: Dialog[Answer]) -> Answer | None:
        """Show a dialog and return its answer, or None for Escape."""
        answer: Answer | None = await self.app.push_screen_wait(dialog)
        return answer

    def run_worker(self, work: Any, *args: Any, **options: Any) -> Worker[Any]:
        """Run work in a worker whose errors do not end the app."""
        return super().run_worker(contained(work), *args, **{**options, "exit_on_error": ends_the_app()})

    @on(Worker.StateChanged)
    def _tell_failed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.tell(error_line(event.worker.error), "bad")

    def tell(self, text: str, level: str = "") -> None:
        """Show a message on the status line; ``level`` is empty, ``good`` or ``bad``."""
        self._told_at, self._told_of = monotonic(), []
        self.status.say(printable(text), level)

    def tell_error(self, error: DtuiError) -> None:
        """Show an error and its hint on the status line."""
        self.tell(str(error), "bad")

    @property
    def subject(self) -> Hashable:
        """What the message on the status line is about, such as the selected entry."""
        return None

    def note_subject(self) -> None:
        """Remember the subject before a key or click takes effect."""
        if not self._told_of:
            self._told_of = [self.subject]
        self.clear_stale_status()

    @on(VirtualList.Moved)
    def clear_stale_status(self) -> None:
        """Clear the status line if its message is about another subject."""
        bad = self.status.has_class("-bad")
        if not self._told_of or self._told_of == [self.subject] or (bad and monotonic() < self._told_at + _BAD_NEWS):
            return
        self.tell("")

    async def ask(
        self, question: str, act: Callable[[str], Awaitable[None]], *, verb: str, value: str = "", placeholder: str = ""
    ) -> None:
        """Ask for a line and pass it to ``act``; if that refuses it, ask again with the line and the reason."""
        error = ""
        while answer := await self.app.push_screen_wait(
            AskDialog(question, verb=verb, value=value, placeholder=placeholder, error=error)
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
        """The name of what would be lost if the screen closed now, or an empty string."""
        return ""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """The text that would be lost, to be kept if the app ends without asking."""
        return None
