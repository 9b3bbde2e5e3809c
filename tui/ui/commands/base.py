"""The base class of all command sets, and the interface of the screen that they use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker

from tui.core.errors import DtuiError
from tui.core.progress import Meter
from tui.ui.dialogs.base import Dialog
from tui.ui.host import Host

P = ParamSpec("P")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


class Surface(Protocol):
    """The screen as commands use it: for messages, questions and workers."""

    @property
    def host(self) -> Host:
        """The app."""
        ...

    def tell(self, text: str, level: str = "") -> None:
        """Show a message on the status line; ``level`` is empty, ``good`` or ``bad``."""
        ...

    def tell_error(self, error: DtuiError) -> None:
        """Show an error and its hint on the status line."""
        ...

    async def choose(self, dialog: Dialog[Answer]) -> Answer | None:
        """Show a dialog and return its answer, or None for Escape."""
        ...

    async def call(self, title: str, work: Callable[[], Result], patience: float, meter: Meter | None = None) -> Result:
        """Run a call in a thread and return its result; show progress after ``patience`` seconds.

        Raises Stopped when the user leaves a call that waits for a file system.
        """
        ...

    async def ask(
        self, question: str, act: Callable[[str], Awaitable[None]], *, verb: str, value: str = "", placeholder: str = ""
    ) -> None:
        """Ask for a line and act on it."""
        ...

    def start_flow(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run an action that asks and waits, unless another is under way."""
        ...

    def run_worker(self, work: Any, *args: Any, **options: Any) -> Worker[Any]:
        """Run work in a worker whose errors do not end the app."""
        ...

    def read(self, subject: str, work: Callable[[], Result], *, group: str, exclusive: bool = False) -> Worker[Result]:
        """Run work that reads something in a thread; report on the status line if it does not answer."""
        ...

    def post_message(self, message: Message) -> bool:
        """Send the screen a message, from any thread."""
        ...

    def call_later(self, callback: Callable[..., object], *arguments: Any) -> bool:
        """Run a callback on the screen's thread; workers use it to hand over results."""
        ...

    def set_timer(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` after ``delay`` seconds."""
        ...

    def set_focus(self, widget: Widget | None) -> None:
        """Focus a widget."""
        ...

    def call_after_refresh(self, callback: Callable[..., object], *arguments: object) -> bool:
        """Call ``callback`` after the screen was laid out and painted."""
        ...

    def refresh_bindings(self) -> None:
        """Update the keys in the footer."""
        ...


class Commands:
    """The actions of one subject: a method ``action_<id>`` for each that the action table names."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface

    def disabled_reason(self, action: str) -> str:
        """Return why an action is not possible now, or an empty string."""
        del action
        return ""

    def hides(self, action: str) -> bool:
        """Return whether an action is hidden now, as in another mode of the screen."""
        del action
        return False


C = TypeVar("C", bound=Commands)
Flow = Callable[Concatenate[C, P], Coroutine[Any, Any, None]]


def flow(action: Flow[C, P]) -> Callable[Concatenate[C, P], None]:
    """Decorate an action that asks questions or waits; the screen runs one of them at a time."""

    @wraps(action)
    def start(commands: C, /, *args: P.args, **options: P.kwargs) -> None:
        commands.surface.start_flow(action.__name__, action(commands, *args, **options))

    return start
