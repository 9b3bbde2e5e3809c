"""How the list of containers is grouped, filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable

from tui.render.containers import SORTS
from tui.ui.commands.base import Commands, Surface
from tui.ui.widgets.container_rows import ContainerRows, GroupRows
from tui.ui.widgets.lines import Line


class ListChoices(Commands):
    """Takes the choices; ``changed`` is called after each, and told whether the same containers are shown."""

    def __init__(
        self, surface: Surface, rows: ContainerRows, groups: GroupRows, changed: Callable[[bool], None]
    ) -> None:
        super().__init__(surface)
        placeholder = "name, image, id or status, such as exited (127)"
        self.filter_line = Line(self._take_filter, placeholder=placeholder, id="filter", hidden=True)
        self.by = "state"
        """What groups are made by: ``state`` or ``driver``."""
        self.group = ""
        """The key of the group that is shown, empty for all."""
        self.sort = "age"
        self.filter_text = ""
        self._rows = rows
        self._groups = groups
        self._changed = changed

    @property
    def title(self) -> str:
        """What is shown, for the list's border."""
        return self.group.split(":")[1] if ":" in self.group else self.group or "all"

    @property
    def subtitle(self) -> str:
        """How it is shown, for the list's border."""
        return f"sort: {self.sort}" + (f" · filter: {self.filter_text}" if self.filter_text else "")

    def choose_group(self, key: str) -> None:
        """Show another group."""
        if key != self.group:
            self.group = key
            self._changed(False)

    def set_filter(self, text: str) -> None:
        """Show what a text is in, as it is typed."""
        if text != self.filter_text:
            self.filter_text = text
            self._changed(False)

    def _take_filter(self, text: str) -> None:
        self.set_filter(text)
        if not text:
            self.filter_line.hide()
        self.surface.set_focus(self._rows)

    def hides(self, action: str) -> bool:
        """Hide the way out of a filter where there is none."""
        return action == "clear_filter" and not self.filter_line.display

    def action_group(self) -> None:
        """Group by the other thing, and show all groups."""
        self.by = "driver" if self.by == "state" else "state"
        self.group = ""
        self._changed(False)

    def action_next_group(self) -> None:
        """Choose the next group."""
        self._step(1)

    def action_previous_group(self) -> None:
        """Choose the group before."""
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
        """Type a filter."""
        self.filter_line.show()

    def action_clear_filter(self) -> None:
        """Clear the filter."""
        self.filter_line.value = ""
        self.filter_line.hide()
        self.surface.set_focus(self._rows)
