"""The terminal app: endpoints, their feed, and the screens over them."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from tui.core.errors import DtuiError
from tui.core.records import Container
from tui.core.state import mode_warning
from tui.core.text import count_of, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live.archive import archive_of
from tui.files import privileged, recover, told_once
from tui.linux.supervise import ENDING_SIGNALS, mark_stuck
from tui.linux.terminal_state import TerminalState
from tui.render.ink import PlainInk
from tui.services.discover import FailedAttempt
from tui.services.feed import Feed, Watcher
from tui.ui.actions import actions_of, bindings
from tui.ui.dialogs.base import Dialog
from tui.ui.dialogs.choose import ChooseDialog, confirm
from tui.ui.ending import Ending
from tui.ui.feed_messages import ContainersListed, EngineEvent, EventsSkipped, FeedMessages, SourceChanged
from tui.ui.last_resort import guard
from tui.ui.outside import OpenCopies, end_editor
from tui.ui.screens.base import BaseScreen
from tui.ui.terminal.driver import DroppingDriver, detach_terminal
from tui.ui.terminal.filter import SafeFilter
from tui.ui.threads import DaemonThreads
from tui.ui.unforeseen import contained, ends_the_app, error_line
from tui.ui.waiting import finish_jobs

_LOOK = 1.0
"""Seconds between two looks at what an editor may have saved."""


class Tidied(Message):
    """What an earlier, killed run had left was put right."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


