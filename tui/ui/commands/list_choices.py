"""How the list of containers is grouped, filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable

from tui.render.containers import SORTS
from tui.ui.commands.base import Commands, Surface
from tui.ui.widgets.container_rows import ContainerRows, GroupRows
from tui.ui.widgets.lines import Line


class ListChoices(Commands):
    """Holds the choices; ``changed`` is called after each, with whether the same containers are shown."""

    def __init__(
        self, surface: Surface, rows: ContainerRows, groups: GroupRows, changed: Callable[[bool], None]
    ) -> None:
        super().__init__(surface)
        placeholder = "name, image, id or status, such as exited (127)"
        self.filter_line = Line(self._take_filter, placeholder=placeholder, id="filter", hidden=True)
        self.by = "state"
        """What containers are grouped by: ``state`` or ``driver``."""
        self.group = ""
        """The key of the shown group, empty for all."""
        self.sort = "age"
        self.filter_text = ""
        self._rows = rows
        self._groups = groups
        self._changed = changed

    @property
    def title(self) -> str:
        """The name of the shown group, for the list's border."""
        return self.group.split(":")[1] if ":" in self.group else self.group or "all"

    @property
    def subtitle(self) -> str:
        """Sorting and filter, for the list's border."""
        return f"sort: {self.sort}" + (f" · filter: {self.filter_text}" if self.filter_text else "")

    def choose_group(self, key: str) -> None:
        """Show another group."""
        if key != self.group:
            self.group = key
            self._changed(False)

    def set_filter(self, text: str) -> None:
        """Show the containers that match a text."""
        if text != self.filter_text:
            self.filter_text = text
            self._changed(False)

    def _take_filter(self, text: str) -> None:
        self.set_filter(text)
        if not text:
            self.filter_line.hide()
        self.surface.set_focus(self._rows)

    def hides(self, action: str) -> bool:
        """Hide ``clear_filter`` while the filter line is hidden."""
        return action == "clear_filter" and not self.filter_line.display

    def action_group(self) -> None:
        """Switch between grouping by state and by driver, and show all groups."""
        self.by = "driver" if self.by == "state" else "state"
        self.group = ""
        self._changed(False)

    def action_next_group(self) -> None:
        """Choose the next group."""
        self._step(1)

    def action_previous_group(self) -> None:
        """Choose the previous group."""
        self._step(-1)

    def _step(self, step: int) -> None:
        keys = [group.key for group in self._groups.groups]
        self.choose_group(keys[(keys.index(self.group) + step) % len(keys)])

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self._changed(True)

    def action_filter(self) -> None:
        """Show the line to type a filter."""
        self.filter_line.show()

    def action_clear_filter(self) -> None:
        """Clear the filter and hide its line."""
        self.filter_line.value = ""
        self.filter_line.hide()
        self.surface.set_focus(self._rows)
