"""The terminal app: endpoints, their feed, and the screens over them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen

from tui.core.errors import DtuiError
from tui.core.model import Container
from tui.core.text import count_of, printable
from tui.editing.recover import recover
from tui.editing.session import privileged
from tui.engine.discover import Tried
from tui.engine.endpoint import Endpoint
from tui.ui.actions import actions_of, bindings
from tui.ui.dialogs.choose import Choice, Choose
from tui.ui.feed import Feed, Happened, SourceChanged, Watcher
from tui.ui.ink import PlainInk
from tui.ui.safe import SafeFilter
from tui.ui.screens.base import Frame


class Tidied(Message):
    """What an earlier, killed run had left was put right."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


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
        tried: Sequence[Tried] = (),
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
        self._kept = ExitStack()
        self._tidied: set[str] = set()
        if theme:
            self.theme = theme

    def on_mount(self) -> None:
        """Paint first, ask the Engines afterwards."""
        self._end_in_order()
        self._tidy_labs()
        if not self._first:
            from tui.ui.screens.welcome import WelcomeScreen

            self.push_screen(WelcomeScreen())
            return
        self.open_endpoints(self._first)

    def _end_in_order(self) -> None:
        """Leave as by q when asked to end or when the line drops: a benchmark then clears its engines away."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError):  # not in the main thread: somebody else's loop
                asyncio.get_running_loop().add_signal_handler(number, self.exit, 128 + number)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints that are followed."""
        return tuple(watcher.endpoint for watcher in self._watchers.values())

    def open_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Follow these endpoints and show their containers."""
        from tui.ui.screens.containers import ContainersScreen

        self.close_endpoints()
        self._watchers = {e.name: Watcher(e, self.post_message) for e in endpoints}
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

    def on_unmount(self) -> None:
        """Give everything back."""
        self.close_endpoints()
        self._kept.close()

    def keep(self, resource: AbstractContextManager[Path]) -> Path:
        """Enter something now and leave it when the app ends."""
        return self._kept.enter_context(resource)

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
            lines = [*recover(endpoint.inspect), *_sweep_benchmarks(endpoint)]
        except DtuiError as error:
            lines = [f"cleaning up after an earlier run: {error}"]
        if lines:
            self.post_message(Tidied(tuple(lines)))

    @work(thread=True, group="tidy")
    def _tidy_labs(self) -> None:
        """Clear away what killed benchmarks left on this host."""
        from tui.engine.lab import sweep
        from tui.ui.lab import lab_home

        try:
            lines = sweep(lab_home()) if privileged() else ()
        except DtuiError as error:
            lines = (f"cleaning up after an earlier benchmark: {error}",)
        if lines:
            self.post_message(Tidied(lines))

    @on(Tidied)
    def _tell_tidied(self, event: Tidied) -> None:
        for line in event.lines:
            self.notify(printable(line), title="left by an earlier run", timeout=15, markup=False)

    @on(Happened)
    def _happened(self, event: Happened) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, Frame):
                screen.post_message(Happened(event.endpoint, event.event))

    def open_layer(self, container: Container, path: bytes = b"/", *, edit: bool = False) -> None:
        """Open a container's layer, at a path, with the editor on it if asked."""
        from tui.ui.screens.layer import LayerScreen

        self.push_screen(LayerScreen(container, path, edit=edit))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer the actions of the present screen, then those everywhere."""
        places = [(screen, scope, prefix) for scope, prefix in screen.palette] if isinstance(screen, Frame) else []
        for target, scope, prefix in [*places, (self, "app", "")]:
            for action in actions_of(scope):
                method = getattr(target, f"action_{prefix}{action.id}", None)
                hidden = isinstance(target, Frame) and target.hides(prefix + action.id)
                if method is not None and action.palette and not hidden:
                    yield SystemCommand(action.label.capitalize(), action.help, method)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what the screen says it has not now, such as the help on ``?`` where that is a letter."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        if action == "help" and isinstance(screen, Frame) and screen.is_mounted and screen.hides(action):
            return False
        return super().check_action(action, parameters)

    def action_help(self) -> None:
        """Show all keys."""
        from tui.ui.dialogs.show import Show, help_text

        scope = self.screen.scope if isinstance(self.screen, Frame) else "app"
        self.push_screen(Show("Keys", help_text(scope)))

    @work
    async def action_quit_safely(self) -> None:
        """Leave, after a question when text would be lost."""
        unsaved = [s.unsaved for s in self.screen_stack if isinstance(s, Frame) and s.unsaved]
        if unsaved:
            choices = (Choice("q", "quit", "quit and lose it"),)
            answer = await self.push_screen_wait(Choose(f"{unsaved[0]} has unsaved text.", choices))
            if answer != "quit":
                return
        self.exit(0)


def _sweep_benchmarks(endpoint: Endpoint) -> list[str]:
    from tui.bench.runner import sweep
    from tui.engine.live import LiveEndpoint
    from tui.engine.workshop import EngineWorkshop

    count = sweep(EngineWorkshop(endpoint)) if isinstance(endpoint, LiveEndpoint) else 0
    return [f"removed {count_of(count, 'container')} of a benchmark that was killed"] if count else []


def run(
    endpoints: Sequence[Endpoint],
    tried: Sequence[Tried] = (),
    *,
    open_path: tuple[Container, bytes] | None = None,
    theme: str | None = None,
) -> int:
    """Run the app until it is left; return the exit code."""
    return DtuiApp(endpoints, tried, open_path=open_path, theme=theme).run() or 0
