"""Moves between the panes of the layer screen and hides the keys that do not apply."""

from __future__ import annotations

from collections.abc import Callable

from tui.ui.actions import actions_of
from tui.ui.commands.base import Commands
from tui.ui.commands.containers import VERBS
from tui.ui.commands.edit_and_save import EditAndSave
from tui.ui.commands.entries import ON_CONTAINER, ON_ENTRY
from tui.ui.commands.find_names import FindNames
from tui.ui.commands.held_container import HeldContainer
from tui.ui.widgets.file_pane import FilePane
from tui.ui.widgets.tree_rows import TreeRows

_TREE_ACTIONS = frozenset(action.id for action in actions_of("layer")) - {"back", "switch_pane"}
"""Actions of the tree, which are hidden while a file is edited because their keys are letters then."""

_NEEDS_CONTAINER = frozenset((*ON_ENTRY, *ON_CONTAINER, *VERBS, "undo_act", "logs", "edit", "external", "refresh"))
"""Actions that are impossible once the container was removed."""

_NEEDS_ENTRY = frozenset((*ON_ENTRY, "open_entry", "edit", "external"))

_LETTERS = ("help", "leave_app", "change_theme")
"""Actions of all screens whose keys are letters in the editor."""


class LayerPanes(Commands):
    """Moves between the panes, and hides keys that do not apply; ``leave`` closes the screen."""

    def __init__(
        self,
        held: HeldContainer,
        rows: TreeRows,
        pane: FilePane,
        editing: EditAndSave,
        names: FindNames,
        *,
        leave: Callable[[], object],
    ) -> None:
        super().__init__(editing.surface)
        self._held = held
        self._rows = rows
        self._pane = pane
        self._editing = editing
        self._names = names
        self._leave = leave

    def hides(self, action: str) -> bool:
        """Hide the tree's keys while a file is edited, and actions without a container or entry to act on."""
        if self._pane.editing and action in (*_TREE_ACTIONS, *_LETTERS):
            return True
        lacks_container = self._held.is_removed and action in _NEEDS_CONTAINER
        return lacks_container or (self._rows.entry is None and action in _NEEDS_ENTRY)

    def disabled_reason(self, action: str) -> str:
        if action in _TREE_ACTIONS and self._pane.editing:
            return "a file is being edited: esc goes back to its text"
        return self._held.gone_reason if action in _NEEDS_CONTAINER else ""

    def action_switch_pane(self) -> None:
        """Focus the next pane, or the text while a file is edited."""
        if self._pane.editing:
            self.surface.set_focus(self._pane.area)
        else:
            self._rows.screen.focus_next()

    def action_back(self) -> None:
        """Leave the innermost of search, editor, find lines, file pane and screen; ask about unsaved text."""
        if self._names.stop():
            self.surface.tell("search stopped")
        elif self._pane.editing:
            if self._pane.has_focus_within:
                self._editing.action_editor_leave()
            else:
                self.surface.set_focus(self._pane.area)
        elif self._names.line.display:
            self._names.line.hide()
            self.surface.set_focus(self._rows)
        elif self._pane.close_find():
            return
        elif not self._rows.has_focus:
            self.surface.set_focus(self._rows)
        else:
            self._leave()