class QuitQuestion(ChooseDialog):
    """Asks whether to lose what is unsaved."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"{subject} has unsaved text.", (confirm("quit and lose it", answer="quit"),))


class DtuiApp(App[int]):
    """dtui. ``endpoints`` are followed; ``tried`` tells where none was found; ``open_path`` opens a file at once."""

    CSS_PATH = "app.tcss"
    TITLE = "dtui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = bindings("app")

    feed: reactive[Feed] = reactive(Feed())

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        tried: Sequence[FailedAttempt] = (),
        *,
        open_path: tuple[Container, bytes] | None = None,
        theme: str | None = None,
    ) -> None:
        super().__init__()
        if self.no_color:
            self._filters.insert(0, PlainInk())
        self._filters.append(SafeFilter())  # no public way in Textual 8.2.8; a test holds it in place
        self.tried = tuple(tried)
        self._watchers: dict[str, Watcher] = {}
        self._open_path = open_path
        self._first = tuple(endpoints)
        self._resources = ExitStack()
        self._tidied: set[str] = set()
        self._leaving = False
        self.ending = Ending()
        self._signals: dict[int, Any] = {}
        self.open_copies = OpenCopies()
        self.threads = DaemonThreads()
        self.last_key = ""
        if theme:
            self.theme = theme

    def on_mount(self) -> None:
        """Paint first, ask the Engines afterwards."""
        asyncio.get_running_loop().set_default_executor(self.threads)
        self._end_in_order()
        self._tell_unsaved()
        self._tidy_labs()
        self.set_interval(_LOOK, self._look_at_copies)
        if not self._first:
            from tui.ui.screens.welcome import WelcomeScreen

            self.push_screen(WelcomeScreen())
            return
        self.open_endpoints(self._first)

    def get_driver_class(self) -> type[Driver]:
        """Return a driver that outlives its terminal, unless another kind was asked for."""
        usual = super().get_driver_class()
        return DroppingDriver if usual is LinuxDriver else usual

    async def on_event(self, event: events.Event) -> None:
        """Let keys wait until the screen they are typed for is there; remember which key may have asked a question."""
        if isinstance(event, events.Key):
            self.last_key = event.key
        elif isinstance(event, events.MouseDown):
            self.last_key = ""
        if isinstance(event, events.Key | events.MouseDown) and isinstance(self.screen, BaseScreen):
            await self.screen.accepts_keys.wait()
            self.screen.note_subject()
        await super().on_event(event)

    # the end ------------------------------------------------------------------------------------------------

    def _end_in_order(self) -> None:
        """Leave as by q when asked to end or when the line drops: a benchmark then clears its engines away."""
        loop = asyncio.get_running_loop()

        def signalled(number: int, _frame: object) -> None:
            if number == signal.SIGHUP:
                # not by the loop: the SIGCONT that comes along would be answered before the loop's turn
                detach_terminal()
            self.ending.end_requested = True
            self.keep_texts()  # now: the loop may be busy, or wait for an editor
            end_editor()
            loop.call_soon_threadsafe(self._leave, number)

        with suppress(ValueError):  # not in the main thread: somebody else's loop
            for number in ENDING_SIGNALS:
                self._signals[number] = signal.signal(number, signalled)

    def _leave(self, number: int) -> None:
        """Leave without a question; unsaved text is kept for the next start."""
        if self._leaving:
            return
        self._leaving = True
        self.keep_texts()
        self.ending.signal = signal.Signals(number)
        self.exit(128 + number)

    def keep_texts(self) -> None:
        """Keep the unsaved text of all screens, each once, unless it was agreed to lose it."""
        if not self._exit:
            with self._context():
                self.ending.keep(
                    [s for stack in self._screen_stacks.values() for s in stack if isinstance(s, BaseScreen)]
                )

    def _register_child(self, parent: DOMNode, child: Widget, *place: Any) -> None:
        """Have what stops a screen or widget end the app in order."""
        guard(child, self._handle_exception)
        super()._register_child(parent, child, *place)

    def _handle_exception(self, error: BaseException) -> None:
        """End by an exception that nobody foresaw: it comes out of whatever handler, timer, worker or widget.

        Textual would print a traceback with all locals and end as if nothing were wrong (8.2.8). Nor does it mount
        what a screen is made of once the app ends, so that a screen which opens at that moment misses its widgets.
        """
        if self._exit and isinstance(error, NoMatches):
            return
        self._return_code = 1
        if self._exception is None:
            self._exception = error  # type: ignore[assignment]
            self._exception_event.set()
        self.fail(error)
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.accepts_keys.set()  # or a key would wait for ever for a screen that does not come
        self._close_messages_no_wait()

    def fail(self, error: BaseException) -> None:
        """Note why the app ends, and keep what would be lost."""
        self.ending.note_error(error)
        self.keep_texts()

    async def _shutdown(self) -> None:
        """Keep what would be lost when the app ends though nobody left it."""
        self.keep_texts()
        await super()._shutdown()
        if self.is_headless:  # the process goes on; else what is cleared away at the end must not be cut off
            for number, handler in self._signals.items():
                signal.signal(number, handler)

    async def push_screen_wait(self, screen: Screen[Any] | str, *, mode: str | None = None) -> Any:
        """Show a dialog and return its answer; it goes with whoever waits for it, and then answers nothing."""
        try:
            return await super().push_screen_wait(screen, mode=mode)
        except asyncio.CancelledError:
            if isinstance(screen, Dialog):
                screen.abandoned = True
                if screen is self.screen:
                    screen.on_screen_resume()
            raise

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """Lend the terminal to another program. What is raised meanwhile comes out when the app has it again.

        Textual leaves the terminal as it is when something is raised in the middle (8.2.8).
        """
        raised: BaseException | None = None
        with super().suspend():
            try:
                yield
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
        if raised is not None:
            raise raised

    def copy_to_clipboard(self, text: str) -> None:
        """Copy text, with bytes that are no characters as they are, to the terminal's clipboard and the app's own."""
        self._clipboard = text
        if self._driver is not None:
            data = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
            self._driver.write(f"\x1b]52;c;{data}\a")

    # endpoints ----------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints that are followed."""
        return tuple(watcher.endpoint for watcher in self._watchers.values())

    def open_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Follow these endpoints and show their containers."""
        from tui.ui.screens.containers import ContainersScreen

        self.close_endpoints()
        listener = FeedMessages(self.post_message)
        self._watchers = {e.name: Watcher(e, listener) for e in endpoints}
        self.feed = Feed(tuple(w.source for w in self._watchers.values()))
        self.push_screen(ContainersScreen())
        if self._open_path:
            container, path = self._open_path
            self.open_layer(container, path, edit=True)
        for watcher in self._watchers.values():
            watcher.start()

    def close_endpoints(self) -> None:
        """Stop following all endpoints."""
        for watcher in self._watchers.values():
            watcher.close()
            watcher.endpoint.close()
        self._watchers = {}

    def leave_endpoints(self) -> None:
        """Go to the ways in and say what was tried."""
        from tui.ui.screens.welcome import WelcomeScreen

        self.tried = tuple(FailedAttempt(s.address, s.problem or "no answer yet") for s in self.feed.sources)
        self.close_endpoints()
        self.switch_screen(WelcomeScreen())

    def _look_at_copies(self) -> None:
        """Tell of what an editor saved that did not wait."""
        for line in self.open_copies.saved_lines():
            self.notify(printable(line), title="editor", timeout=15, markup=False)

    def on_unmount(self) -> None:
        """Give everything back."""
        self.ending.notes += self.open_copies.close()
        self.close_endpoints()
        self._resources.close()

    def keep(self, resource: AbstractContextManager[Path]) -> Path:
        """Enter something now and leave it when the app ends."""
        return self._resources.enter_context(resource)

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of this name."""
        return self._watchers[name].endpoint

    def refresh_feed(self) -> None:
        """List all endpoints again."""
        for watcher in self._watchers.values():
            watcher.refresh()

    @on(SourceChanged)
    def _source_changed(self, event: SourceChanged) -> None:
        if event.source.name not in self._watchers:
            return
        self.feed = self.feed.with_source(event.source)
        if event.source.listed and event.source.name not in self._tidied:
            self._tidied.add(event.source.name)
            self._tidy(self.endpoint(event.source.name))

    @work(thread=True, group="tidy")
    def _tidy(self, endpoint: Endpoint) -> None:
        """Put right what a killed dtui left: writes cut off, benchmark containers."""
        try:
            lines = [*recover(endpoint.inspect, partial(archive_of, endpoint)), *_sweep_benchmarks(endpoint)]
        except DtuiError as error:
            lines = [f"cleaning up after an earlier run: {error}"]
        if lines:
            self.post_message(Tidied(tuple(lines)))

    @work(thread=True, group="tidy")
    def _tell_unsaved(self) -> None:
        """Say where the text is that was open when a line dropped, and who may look at what is kept."""
        lines = tuple(filter(None, (*told_once(), mode_warning())))
        if lines:
            self.post_message(Tidied(lines))

    @work(thread=True, group="tidy")
    def _tidy_labs(self) -> None:
        """Clear away what killed benchmarks left on this host."""
        from tui.lab.engines import sweep_labs
        from tui.services.bench_targets import lab_home

        try:
            lines = sweep_labs(lab_home()) if privileged() else ()
        except DtuiError as error:
            lines = (f"cleaning up after an earlier benchmark: {error}",)
        if lines:
            self.post_message(Tidied(lines))

    def run_worker(self, work: Any, *args: Any, **options: Any) -> Worker[Any]:
        """Run work in a worker that does not end the app, whatever comes out of it."""
        return super().run_worker(contained(work), *args, **{**options, "exit_on_error": ends_the_app()})

    @on(Worker.StateChanged)
    def _tell_failed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.notify(error_line(event.worker.error), severity="error", markup=False)

    @on(Tidied)
    def _tell_tidied(self, event: Tidied) -> None:
        for line in event.lines:
            self.notify(printable(line), title="left by an earlier run", timeout=15, markup=False)

    @on(EventsSkipped)
    def _tell_skipped(self, event: EventsSkipped) -> None:
        line = f"{event.endpoint}: its Engine announces what dtui does not understand; the list is asked for each time"
        self.notify(printable(line), severity="warning", timeout=15, markup=False)

    @on(EngineEvent)
    def _happened(self, event: EngineEvent) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.post_message(EngineEvent(event.endpoint, event.event))

    @on(ContainersListed)
    def _listed(self, event: ContainersListed) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.post_message(ContainersListed(event.problem))

    def open_layer(self, container: Container, path: bytes = b"/", *, edit: bool = False) -> None:
        """Open a container's layer, at a path, with the editor on it if asked."""
        from tui.ui.screens.layer import LayerScreen

        self.push_screen(LayerScreen(container, path, edit=edit))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer what can be done on the present screen now, then what can be done everywhere."""
        places: list[tuple[BaseScreen | DtuiApp, str, str]] = [(self, "app", "")]
        if isinstance(screen, BaseScreen):
            places = [*((screen, scope, prefix) for scope, prefix in screen.palette), *places]
        for target, scope, prefix in places:
            for action in actions_of(scope):
                method = target.handler(prefix + action.id)
                if action.palette and method and target.can(prefix + action.id):
                    yield SystemCommand(action.label.capitalize(), action.help, method)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what the screen has not now, such as the help on ``?`` where that is a letter."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(screen, BaseScreen) and screen.is_mounted:
            letter = screen.hides("help") or screen.types("help")
            if screen.hides(action) or screen.types(action) or (action == "help_typing" and not letter):
                return False
        return super().check_action(action, parameters)

    def handler(self, action: str) -> Callable[..., object] | None:
        """Return the method that an action of the table calls."""
        return getattr(self, f"action_{action}", None)

    def can(self, action: str) -> bool:
        """Say whether an action can be taken by its name: each of the app's own, always."""
        return bool(super().check_action(action, ()))

    def action_help(self) -> None:
        """Show all keys."""
        from tui.ui.dialogs.show import TextDialog, help_text

        scope = self.screen.scope if isinstance(self.screen, BaseScreen) else "app"
        self.push_screen(TextDialog("Keys", help_text(scope)))

    def action_help_typing(self) -> None:
        """Show all keys, by one that is no letter."""
        self.action_help()

    def action_leave_app(self) -> None:
        """Leave, by a key that is a letter where text is typed."""
        self.action_quit_safely()

    @work
    async def action_quit_safely(self) -> None:
        """Leave, after a question when text would be lost."""
        if isinstance(self.screen, QuitQuestion):
            return
        unsaved = [s.unsaved for s in self.screen_stack if isinstance(s, BaseScreen) and s.unsaved]
        if unsaved and await self.push_screen_wait(QuitQuestion(unsaved[0])) != "quit":
            return
        self.exit(0)


