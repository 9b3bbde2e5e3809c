"""The writable layer of one container: tree, file, editor, and start with its log."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from tui.core.records import Container, Entry, EntryKind, View
from tui.core.text import human_size, printable
from tui.files import EDIT_LIMIT
from tui.render.entries import change_mark
from tui.services.feed import Feed
from tui.services.tree_model import ancestors
from tui.ui.actions import actions_of, bindings
from tui.ui.screens.base import set_title
from tui.ui.screens.changing import ON_CONTAINER, ON_ENTRY
from tui.ui.screens.opening import OpeningFrame
from tui.ui.widgets.file_pane import FilePane
from tui.ui.widgets.lines import Line
from tui.ui.widgets.log_pane import LogPane
from tui.ui.widgets.tree_rows import TreeRows

_VERBS = ("start", "start_again", "stop", "restart", "pause", "kill")

_TREE_ACTIONS = frozenset(action.id for action in actions_of("layer")) - {"back", "switch_pane"}
"""What is not there while a file is edited: its keys are letters then."""

_NEEDS_CONTAINER = frozenset((*ON_ENTRY, *ON_CONTAINER, *_VERBS, "logs", "edit", "external", "refresh"))
"""What nothing is left for once the container was removed."""

_TO_READ = ("editor_find", "editor_find_again", "editor_goto_line")
"""What the editor does to a text that is only looked at too."""

_NEEDS_ENTRY = frozenset((*ON_ENTRY, "open_entry", "edit", "external"))

_LETTERS = ("help", "leave_app", "change_theme")
"""What is done everywhere by a key that is a letter in the editor."""


class LayerScreen(OpeningFrame):
    """Tree on the left, file on the right, log below it."""

    scope = "layer"
    AUTO_FOCUS = "#tree"
    CSS_PATH = "layer.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("layer"), *bindings("editor", "editor_", footer=False)]

    def __init__(self, container: Container, path: bytes = b"/", *, edit: bool = False) -> None:
        super().__init__()
        self._container = container
        self._goal = path
        self._goal_edit = edit
        self._troubled: frozenset[str] = frozenset()

    def body(self) -> ComposeResult:
        """Compose tree, file and log."""
        with Horizontal(id="main"):
            with Vertical(id="left", classes="pane"):
                yield TreeRows(id="tree")
                yield Line(self.find_named, placeholder="name, or /path", id="find-path", hidden=True)
            with Vertical(id="right"):
                yield FilePane(id="file", classes="pane")
                yield LogPane(id="log")

    def on_mount(self) -> None:
        """Ask for the layer; the frame stands meanwhile."""
        self.title_line.middle_stays = True  # the state of the container matters more than the counts
        self.log_pane.display = False
        self.log_pane.add_class("pane")
        self.tree_rows.note = "opening the layer…"
        if self._goal != b"/":
            self.tree_rows.shown_view = View.MERGED
        self.set_focus(self.tree_rows)
        self.watch(self.app, "feed", self._show_frame)
        self._open()

    # the parts ---------------------------------------------------------------------------------------------

    def reveal(self, path: bytes, shown_view: View) -> None:
        """Open the directories above a path in one of the two views, and put the cursor on it."""
        rows = self.tree_rows
        if shown_view is not rows.shown_view:
            self.action_view()
        if rows.go_to(path):
            self._goal = b"/"
            return
        self._goal = path
        for ancestor in ancestors(path):
            rows.model.open(ancestor)
            if not rows.model.loaded(ancestor):
                self._load(ancestor)
        rows.rows_changed()
        if rows.go_to(path):
            self._goal = b"/"

    def _show_frame(self, feed: Feed) -> None:
        self.update_container(feed)
        recovered, self._troubled = self._troubled - feed.troubled, feed.troubled
        if self._failed and self._container.endpoint in recovered:
            self._open()
        self.show_title()

    def show_removal(self) -> None:
        """Show that the container is gone."""
        if self._layer_view is None:
            self.tree_rows.note = f"{printable(self._container.name)} was removed"
            self.tree_rows.refresh()
        self.show_title()

    def after_removal(self) -> str:
        """Say what becomes of text that is being written."""
        return "; esc offers to keep your text" if self.file_pane.modified else super().after_removal()

    def show_title(self) -> None:
        """Show the container's state, what its layer holds, and which view of it this is."""
        self.title_line.left = Text.assemble(("dtui", "bold"), f" ▸ containers ▸ {printable(self._container.name)}")
        reach = f" · {self._container.driver.name}" + (f" · {self.details.reach.kind}" if self.details else "")
        self.title_line.middle = Text.assemble(self.state_words, (printable(reach), ""))
        self.title_line.right = Text(self._counts)
        view = self.tree_rows.shown_view
        view_name = "changes" if view is View.LAYER else "merged"
        set_title(self.query_one("#left"), view_name, "m: merged" if view is View.LAYER else "m: changes")
        self.refresh_bindings()

    # the file ------------------------------------------------------------------------------------------

    @property
    def tree_entry(self) -> Entry | None:
        """The entry under the cursor."""
        return self.tree_rows.entry

    @property
    def subject(self) -> Hashable:
        """The entry, and whether it is being edited."""
        return self.tree_entry and self.tree_entry.path, self.file_pane.editing

    def go_to(self, path: bytes) -> None:
        """Put the cursor on a path once the layer is read again."""
        self._goal = path

    def file_changed(self) -> None:
        """Read the tree and its counts again after a save."""
        self._open()

    # actions -----------------------------------------------------------------------------------------------

    @property
    def palette(self) -> tuple[tuple[str, str], ...]:
        """The tree's actions, or the editor's while it is open."""
        return (("editor", "editor_"), *super().palette)

    def hides(self, action: str) -> bool:
        """Hide the keys of the tree while the file is edited: they are letters then."""
        if action in ("editor_start", "editor_start_again") and super().hides(action.removeprefix("editor_")):
            return True
        if action.startswith("editor_"):
            return not (self.file_pane.editing or (action in _TO_READ and self.file_pane.face == "text"))
        if self.file_pane.editing and action in (*_TREE_ACTIONS, *_LETTERS):
            return True
        if action in ("view", "view_changes"):
            return (self.tree_rows.shown_view is View.MERGED) is (action == "view")
        without = (self.is_removed and action in _NEEDS_CONTAINER) or (
            self.tree_entry is None and action in _NEEDS_ENTRY
        )
        return super().hides(action) or without

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now."""
        if action.startswith("editor_"):
            return ""
        if action in _TREE_ACTIONS and self.file_pane.editing:
            return "a file is being edited: esc goes back to its text"
        if self.is_removed and action in _NEEDS_CONTAINER:
            return self.gone_reason
        if action in (*_VERBS, "logs"):
            return self.verb_reason(action)
        if action in (*ON_ENTRY, *ON_CONTAINER):
            return self.why_not_act(action)
        if action in ("edit", "external"):
            entry = self.tree_rows.entry
            if entry is None:
                return "no file is selected"
            if change_mark(entry) == "D":
                return "a deleted file cannot be edited; the image still has it"
            if entry.kind not in (EntryKind.FILE, EntryKind.SYMLINK):
                return f"{printable(entry.name)} is a {entry.kind}, not a file"
            if action == "edit" and entry.kind is EntryKind.FILE and entry.size > EDIT_LIMIT:
                return f"it is larger than {human_size(EDIT_LIMIT)}: o opens it in $EDITOR, x copies it out"
        return ""

    @on(TreeRows.Chosen, "#tree")
    def action_open_entry(self) -> None:
        """Open or close the directory, or edit the file."""
        entry = self.tree_rows.entry
        if entry and entry.kind is EntryKind.DIRECTORY:
            self.tree_rows.toggle()
        elif entry and not self.why_not("edit"):
            self.action_edit()
        elif entry:
            self.tell(self.why_not("edit"), "bad")

    def action_edit(self) -> None:
        """Edit the file under the cursor."""
        self.edit_here()

    def edit_here(self) -> None:
        """Read the file under the cursor into the editor."""
        self._preview(edit=True)

    def action_view_changes(self) -> None:
        """Switch back to what the container changed."""
        self.action_view()

    def action_view(self) -> None:
        """Switch between what the container changed and what it sees."""
        self.switch_view()

    def switch_view(self) -> None:
        """Show the other view, its cursor on the same entry."""
        rows = self.tree_rows
        rows.shown_view = View.MERGED if rows.shown_view is View.LAYER else View.LAYER
        if rows.entry:
            self._goal = rows.entry.path
        rows.model.forget()
        rows.note = "reading…"
        rows.rows_changed()
        self.show_title()
        self._reload()

    def action_expand(self) -> None:
        """Open the directory."""
        self.tree_rows.open_here()

    def action_collapse(self) -> None:
        """Close the directory."""
        self.tree_rows.close_here()

    def action_switch_pane(self) -> None:
        """Go to the next pane; while editing, back to the text."""
        if self.file_pane.editing:
            self.set_focus(self.file_pane.area)
        else:
            self.focus_next()

    def action_refresh(self) -> None:
        """Open the layer again and read everything afresh."""
        self.tell("reading again…")
        self._asked_again = True
        self._open()

    def action_inspect(self) -> None:
        """Show all that is known of the container."""
        if self.details:
            from datetime import UTC, datetime

            from tui.render.containers import inspect_lines
            from tui.ui.dialogs.show import TextDialog

            self.app.push_screen(
                TextDialog(printable(self._container.name), inspect_lines(self.details, datetime.now(UTC)))
            )

    def happened(self, action: str) -> None:
        """Open the layer anew after what changes how it is reached."""
        if action in ("start", "die", "pause", "unpause"):
            self._open()

    def action_back(self) -> None:
        """Leave the find line, then the file, then the screen; unsaved text is asked about."""
        line = self.query_one("#find-path", Line)
        if self.stop_search():
            self.tell("the search is stopped")
            return
        if self.file_pane.editing:
            if self.file_pane.has_focus_within:
                self.action_editor_leave()
            else:
                self.set_focus(self.file_pane.area)
            return
        if line.display:
            line.hide()
            self.set_focus(self.tree_rows)
        elif self.file_pane.close_find():
            return
        elif self.focused is not self.tree_rows:
            self.set_focus(self.tree_rows)
        else:
            self.dismiss()
