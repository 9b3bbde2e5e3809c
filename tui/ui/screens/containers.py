"""The containers: by state or by storage driver, live, with a detail pane and all that can be done to them."""

from __future__ import annotations

from collections.abc import Hashable
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
from textual.widgets import Input, Static

from tui.core.records import Container, State
from tui.core.text import count_of, human_size, printable
from tui.engine.endpoint import Verb
from tui.render.containers import SORTS, group_key, groups, inspect_lines, matches
from tui.render.feed_words import empty_words, source_words, trouble
from tui.services.feed import Feed
from tui.ui.actions import bindings
from tui.ui.dialogs.choose import Choice, ChooseDialog
from tui.ui.feed_messages import ContainersListed, EngineEvent
from tui.ui.screens.acts import ActionEnded
from tui.ui.screens.base import set_title
from tui.ui.screens.detailing import DetailingFrame
from tui.ui.widgets.container_rows import ContainerRows, GroupRows, group_tabs
from tui.ui.widgets.lines import Line
from tui.ui.widgets.log_pane import LogPane

_VERBS = ("start", "start_again", "stop", "restart", "pause", "kill", "remove")

_NEED_ONE = (*_VERBS, "open_layer", "logs", "inspect")
"""What nothing can be done by while there is no container."""

_WOULD_BE_KILLED = (State.RUNNING, State.PAUSED, State.RESTARTING)