def _sweep_benchmarks(endpoint: Endpoint) -> list[str]:
    from tui.bench.runner import remove_dead_runs
    from tui.engine.live.endpoint import LiveEndpoint
    from tui.lab.engine_host import EngineBenchHost

    count = remove_dead_runs(EngineBenchHost(endpoint)) if isinstance(endpoint, LiveEndpoint) else 0
    return [f"removed {count_of(count, 'container')} of a benchmark that was killed"] if count else []


def run(
    endpoints: Sequence[Endpoint],
    tried: Sequence[FailedAttempt] = (),
    *,
    open_path: tuple[Container, bytes] | None = None,
    theme: str | None = None,
) -> int:
    """Run the app until it is left; return the exit code.

    Raises AppEnded when something else ended it: why, and where the text is that was not saved.
    """
    terminal = TerminalState.current()
    app = DtuiApp(endpoints, tried, open_path=open_path, theme=theme)
    try:
        code = app.run()
    except BaseException as error:  # noqa: BLE001 - told below
        app.fail(error)
        code = None
    if app.ending.ended_by_error and terminal is not None:
        terminal.restore()
    app.threads.finish()
    finish_jobs()
    if app.threads.busy:  # a call to a file system that does not answer would keep this process
        mark_stuck()
    app.ending.tell(in_order=app._exit)
    return code or 0
