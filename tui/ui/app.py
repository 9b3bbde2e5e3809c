"""The terminal app: it follows the endpoints and shows the screens."""

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
from tui.files import Unanswered, answered, privileged, recover, told_once
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
"""Seconds between checks for saves by external editors that are still open."""


_PATIENCE = 3.0
"""Seconds without progress after which a temporary directory is left at the end."""


class Tidied(Message):
    """Leftovers of an earlier run that was killed have been cleaned up."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


class QuitQuestion(ChooseDialog):
    """Asks whether to quit and lose unsaved text."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"{subject} has unsaved text.", (confirm("quit without saving", answer="quit"),))


class DtuiApp(App[int]):
    """The app. Follows ``endpoints``; ``tried`` lists failed attempts; ``open_path`` opens a file at once.

    ``note`` says how the endpoints were chosen, and is shown at the start.
    """

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
        note: str = "",
        theme: str | None = None,
    ) -> None:
        super().__init__()
        self._note = note
        if self.no_color:
            self._filters.insert(0, PlainInk())
        self._filters.append(SafeFilter())  # Textual 8.2.8 has no public API for this; a test checks it
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
        self._copies_worker: Worker[None] | None = None
        self.threads = DaemonThreads()
        self.last_key = ""
        if theme:
            self.theme = theme

    def on_mount(self) -> None:
        """Start the background jobs and open the first screen; it is drawn before any engine answers."""
        asyncio.get_running_loop().set_default_executor(self.threads)
        self._end_in_order()
        self._tell_at_start()
        self._tidy_labs()
        self.set_interval(_LOOK, self._look_at_copies)
        if not self._first:
            from tui.ui.screens.welcome import WelcomeScreen

            self.push_screen(WelcomeScreen())
            return
        self.open_endpoints(self._first)

    def get_driver_class(self) -> type[Driver]:
        """Return a driver that survives the loss of its terminal, unless Textual chose a special one."""
        usual = super().get_driver_class()
        return DroppingDriver if usual is LinuxDriver else usual

    async def on_event(self, event: events.Event) -> None:
        """Hold keys back until the new screen accepts them; remember the last key for dialogs to ignore."""
        if isinstance(event, events.Key):
            self.last_key = event.key
        elif isinstance(event, events.MouseDown):
            self.last_key = ""
        if isinstance(event, events.Key | events.MouseDown) and isinstance(self.screen, BaseScreen):
            await self.screen.accepts_keys.wait()
            self.screen.note_subject()
        await super().on_event(event)

    # exit ------------------------------------------------------------------------------------------------

    def _end_in_order(self) -> None:
        """Exit in order on a signal or a lost connection, so that a benchmark can remove its engines."""
        loop = asyncio.get_running_loop()

        def signalled(number: int, _frame: object) -> None:
            if number == signal.SIGHUP:
                # not in the event loop: Textual would handle the SIGCONT that comes with SIGHUP first
                detach_terminal()
            self.ending.end_requested = True
            self.keep_texts()  # at once: the loop may be busy or waiting for an editor
            end_editor()
            loop.call_soon_threadsafe(self._leave, number)

        with suppress(ValueError):  # not in the main thread, as in tests
            for number in ENDING_SIGNALS:
                self._signals[number] = signal.signal(number, signalled)

    def _leave(self, number: int) -> None:
        """Exit without asking; unsaved text is kept for the next start."""
        if self._leaving:
            return
        self._leaving = True
        self.keep_texts()
        self.ending.signal = signal.Signals(number)
        self.exit(128 + number)

    def keep_texts(self) -> None:
        """Write the unsaved text of every screen to disk, unless the user has agreed to lose it."""
        if not self._exit:
            with self._context():
                self.ending.keep(
                    [s for stack in self._screen_stacks.values() for s in stack if isinstance(s, BaseScreen)]
                )

    def _register_child(self, parent: DOMNode, child: Widget, *place: Any) -> None:
        """Guard each new screen and widget, so that an error which stops it ends the app in order."""
        guard(child, self._handle_exception)
        super()._register_child(parent, child, *place)

    def _handle_exception(self, error: BaseException) -> None:
        """End the app in order after an unexpected exception from any handler, timer, worker or widget.

        Textual 8.2.8 would print a traceback with all locals and exit with code 0. Once the app is exiting it mounts no
        widgets any more, so a screen that opens at that moment cannot find its own: NoMatches is then ignored.
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
                screen.accepts_keys.set()  # otherwise a key would wait forever for a screen that never opens
        self._close_messages_no_wait()

    def fail(self, error: BaseException) -> None:
        """Record the error that ends the app, and keep unsaved text."""
        self.ending.note_error(error)
        self.keep_texts()

    async def _shutdown(self) -> None:
        """Keep unsaved text however the app ends."""
        self.keep_texts()
        await super()._shutdown()
        if self.is_headless:  # the process goes on; otherwise signals stay blocked during the cleanup
            for number, handler in self._signals.items():
                signal.signal(number, handler)

    async def push_screen_wait(self, screen: Screen[Any] | str, *, mode: str | None = None) -> Any:
        """Show a dialog and return its answer; the dialog closes if the caller is cancelled."""
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
        """Lend the terminal to another program. An exception is raised only after the app has the terminal back.

        Textual 8.2.8 does not restore the terminal after an exception.
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
        """Copy text to the clipboards of the terminal and the app; undecodable bytes are copied unchanged."""
        self._clipboard = text
        if self._driver is not None:
            data = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
            self._driver.write(f"\x1b]52;c;{data}\a")

    # endpoints ----------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints that the app follows."""
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
        """Stop following all endpoints and show the welcome screen with what was tried."""
        from tui.ui.screens.welcome import WelcomeScreen

        self.tried = tuple(FailedAttempt(s.address, s.problem or "no answer yet") for s in self.feed.sources)
        self.close_endpoints()
        self.switch_screen(WelcomeScreen())

    def _look_at_copies(self) -> None:
        """Look for files saved by editors that run in their own windows, in one worker at a time."""
        if self.open_copies and (self._copies_worker is None or self._copies_worker.is_finished):
            self._copies_worker = self.run_worker(self._find_saved_copies, thread=True, group="copies")

    def _find_saved_copies(self) -> None:
        self.call_later(self._tell_saved_copies, self.open_copies.saved_lines())

    def _tell_saved_copies(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.notify(printable(line), title="editor", timeout=15, markup=False)

    def on_unmount(self) -> None:
        """Release all resources."""
        if self.open_copies:
            self.ending.notes += self.open_copies.close_in_time()
        self.close_endpoints()
        with suppress(Unanswered):  # the next start removes what is left
            answered(self._resources.close, _PATIENCE, "a temporary directory")

    def keep(self, resource: AbstractContextManager[Path]) -> Path:
        """Enter a context manager, exit it when the app ends, and return its path."""
        return self._resources.enter_context(resource)

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint with this name."""
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
        """Clean up after a killed dtui: finish or undo interrupted writes, remove benchmark containers."""
        try:
            lines = [*recover(endpoint.inspect, partial(archive_of, endpoint)), *_sweep_benchmarks(endpoint)]
        except DtuiError as error:
            lines = [f"cleaning up after an earlier run: {error}"]
        if lines:
            self.post_message(Tidied(tuple(lines)))

    @work(thread=True, group="tidy")
    def _tell_at_start(self) -> None:
        """Say how the endpoints were chosen, where unsaved text of an earlier run is, and if others can read it."""
        lines = tuple(filter(None, (self._note, *told_once(), mode_warning())))
        if lines:
            self.post_message(Tidied(lines))

    @work(thread=True, group="tidy")
    def _tidy_labs(self) -> None:
        """Remove what killed benchmarks left on this host."""
        from tui.lab.engines import sweep_labs
        from tui.services.bench_targets import lab_home

        try:
            lines = sweep_labs(lab_home()) if privileged() else ()
        except DtuiError as error:
            lines = (f"cleaning up after an earlier benchmark: {error}",)
        if lines:
            self.post_message(Tidied(lines))

    def run_worker(self, work: Any, *args: Any, **options: Any) -> Worker[Any]:
        """Run work in a worker whose errors do not end the app."""
        return super().run_worker(contained(work), *args, **{**options, "exit_on_error": ends_the_app()})

    @on(Worker.StateChanged)
    def _tell_failed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.notify(error_line(event.worker.error), severity="error", markup=False)

    @on(Tidied)
    def _tell_tidied(self, event: Tidied) -> None:
        for line in event.lines:
            self.notify(printable(line), title="from an earlier run", timeout=15, markup=False)

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
        """Open a container's layer at a path; ``edit`` opens the file in the editor."""
        from tui.ui.screens.layer import LayerScreen

        self.push_screen(LayerScreen(container, path, edit=edit))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield the actions that are possible on the current screen, then those of the app."""
        places: list[tuple[BaseScreen | DtuiApp, str, str]] = [(self, "app", "")]
        if isinstance(screen, BaseScreen):
            places = [*((screen, scope, prefix) for scope, prefix in screen.palette), *places]
        for target, scope, prefix in places:
            for action in actions_of(scope):
                method = target.handler(prefix + action.id)
                if action.palette and method and target.can(prefix + action.id):
                    yield SystemCommand(action.label.capitalize(), action.help, method)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable actions that the screen lacks, such as help on ``?`` while text is being typed."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(screen, BaseScreen) and screen.is_mounted:
            letter = screen.hides("help") or screen.types("help")
            if screen.hides(action) or screen.types(action) or (action == "help_typing" and not letter):
                return False
        return super().check_action(action, parameters)

    def handler(self, action: str) -> Callable[..., object] | None:
        """Return the method for an action of the table."""
        return getattr(self, f"action_{action}", None)

    def can(self, action: str) -> bool:
        """Say whether the palette may offer an action; the app's own are always possible."""
        return bool(super().check_action(action, ()))

    def action_help(self) -> None:
        """Show all keys."""
        from tui.ui.dialogs.show import TextDialog, help_text

        scope = self.screen.scope if isinstance(self.screen, BaseScreen) else "app"
        self.push_screen(TextDialog("Keys", help_text(scope)))

    def action_help_typing(self) -> None:
        """Show all keys, while text is being typed."""
        self.action_help()

    def action_leave_app(self) -> None:
        """Quit, from wherever no text is being typed."""
        self.action_quit_safely()

    @work
    async def action_quit_safely(self) -> None:
        """Quit; ask first if text would be lost."""
        if isinstance(self.screen, QuitQuestion):
            return
        unsaved = [s.unsaved for s in self.screen_stack if isinstance(s, BaseScreen) and s.unsaved]
        if unsaved and await self.push_screen_wait(QuitQuestion(unsaved[0])) != "quit":
            return
        self.exit(0)


def _sweep_benchmarks(endpoint: Endpoint) -> list[str]:
    from tui.bench.runner import remove_dead_runs
    from tui.engine.live.live_endpoint import LiveEndpoint
    from tui.lab.engine_host import EngineBenchHost

    count = remove_dead_runs(EngineBenchHost(endpoint)) if isinstance(endpoint, LiveEndpoint) else 0
    return [f"removed {count_of(count, 'container')} left by a killed benchmark"] if count else []


def run(
    endpoints: Sequence[Endpoint],
    tried: Sequence[FailedAttempt] = (),
    *,
    open_path: tuple[Container, bytes] | None = None,
    note: str = "",
    theme: str | None = None,
) -> int:
    """Run the app until the user quits; return the exit code.

    Raises AppEnded if an error or a signal ended it, with the reason and the location of unsaved text.
    """
    terminal = TerminalState.current()
    app = DtuiApp(endpoints, tried, open_path=open_path, note=note, theme=theme)
    try:
        code = app.run()
    except BaseException as error:  # noqa: BLE001 - reported below
        app.fail(error)
        code = None
    if app.ending.ended_by_error and terminal is not None:
        terminal.restore()
    app.threads.finish()
    finish_jobs()
    if app.threads.busy:  # a blocked file system call would keep this process alive
        mark_stuck()
    app.ending.tell(in_order=app._exit)
    return code or 0
