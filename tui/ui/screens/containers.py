"""The containers: by state or by storage driver, live, with a detail pane and all that can be done to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.model import Container, Details, ReachKind, State
from tui.core.text import count_of, human_size, printable
from tui.engine.endpoint import Endpoint, Verb
from tui.ui.actions import bindings
from tui.ui.dialogs.choose import Choice, Choose
from tui.ui.feed import Feed, Happened, Listed
from tui.ui.feed_words import empty_words, source_words, trouble
from tui.ui.present import SORTS, detail_lines, group_key, groups, inspect_lines, matches
from tui.ui.screens.acts import Acted, ActingFrame
from tui.ui.screens.base import set_title
from tui.ui.screens.containers_messages import Detailed, Summed
from tui.ui.summary import summarise
from tui.ui.widgets.container_rows import ContainerRows, GroupRows, group_tabs
from tui.ui.widgets.lines import Line
from tui.ui.widgets.log_pane import LogPane

_SETTLE = 0.12
"""Seconds the cursor rests on a row before the Engine is asked for its details."""

_READING = 0.2
"""Seconds after which another container's details make way for the word that these are being read."""

_WOULD_BE_KILLED = (State.RUNNING, State.PAUSED, State.RESTARTING)


class ContainersScreen(ActingFrame):
    """The first screen."""

    scope = "containers"
    AUTO_FOCUS = "#rows"
    CSS_PATH = "containers.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("containers")

    by: reactive[str] = reactive("state", init=False)
    chosen: reactive[str] = reactive("", init=False)
    sort: reactive[str] = reactive("age", init=False)
    words: reactive[str] = reactive("", init=False)

    def __init__(self) -> None:
        super().__init__()
        self._details: Details | None = None
        self._sizes: dict[tuple[str, str], int] = {}
        self._settle: Timer | None = None
        self._stray: Container | None = None
        self._since = monotonic()
        self._patience: Timer | None = None

    def body(self) -> ComposeResult:
        """Compose groups, list, details and log."""
        yield Static(id="tabs")
        with Horizontal(id="main"):
            yield GroupRows(id="groups", classes="pane")
            with Vertical(id="right"):
                with Vertical(id="list", classes="pane"):
                    words = "name, image, id or status, such as exited (127)"
                    yield Line(self._filter_done, placeholder=words, id="filter", hidden=True)
                    yield ContainerRows(id="rows")
                yield Static(id="detail", classes="pane")
                yield LogPane(id="log")

    def on_mount(self) -> None:
        """Begin with what is known."""
        self.query_one("#log", LogPane).add_class("pane").can_focus = False
        set_title(self.query_one("#log"), "log")
        self.set_focus(self.rows)
        self.watch(self.app, "feed", self.show_feed)
        self.set_interval(10, self.rows.refresh, name="ages")
        self._asking = self.set_interval(1, self._still_asking)

    def _still_asking(self) -> None:
        if self.dtui.feed.listed:
            self._asking.stop()
        else:
            self.show_feed(self.dtui.feed)

    # what is shown -----------------------------------------------------------------------------------------

    @property
    def rows(self) -> ContainerRows:
        """The list."""
        return self.query_one("#rows", ContainerRows)

    @property
    def container(self) -> Container | None:
        """The container under the cursor."""
        return self.rows.current

    def show_feed(self, feed: Feed) -> None:
        """Show the newest lists of all endpoints.

        The container under the cursor stays in its row, though it left the group, until the cursor goes on: the next
        key would hit its neighbour.
        """
        self._show_rows(feed, self.container)

    def _show_rows(self, feed: Feed, held: Container | None) -> None:
        found = [c for c in feed.rows if matches(c, self.words)]
        every = groups(found, self.by, self.chosen)
        self.query_one("#groups", GroupRows).show(every, self.chosen)
        self.query_one("#tabs", Static).update(group_tabs(every, self.chosen))
        here = [c for c in found if not self.chosen or group_key(c, self.by) == self.chosen]
        stray = feed.find((held.endpoint, held.id)) if held else None
        self._stray = stray if stray not in here else None
        if self._stray:
            here.append(self._stray)
        here = sorted(map(self._with_size, here), key=SORTS[self.sort])
        note = empty_words(feed, every, self.words, monotonic() - self._since)
        self.rows.show(tuple(here), sort=self.sort, several_endpoints=len(feed.sources) > 1, note=note)
        self._show_frame(feed)
        self.refresh_bindings()

    def _with_size(self, container: Container) -> Container:
        size = self._sizes.get((container.endpoint, container.id))
        return container if size is None else replace(container, size_rw=size)

    def _show_frame(self, feed: Feed) -> None:
        running = sum(c.state.alive for c in feed.rows)
        self.title_line.left = Text.assemble(("dtui", "bold"), " ▸ containers")
        self.title_line.right = Text(f"{count_of(len(feed.rows), 'container')} · {running:,} running")
        self.title_line.middle = Text(" · ".join(map(source_words, feed.sources)))
        self.banner.message = Text("\n").join(trouble(feed))
        title = self.chosen.split(":")[1] if ":" in self.chosen else self.chosen or "all"
        set_title(
            self.query_one("#list"), title, f"sort: {self.sort}" + (f" · filter: {self.words}" if self.words else "")
        )
        set_title(self.query_one("#groups"), f"group: {self.by}")

    def watch_by(self) -> None:
        """Group otherwise, all groups chosen."""
        self.set_reactive(ContainersScreen.chosen, "")
        self._show_rows(self.dtui.feed, None)

    def watch_chosen(self) -> None:
        """Show another group."""
        self._show_rows(self.dtui.feed, None)

    def watch_sort(self) -> None:
        """Sort otherwise."""
        self.show_feed(self.dtui.feed)

    def watch_words(self) -> None:
        """Filter otherwise."""
        self._show_rows(self.dtui.feed, None)

    # details -----------------------------------------------------------------------------------------------

    @on(ContainerRows.Moved, "#rows")
    def _moved(self) -> None:
        if self._settle:
            self._settle.stop()
        self._settle = self.set_timer(_SETTLE, self._ask_details)
        current = self.container
        if self._stray and current and (current.endpoint, current.id) != (self._stray.endpoint, self._stray.id):
            self.show_feed(self.dtui.feed)
        self._name_details()
        self.refresh_bindings()

    def _name_details(self) -> None:
        """Put the name over the details at once; another container's details do not stay under it."""
        container = self.container
        if container is None or (self._details and self._details.container.id == container.id):
            return
        self._details = None
        set_title(self.query_one("#detail"), container.name, container.short_id)
        self._patience = self._patience or self.set_timer(_READING, self._tell_reading)

    def _tell_reading(self) -> None:
        self._patience = None
        if self._details is None and self.container:
            self.query_one("#detail", Static).update(Text("reading…", style="italic"))

    def _ask_details(self) -> None:
        container = self.container
        log = self.query_one("#log", LogPane)
        if container is None:
            self._details = None
            self.query_one("#detail", Static).update("")
            log.shut()
            return
        self._inspect(self.dtui.endpoint(container.endpoint), container)
        if log.display and not container.hidden:
            log.open(self.dtui.endpoint(container.endpoint), container.id, follow=container.state.alive, tail=50)

    @work(thread=True, exclusive=True, group="details", exit_on_error=True)
    def _inspect(self, endpoint: Endpoint, container: Container) -> None:
        worker = get_current_worker()
        try:
            details = endpoint.inspect(container.id)
        except DtuiError as error:
            self.post_message(Detailed(container, None, error))
            return
        if worker.is_cancelled:
            return
        self.post_message(Detailed(container, details))
        if details.reach.kind is not ReachKind.NONE:
            size, words = summarise(endpoint, details, lambda: worker.is_cancelled)
            if not worker.is_cancelled:
                self.post_message(Summed(container, size, words))

    @on(Detailed)
    def _detailed(self, event: Detailed) -> None:
        if self.container is None or self.container.id != event.container.id:
            return
        if self._patience:
            self._patience.stop()
            self._patience = None
        self._details = event.details
        set_title(self.query_one("#detail"), event.container.name, event.container.short_id)
        detail = self.query_one("#detail", Static)
        if event.details:
            detail.update(detail_lines(event.details, datetime.now(UTC)))
        elif event.error:
            detail.update(Text(printable(str(event.error))))

    @on(Summed)
    def _summed(self, event: Summed) -> None:
        if event.size is not None:
            self._sizes[event.container.endpoint, event.container.id] = event.size
        if self.container and self.container.id == event.container.id and self._details:
            words = f"{human_size(event.size)} · {event.words}"
            self.query_one("#detail", Static).update(detail_lines(self._details, datetime.now(UTC), words))
            self.show_feed(self.dtui.feed)

    @on(Happened)
    def _happened(self, event: Happened) -> None:
        current = self.container
        name = next((c.name for c in self.dtui.feed.rows if c.id == event.event.id), event.event.id[:12])
        if event.event.id in self.acted_on or (current and current.id == event.event.id):
            self.tell_event(event.event, name)
        if current and current.id == event.event.id:
            self._sizes.pop((current.endpoint, current.id), None)
            self._settle = self.set_timer(_SETTLE, self._ask_details)

    @on(Listed)
    def _listed(self, event: Listed) -> None:
        self.tell(f"not listed: {event.problem}" if event.problem else "listed", "bad" if event.problem else "")

    def on_acted(self, event: Acted) -> None:
        """Show what a failed act left; the Engine announces only those that went well."""
        if event.error:
            self._ask_details()

    # actions -----------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now."""
        if action in ("start", "start_again", "stop", "restart", "pause", "kill", "remove"):
            return self.verb_reason(action)
        if action in ("open_layer", "logs", "inspect") and self.container is None:
            return "no container is selected"
        return ""

    @on(ContainerRows.Chosen, "#rows")
    def action_open_layer(self) -> None:
        """Open the layer of the container under the cursor."""
        if self.container:
            self.dtui.open_layer(self.container)

    @work
    async def action_remove(self) -> None:
        """Remove after a question that says what goes; what has started meanwhile is asked about again."""
        asked = self.container
        told = False
        while asked and await self._may_remove(asked):
            told = told or asked.state in _WOULD_BE_KILLED
            now = self.dtui.feed.find((asked.endpoint, asked.id))
            if told or now is None or now.state not in _WOULD_BE_KILLED:
                self.act(Verb.REMOVE, asked)
                return
            asked = now

    async def _may_remove(self, container: Container) -> bool:
        size = self._sizes.get((container.endpoint, container.id))
        words = f"Remove {printable(container.name)}? Its writable layer goes with it and cannot be brought back."
        body = Text(f"{printable(container.image)} · layer {human_size(size)} · volumes are kept")
        if container.state in _WOULD_BE_KILLED:
            body = Text.assemble((f"It is {container.state.upper()} and will be killed.\n", "bold red"), body)
        return await self.app.push_screen_wait(Choose(words, (Choice("y", "remove", "remove it"),), body)) == "remove"

    def action_logs(self) -> None:
        """Show the log of the container under the cursor."""
        if self.container:
            from tui.ui.screens.logs import LogsScreen

            self.app.push_screen(LogsScreen(self.container))

    def action_inspect(self) -> None:
        """Show all that is known."""
        if self._details:
            from tui.ui.dialogs.show import Show

            text = inspect_lines(self._details, datetime.now(UTC))
            self.app.push_screen(Show(printable(self._details.container.name), text))

    def action_bench(self) -> None:
        """Go to the benchmark of this endpoint's driver."""
        from tui.ui.screens.bench import BenchScreen

        name = self.container.endpoint if self.container else self.dtui.feed.sources[0].name
        self.app.push_screen(BenchScreen(self.dtui.endpoint(name)))

    def action_disk(self) -> None:
        """Go to the layers of this endpoint's data-root."""
        from tui.ui.screens.disk import DiskScreen

        name = self.container.endpoint if self.container else self.dtui.feed.sources[0].name
        self.app.push_screen(DiskScreen(name))

    def action_refresh(self) -> None:
        """List again."""
        self.tell("listing again…")
        self._sizes.clear()
        self.dtui.refresh_feed()
        self._ask_details()

    def action_group(self) -> None:
        """Group by the other thing."""
        self.by = "driver" if self.by == "state" else "state"

    def _step_group(self, step: int) -> None:
        keys = [group.key for group in self.query_one("#groups", GroupRows).groups]
        self.chosen = keys[(keys.index(self.chosen) + step) % len(keys)]

    def action_next_group(self) -> None:
        """Choose the next group."""
        self._step_group(1)

    def action_previous_group(self) -> None:
        """Choose the group before."""
        self._step_group(-1)

    @on(GroupRows.Moved, "#groups")
    def _group_clicked(self, event: GroupRows.Moved) -> None:
        shown = self.query_one("#groups", GroupRows).groups
        if event.index < len(shown):
            self.chosen = shown[event.index].key

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one("#filter", Line).show()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.words = event.value

    def _filter_done(self, words: str) -> None:
        self.words = words
        if not words:
            self.query_one("#filter", Line).hide()
        self.set_focus(self.rows)

    def hides(self, action: str) -> bool:
        """Hide the way to other hosts once this one has answered."""
        return super().hides(action) or (action == "elsewhere" and self.dtui.feed.answered)

    def action_elsewhere(self) -> None:
        """Go to the other ways in."""
        self.dtui.leave_endpoints()

    def action_clear_filter(self) -> None:
        """Clear the filter; leaves the screen only for the other ways in, while there is nothing to see here."""
        line = self.query_one("#filter", Line)
        if not line.display and not self.hides("elsewhere"):
            self.action_elsewhere()
            return
        line.value = ""
        line.hide()
        self.set_focus(self.rows)
