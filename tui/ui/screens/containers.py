"""The container list, grouped by state or storage driver, with a detail pane and the container actions."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from tui.core.records import Container
from tui.render.containers import SORTS, count_words, group_key, groups, matches
from tui.render.feed_words import empty_words, source_words, trouble
from tui.services.feed import Feed
from tui.ui.actions import screen_bindings
from tui.ui.commands.base import Commands
from tui.ui.commands.containers import VERBS, ActionEnded, ContainerCommands
from tui.ui.commands.details import ContainerDetails
from tui.ui.commands.list_choices import ListChoices
from tui.ui.commands.remove_container import RemoveContainer
from tui.ui.feed_messages import ContainersListed, EngineEvent
from tui.ui.screens.base import BaseScreen, set_title
from tui.ui.widgets.container_rows import ContainerRows, GroupRows, group_tabs
from tui.ui.widgets.detail_pane import DetailPane
from tui.ui.widgets.log_pane import LogPane

_NEED_ONE = (*VERBS, "remove", "open_layer", "logs", "inspect")
"""The actions that are hidden while the list is empty."""


class ContainersScreen(BaseScreen):
    """The start screen: the containers of all endpoints."""

    scope = "containers"
    AUTO_FOCUS = "#rows"
    CSS_PATH = "containers.tcss"
    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("containers")

    def __init__(self) -> None:
        super().__init__()
        self.rows = ContainerRows(id="rows")
        self.groups = GroupRows(id="groups", classes="pane")
        self.choices = ListChoices(self, self.rows, self.groups, self._choices_changed)
        self.detail_pane = DetailPane(id="detail", classes="pane")
        self.log_pane = LogPane(id="log", classes="pane")
        self.details = ContainerDetails(
            self, self.detail_pane, self.log_pane, lambda: self.container, lambda: self.show_feed(self.host.feed)
        )
        self.acts = ContainerCommands(self, lambda: self.container)
        self.removal = RemoveContainer(self, self.acts, self.details, lambda: self.container)
        self._stray: Container | None = None
        self._since = monotonic()
        self._troubled: frozenset[str] = frozenset()

    def body(self) -> ComposeResult:
        yield Static(id="tabs")
        with Horizontal(id="main"):
            yield self.groups
            with Vertical(id="right"):
                with Vertical(id="list", classes="pane"):
                    yield self.choices.filter_line
                    yield self.rows
                yield self.detail_pane
                yield self.log_pane

    @property
    def commands(self) -> tuple[Commands, ...]:
        """The command sets of the screen; ``refresh``, ``bench`` and the like are its own methods."""
        return (self.acts, self.removal, self.details, self.choices)

    def on_mount(self) -> None:
        """Show what is known so far, and follow the feed."""
        self.log_pane.can_focus = False
        set_title(self.log_pane, "log")
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
    def container(self) -> Container | None:
        """The container under the cursor."""
        return self.rows.current

    def show_feed(self, feed: Feed) -> None:
        """Show the newest lists of all endpoints.

        The container under the cursor stays in its row until the cursor moves, even if it left the group: otherwise the
        next key would hit its neighbour.
        """
        recovered, self._troubled = self._troubled - feed.troubled, feed.troubled
        self._show_rows(feed, self.container)
        if recovered:
            self.tell(f"{', '.join(sorted(recovered))} answers again", "good")
            self.details.ask()

    def _show_rows(self, feed: Feed, current: Container | None) -> None:
        matching = [c for c in feed.containers if matches(c, self.choices.filter_text)]
        every = groups(matching, self.choices.by, self.choices.group)
        self.groups.show(every, self.choices.group)
        self.query_one("#tabs", Static).update(group_tabs(every, self.choices.group))
        visible = [c for c in matching if not self.choices.group or group_key(c, self.choices.by) == self.choices.group]
        stray = feed.find((current.endpoint, current.id)) if current else None
        self._stray = stray if stray not in visible else None
        if self._stray:
            visible.append(self._stray)
        visible = sorted(map(self._with_size, visible), key=SORTS[self.choices.sort])
        note = empty_words(feed, every, self.choices.filter_text, monotonic() - self._since)
        self.rows.show(tuple(visible), sort=self.choices.sort, several_endpoints=len(feed.sources) > 1, note=note)
        self._show_frame(feed)
        self.refresh_bindings()

    def _with_size(self, container: Container) -> Container:
        size = self.details.size_of(container)
        return container if size is None else replace(container, size_rw=size)

    def _show_frame(self, feed: Feed) -> None:
        self.title_line.left = Text.assemble(("dtui", "bold"), " ▸ containers")
        self.title_line.right = Text(count_words(feed.containers))
        self.title_line.middle = Text(" · ".join(map(source_words, feed.sources)))
        self.banner.message = Text("\n").join(trouble(feed))
        set_title(self.query_one("#list"), self.choices.title, self.choices.subtitle)
        set_title(self.groups, f"group: {self.choices.by}")

    def _choices_changed(self, same_containers: bool) -> None:
        if same_containers:
            self.show_feed(self.host.feed)
        else:
            self._show_rows(self.host.feed, None)

    # details -----------------------------------------------------------------------------------------------

    @on(ContainerRows.Moved, "#rows")
    def _moved(self) -> None:
        self.details.schedule()
        current = self.container
        if self._stray and current and (current.endpoint, current.id) != (self._stray.endpoint, self._stray.id):
            self.show_feed(self.host.feed)
        self.details.show_name()
        self.refresh_bindings()

    @on(EngineEvent)
    def _engine_event(self, event: EngineEvent) -> None:
        current = self.container
        name = next((c.name for c in self.host.feed.containers if c.id == event.event.id), event.event.id[:12])
        if event.event.id in self.acts.acted_on or (current and current.id == event.event.id):
            self.acts.tell_event(event.event, name)
        if current and current.id == event.event.id:
            self.details.forget_size(current)
            self.details.schedule()

    @on(ContainersListed)
    def _listed(self, event: ContainersListed) -> None:
        self.tell(f"not reloaded: {event.problem}" if event.problem else "reloaded", "bad" if event.problem else "")

    @on(ActionEnded)
    def _verb_ended(self, event: ActionEnded) -> None:
        """Report the outcome; after a failure reload the list, since the engine sends events only for successes."""
        self.acts.tell_outcome(event)
        if event.error:
            self.details.ask()

    # actions -----------------------------------------------------------------------------------------------

    def disabled_reason(self, action: str) -> str:
        """Return why an action is not possible now, or an empty string."""
        if action in _NEED_ONE and self.container is None:
            return "no container is selected"
        return super().disabled_reason(action)

    @on(ContainerRows.Chosen, "#rows")
    def action_open_layer(self) -> None:
        """Open the layer of the container under the cursor."""
        if self.container:
            self.host.open_layer(self.container)

    def action_logs(self) -> None:
        """Show the log of the container under the cursor."""
        if self.container:
            from tui.ui.screens.logs import LogsScreen

            self.app.push_screen(LogsScreen(self.container))

    def action_bench(self) -> None:
        """Open the benchmark of this endpoint's storage driver."""
        from tui.ui.screens.bench import BenchScreen

        name = self.container.endpoint if self.container else self.host.feed.sources[0].name
        self.app.push_screen(BenchScreen(self.host.endpoint(name)))

    def action_disk(self) -> None:
        """Open the layer directories of this endpoint's data-root."""
        from tui.ui.screens.disk import DiskScreen

        name = self.container.endpoint if self.container else self.host.feed.sources[0].name
        self.app.push_screen(DiskScreen(name))

    def action_refresh(self) -> None:
        self.tell("reloading…")
        self.details.forget_sizes()
        self.host.refresh_feed()
        self.details.ask()

    @on(GroupRows.Moved, "#groups")
    def _group_clicked(self, event: GroupRows.Moved) -> None:
        shown_groups = self.groups.groups
        if event.index < len(shown_groups):
            self.choices.choose_group(shown_groups[event.index].key)

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.choices.set_filter(event.value)

    def hides(self, action: str) -> bool:
        """Hide container actions if there is none, and the other hosts once an engine has answered."""
        if action in _NEED_ONE and self.container is None:
            return True
        if action == "elsewhere" and (self.choices.filter_line.display or self.host.feed.answered):
            return True
        return super().hides(action)

    @property
    def subject(self) -> Hashable:
        """The container under the cursor."""
        return self.container and (self.container.endpoint, self.container.id)

    def action_elsewhere(self) -> None:
        """Show the welcome screen, to choose another host or data-root."""
        self.host.leave_endpoints()