class ContainersScreen(DetailingFrame):
    """The first screen."""

    scope = "containers"
    AUTO_FOCUS = "#rows"
    CSS_PATH = "containers.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("containers")

    by: reactive[str] = reactive("state", init=False)
    chosen: reactive[str] = reactive("", init=False)
    sort: reactive[str] = reactive("age", init=False)
    filter_text: reactive[str] = reactive("", init=False)

    def __init__(self) -> None:
        super().__init__()
        self._stray: Container | None = None
        self._since = monotonic()
        self._troubled: frozenset[str] = frozenset()

    def body(self) -> ComposeResult:
        """Compose groups, list, details and log."""
        yield Static(id="tabs")
        with Horizontal(id="main"):
            yield GroupRows(id="groups", classes="pane")
            with Vertical(id="right"):
                with Vertical(id="list", classes="pane"):
                    placeholder = "name, image, id or status, such as exited (127)"
                    yield Line(self._filter_done, placeholder=placeholder, id="filter", hidden=True)
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
        if self.host.feed.listed:
            self._asking.stop()
        else:
            self.show_feed(self.host.feed)

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
        recovered, self._troubled = self._troubled - feed.troubled, feed.troubled
        self._show_rows(feed, self.container)
        if recovered:
            self.tell(f"{', '.join(sorted(recovered))} answers again", "good")
            self._ask_details()

    def _show_rows(self, feed: Feed, current: Container | None) -> None:
        matching = [c for c in feed.rows if matches(c, self.filter_text)]
        every = groups(matching, self.by, self.chosen)
        self.query_one("#groups", GroupRows).show(every, self.chosen)
        self.query_one("#tabs", Static).update(group_tabs(every, self.chosen))
        visible = [c for c in matching if not self.chosen or group_key(c, self.by) == self.chosen]
        stray = feed.find((current.endpoint, current.id)) if current else None
        self._stray = stray if stray not in visible else None
        if self._stray:
            visible.append(self._stray)
        visible = sorted(map(self._with_size, visible), key=SORTS[self.sort])
        note = empty_words(feed, every, self.filter_text, monotonic() - self._since)
        self.rows.show(tuple(visible), sort=self.sort, several_endpoints=len(feed.sources) > 1, note=note)
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
            self.query_one("#list"),
            title,
            f"sort: {self.sort}" + (f" · filter: {self.filter_text}" if self.filter_text else ""),
        )
        set_title(self.query_one("#groups"), f"group: {self.by}")

    def watch_by(self) -> None:
        """Group otherwise, all groups chosen."""
        self.set_reactive(ContainersScreen.chosen, "")
        self._show_rows(self.host.feed, None)

    def watch_chosen(self) -> None:
        """Show another group."""
        self._show_rows(self.host.feed, None)

    def watch_sort(self) -> None:
        """Sort otherwise."""
        self.show_feed(self.host.feed)

    def watch_filter_text(self) -> None:
        """Filter otherwise."""
        self._show_rows(self.host.feed, None)

    # details -----------------------------------------------------------------------------------------------

    @on(ContainerRows.Moved, "#rows")
    def _moved(self) -> None:
        self.schedule_details()
        current = self.container
        if self._stray and current and (current.endpoint, current.id) != (self._stray.endpoint, self._stray.id):
            self.show_feed(self.host.feed)
        self._name_details()
        self.refresh_bindings()

    @on(EngineEvent)
    def _happened(self, event: EngineEvent) -> None:
        current = self.container
        name = next((c.name for c in self.host.feed.rows if c.id == event.event.id), event.event.id[:12])
        if event.event.id in self.acted_on or (current and current.id == event.event.id):
            self.tell_event(event.event, name)
        if current and current.id == event.event.id:
            self._sizes.pop((current.endpoint, current.id), None)
            self.schedule_details()

    @on(ContainersListed)
    def _listed(self, event: ContainersListed) -> None:
        self.tell(f"not listed: {event.problem}" if event.problem else "listed", "bad" if event.problem else "")

    def on_action_ended(self, event: ActionEnded) -> None:
        """Show what a failed act left; the Engine announces only those that went well."""
        if event.error:
            self._ask_details()

    # actions -----------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now."""
        if action in _VERBS:
            return self.verb_reason(action)
        if action in _NEED_ONE and self.container is None:
            return "no container is selected"
        return ""

    @on(ContainerRows.Chosen, "#rows")
    def action_open_layer(self) -> None:
        """Open the layer of the container under the cursor."""
        if self.container:
            self.host.open_layer(self.container)

    @work
    async def action_remove(self) -> None:
        """Remove after a question that says what goes; what has started meanwhile is asked about again."""
        container = self.container
        kill_confirmed = False
        key = "y"
        while container and await self._may_remove(container, key):
            kill_confirmed = kill_confirmed or container.state in _WOULD_BE_KILLED
            current = self.host.feed.find((container.endpoint, container.id))
            if kill_confirmed or current is None or current.state not in _WOULD_BE_KILLED:
                self.act(Verb.REMOVE, container)
                return
            container, key = current, "k"  # another key, for what is asked now is worse than what was confirmed

    async def _may_remove(self, container: Container, key: str) -> bool:
        size = self._sizes.get((container.endpoint, container.id))
        question = f"Remove {printable(container.name)}? Its writable layer goes with it and cannot be brought back."
        body = Text(f"{printable(container.image)} · layer {human_size(size)} · volumes are kept")
        if container.state in _WOULD_BE_KILLED:
            body = Text.assemble((f"It is {container.state.upper()} and will be killed.\n", "bold red"), body)
        verb = "kill and remove it" if container.state in _WOULD_BE_KILLED else "remove it"
        choice = Choice(key, "remove", verb)
        return await self.app.push_screen_wait(ChooseDialog(question, (choice,), body)) == "remove"

    def action_logs(self) -> None:
        """Show the log of the container under the cursor."""
        if self.container:
            from tui.ui.screens.logs import LogsScreen

            self.app.push_screen(LogsScreen(self.container))

    def action_inspect(self) -> None:
        """Show all that is known."""
        if self._details:
            from tui.ui.dialogs.show import TextDialog

            text = inspect_lines(self._details, datetime.now(UTC))
            self.app.push_screen(TextDialog(printable(self._details.container.name), text))

    def action_bench(self) -> None:
        """Go to the benchmark of this endpoint's driver."""
        from tui.ui.screens.bench import BenchScreen

        name = self.container.endpoint if self.container else self.host.feed.sources[0].name
        self.app.push_screen(BenchScreen(self.host.endpoint(name)))

    def action_disk(self) -> None:
        """Go to the layers of this endpoint's data-root."""
        from tui.ui.screens.disk import DiskScreen

        name = self.container.endpoint if self.container else self.host.feed.sources[0].name
        self.app.push_screen(DiskScreen(name))

    def action_refresh(self) -> None:
        """List again."""
        self.tell("listing again…")
        self._sizes.clear()
        self.host.refresh_feed()
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
        shown_groups = self.query_one("#groups", GroupRows).groups
        if event.index < len(shown_groups):
            self.chosen = shown_groups[event.index].key

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one("#filter", Line).show()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.filter_text = event.value

    def _filter_done(self, filter_text: str) -> None:
        self.filter_text = filter_text
        if not filter_text:
            self.query_one("#filter", Line).hide()
        self.set_focus(self.rows)

    def hides(self, action: str) -> bool:
        """Hide what nothing is there for: a container, a filter, a host that has not answered."""
        filtering = self.query_one("#filter", Line).display
        none_for = {
            "elsewhere": filtering or self.host.feed.answered,
            "clear_filter": not filtering,
            **dict.fromkeys(_NEED_ONE, self.container is None),
        }
        return super().hides(action) or none_for.get(action, False)

    @property
    def subject(self) -> Hashable:
        """The container under the cursor."""
        return self.container and (self.container.endpoint, self.container.id)

    def action_elsewhere(self) -> None:
        """Go to the other ways in."""
        self.host.leave_endpoints()

    def action_clear_filter(self) -> None:
        """Clear the filter."""
        line = self.query_one("#filter", Line)
        line.value = ""
        line.hide()
        self.set_focus(self.rows)
