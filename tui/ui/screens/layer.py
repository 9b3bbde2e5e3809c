"""The layer screen: the files of one container as a tree, with file pane, editor and log."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from tui.core.errors import DtuiError
from tui.core.records import Container, Entry, View
from tui.core.text import printable
from tui.files import Unsaved
from tui.services.feed import Feed
from tui.ui.actions import screen_bindings
from tui.ui.commands.base import Commands
from tui.ui.commands.change_flow import ChangeFlow
from tui.ui.commands.containers import ActionEnded
from tui.ui.commands.edit_and_save import EditAndSave
from tui.ui.commands.entries import EntryCommands
from tui.ui.commands.external_editor import ExternalEditor
from tui.ui.commands.find_names import FindNames
from tui.ui.commands.held_container import HeldContainer
from tui.ui.commands.kept_texts import KeptTexts
from tui.ui.commands.layer_panes import LayerPanes
from tui.ui.commands.layer_tree import LayerTree
from tui.ui.commands.log_dock import LogDock
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.commands.preview import Preview
from tui.ui.commands.undo import UndoCommand
from tui.ui.feed_messages import EngineEvent
from tui.ui.screens.base import BaseScreen, set_title
from tui.ui.widgets.code_area import CodeArea
from tui.ui.widgets.file_pane import FilePane
from tui.ui.widgets.log_pane import LogPane
from tui.ui.widgets.tree_rows import TreeRows


class LayerScreen(BaseScreen):
    """Tree on the left, file on the right, log below it."""

    scope = "layer"
    AUTO_FOCUS = "#tree"
    CSS_PATH = "layer.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *screen_bindings("layer"),
        *screen_bindings("editor", "editor_", footer=False),
    ]

    def __init__(self, container: Container, path: bytes = b"/", *, edit: bool = False) -> None:
        super().__init__()
        self.tree_rows = TreeRows(id="tree")
        self.file_pane = FilePane(id="file", classes="pane")
        self.log_pane = LogPane(id="log", classes="pane")
        self.held = HeldContainer(self, container, self._next_step, self._show_removal)
        self.open_layer = OpenLayer(
            self,
            self.held,
            self.file_pane,
            opened=self._layer_opened,
            failed=self._layer_failed,
            counted=self.show_title,
        )
        self.layer_tree = LayerTree(
            self,
            self.open_layer,
            self.tree_rows,
            path,
            view_changed=self.show_title,
            listed=self._directory_listed,
            reached=self._edit_file if edit else None,
        )
        self.names = FindNames(self, self.open_layer, self.layer_tree, self.tree_rows)
        changes = ChangeFlow(self, self.open_layer, self._go_to)
        self.entries = EntryCommands(self, self.open_layer, self._selected, changes)
        self.editing = EditAndSave(self, self.open_layer, self.file_pane, self._selected, self._editing_changed)
        kept = KeptTexts(self, self.open_layer, self.file_pane, self.editing)
        self.external = ExternalEditor(self, self.open_layer, self.file_pane, self._selected, self.editing, kept)
        self.preview = Preview(self, self.open_layer, self.tree_rows, self.file_pane, self.editing, kept)
        self.log_dock = LogDock(self, self.held, self.log_pane)
        panes = LayerPanes(self.held, self.tree_rows, self.file_pane, self.editing, self.names, leave=self.dismiss)
        self._commands = (
            panes,
            self.held.commands,
            self.open_layer,
            self.layer_tree,
            self.names,
            self.entries,
            UndoCommand(self, self.open_layer, changes),
            self.preview,
            self.editing,
            self.external,
            self.log_dock,
        )

    @property
    def commands(self) -> tuple[Commands, ...]:
        """The command sets of the screen."""
        return self._commands

    def body(self) -> ComposeResult:
        with Horizontal(id="main"):
            with Vertical(id="left", classes="pane"):
                yield self.tree_rows
                yield self.names.line
            with Vertical(id="right"):
                yield self.file_pane
                yield self.log_pane

    def on_mount(self) -> None:
        """Open the layer in the background."""
        self.title_line.middle_stays = True  # the state of the container matters more than the counts
        self.log_pane.display = False
        self.tree_rows.note = "opening the layer…"
        if self.layer_tree.goal != b"/":
            self.tree_rows.shown_view = View.MERGED
        self.set_focus(self.tree_rows)
        self.watch(self.app, "feed", self._show_feed)
        self.open_layer.open()

    def on_unmount(self) -> None:
        """Close the layer's descriptors."""
        self.open_layer.close()

    # what is shown -----------------------------------------------------------------------------------------

    def _show_feed(self, feed: Feed) -> None:
        self.held.update(feed)
        self.open_layer.follow(feed)
        self.show_title()

    def show_title(self) -> None:
        """Show the container's state, what its layer holds, and which view of it this is."""
        container, details = self.held.record, self.open_layer.details
        self.title_line.left = Text.assemble(("dtui", "bold"), f" ▸ containers ▸ {printable(container.name)}")
        reach = f" · {container.driver.name}" + (f" · {details.access.kind}" if details else "")
        self.title_line.middle = Text.assemble(self.held.state_words, (printable(reach), ""))
        self.title_line.right = Text(self.open_layer.counts)
        shows_changes = self.tree_rows.shown_view is View.LAYER
        title, other = ("changes", "merged") if shows_changes else ("merged", "changes")
        set_title(self.query_one("#left"), title, f"m: {other}")
        self.refresh_bindings()

    def _next_step(self) -> str:
        return "; esc lets you keep your text" if self.file_pane.modified else ": esc goes back"

    def _show_removal(self) -> None:
        if self.open_layer.tree is None:
            self.tree_rows.note = f"{printable(self.held.record.name)} was removed"
            self.tree_rows.refresh()
        self.show_title()

    def _selected(self) -> Entry | None:
        return self.tree_rows.entry

    def _edit_file(self) -> None:
        self.preview.action_edit()

    def _go_to(self, path: bytes) -> None:
        self.layer_tree.goal = path

    def _editing_changed(self) -> None:
        """Update keys and panes after editing began or ended."""
        self.set_class(self.file_pane.editing, "-editing")
        self.refresh_bindings()
        if not self.file_pane.editing:
            self.set_focus(self.tree_rows)
            self.clear_stale_status()
            self.preview.catch_up()

    # messages from workers and widgets -------------------------------------------------------------------------

    def _layer_opened(self) -> None:
        self.names.stop()
        self.tree_rows.stack = self.open_layer.open_details.shown_stack
        self.show_title()
        self.layer_tree.reload()

    def _layer_failed(self, error: DtuiError) -> None:
        self.tree_rows.note = "the layer could not be opened: f5 tries again"
        self.tree_rows.refresh()
        self.tell_error(error)

    @on(TreeRows.Wanted)
    def _directory_wanted(self, event: TreeRows.Wanted) -> None:
        self.layer_tree.load(event.path)

    def _directory_listed(self) -> None:
        if self.tree_rows.entry != self.preview.shown_entry:
            self._cursor_moved()
        if self.file_pane.editing:
            self.editing.show_title()

    @on(TreeRows.Moved, "#tree")
    def _cursor_moved(self) -> None:
        self.refresh_bindings()
        self.preview.follow_cursor()

    @on(CodeArea.Refused)
    def _text_refused(self, event: CodeArea.Refused) -> None:
        self.tell_error(event.error)

    @on(FilePane.Edited)
    def _text_edited(self) -> None:
        self.editing.show_title()

    @on(FilePane.Missed)
    def _text_missed(self) -> None:
        self.editing.tell_missed()

    @on(ActionEnded)
    def _verb_ended(self, event: ActionEnded) -> None:
        self.held.commands.tell_outcome(event)
        self.log_dock.follow_start(event)

    @on(EngineEvent)
    def _engine_event(self, event: EngineEvent) -> None:
        """Open the layer again after an event that changes how it can be reached."""
        if self.held.take_event(event) in ("start", "die", "pause", "unpause"):
            self.open_layer.open()

    @property
    def subject(self) -> Hashable:
        """The selected entry, and whether it is being edited."""
        entry = self.tree_rows.entry
        return entry and entry.path, self.file_pane.editing

    @property
    def unsaved(self) -> str:
        """The path of the file with unsaved text, or an empty string."""
        return self.editing.unsaved_path

    @property
    def unsaved_text(self) -> Unsaved | None:
        """The unsaved text, as the bytes that saving would write."""
        return self.editing.unsaved_text

    @property
    def palette(self) -> tuple[tuple[str, str], ...]:
        """The tree's actions, or the editor's while it is open."""
        return (("editor", "editor_"), *super().palette)

    @on(TreeRows.Chosen, "#tree")
    def _entry_chosen(self) -> None:
        self.preview.action_open_entry()
