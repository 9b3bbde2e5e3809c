"""The list of containers, and the list of groups next to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType

from tui.core.records import Container
from tui.render.containers import Column, Group, columns, container_line, header_line
from tui.ui.actions import screen_bindings
from tui.ui.widgets.rows import VirtualList


class ContainerRows(VirtualList):
    """The containers of one group, filtered and sorted; the cursor stays on its container."""

    header_height = 1
    BINDINGS: ClassVar[list[BindingType]] = screen_bindings("containers", only=("open_layer",), below=True)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.containers: tuple[Container, ...] = ()
        self.note = ""
        self.sort = "age"
        self.several_endpoints = False
        self._layout: tuple[int, tuple[Column, ...]] = (0, ())

    @property
    def current(self) -> Container | None:
        """The container under the cursor."""
        return self.containers[self.cursor] if self.containers else None

    def show(self, containers: tuple[Container, ...], *, sort: str, several_endpoints: bool, note: str) -> None:
        """Show these containers, or ``note`` if there are none."""
        current_key = (self.current.endpoint, self.current.id) if self.current else None
        self.containers = containers
        self.sort = sort
        self.note = note
        self.several_endpoints = several_endpoints
        self._layout = (0, ())
        index = next((i for i, c in enumerate(containers) if (c.endpoint, c.id) == current_key), None)
        moved = index is None
        if index is not None:
            self.set_reactive(ContainerRows.cursor, index)
        self.rows_changed()
        if index is not None:
            self.show_row(index)
        if moved:
            self.post_message(self.Moved(self, self.cursor))

    def columns(self, width: int) -> tuple[Column, ...]:
        """Return the columns for a width; cached until the width or the list changes."""
        if self._layout[0] != width:
            self._layout = (width, columns(width, several_endpoints=self.several_endpoints))
        return self._layout[1]

    def count(self) -> int:
        return len(self.containers) or 1

    def row(self, index: int, width: int) -> Text:
        if not self.containers:
            return Text(f" {self.note}", style="italic")
        return container_line(self.containers[index], self.columns(width), width, datetime.now(UTC))

    def header(self, width: int) -> Text:
        return header_line(self.columns(width), width, self.sort)

    def action_choose(self) -> None:
        if self.containers:
            super().action_choose()


class GroupRows(VirtualList, can_focus=False):
    """The groups, which are states or storage drivers, with the number of containers in each."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.groups: tuple[Group, ...] = ()

    def show(self, groups: tuple[Group, ...], chosen: str) -> None:
        """Show these groups with the cursor on the chosen one."""
        self.groups = groups
        keys = [group.key for group in groups]
        self.set_reactive(GroupRows.cursor, keys.index(chosen) if chosen in keys else 0)
        self.rows_changed()

    def count(self) -> int:
        return len(self.groups)

    def row(self, index: int, width: int) -> Text:
        group = self.groups[index]
        title = Text(f" {group.mark} {group.title}", style=group.style)
        title.truncate(width - 8, overflow="ellipsis", pad=True)
        return Text.assemble(title, f"{group.size:>6,} ")


def group_tabs(groups: tuple[Group, ...], chosen: str) -> Text:
    """Return the groups on one line, for a narrow screen."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for group in groups:
        style = f"reverse {group.style}" if group.key == chosen else group.style
        mark = group.title if not group.key or group.mark == "▤" else group.mark
        line.append(f" {mark} {group.size:,} ", style=style)
    return line
