"""The writable layer of one container: tree, file, editor, and start with its log."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.worker import get_current_worker

from tui.core.errors import DtuiError, NotFound
from tui.core.model import Change, Container, Details, Entry, EntryKind, View
from tui.core.text import human_size, printable
from tui.editing.document import EDIT_LIMIT
from tui.ui.actions import actions_of, bindings
from tui.ui.feed import Feed, Happened
from tui.ui.present import state_text
from tui.ui.present_layer import mark_of
from tui.ui.reach import Tree, tree_of
from tui.ui.screens.base import set_title
from tui.ui.screens.changing import ON_CONTAINER, ON_ENTRY
from tui.ui.screens.layer_messages import Counted, Loaded, Opening
from tui.ui.screens.previewing import PreviewingFrame
from tui.ui.summary import summarise
from tui.ui.tree_model import ancestors
from tui.ui.widgets.file_pane import FilePane
from tui.ui.widgets.lines import Line
from tui.ui.widgets.log_pane import LogPane
from tui.ui.widgets.tree_rows import TreeRows

_TREE_ACTIONS = frozenset(action.id for action in actions_of("layer")) - {"back", "switch_pane"}
"""What is not there while a file is edited: its keys are letters then."""

_TO_READ = ("editor_find", "editor_find_again", "editor_goto_line")
"""What the editor does to a text that is only looked at too."""

_UNFOLDED = 30
"""Lines up to which the tree of changes opens by itself."""


class LayerScreen(PreviewingFrame):
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
        self._layer_view: Tree | None = None
        self._asked_again = False
        self._counts = ""
        self._unfolded: set[bytes] = set()

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

    def on_unmount(self) -> None:
        """Give the layer's descriptors back."""
        if self._layer_view:
            self._layer_view.close()

    # the parts ---------------------------------------------------------------------------------------------

    @property
    def container(self) -> Container:
        """The container."""
        return self._container

    @property
    def layer_view(self) -> Tree | None:
        """Where directories are listed from."""
        return self._layer_view

    def reveal(self, path: bytes, shown: View) -> None:
        """Open the directories above a path in one of the two views, and put the cursor on it."""
        rows = self.tree_rows
        if shown is not rows.shown_view:
            self.action_view()
        if rows.go_to(path):
            self._goal = b"/"
            return
        self._goal = path
        for above in ancestors(path):
            rows.model.open(above)
            if not rows.model.loaded(above):
                self._load(above)
        rows.rows_changed()
        if rows.go_to(path):
            self._goal = b"/"

    def _show_frame(self, feed: Feed) -> None:
        self._container = feed.find((self._container.endpoint, self._container.id)) or self._container
        self.title_line.left = Text.assemble(("dtui", "bold"), f" ▸ containers ▸ {printable(self._container.name)}")
        reach = f" · {self._container.driver.name}" + (f" · {self.details.reach.kind}" if self.details else "")
        self.title_line.middle = Text.assemble(state_text(self._container), (printable(reach), ""))
        self.title_line.right = Text(self._counts)
        view = self.tree_rows.shown_view
        words = "changes" if view is View.LAYER else "merged"
        set_title(self.query_one("#left"), words, "m: merged" if view is View.LAYER else "m: changes")
        self.refresh_bindings()

    # opening -----------------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="open")
    def _open(self) -> None:
        worker = get_current_worker()
        details: Details | None = None
        try:
            details = self.endpoint.inspect(self._container.id)
            view = tree_of(self.endpoint, details)
        except DtuiError as error:
            self.post_message(Opening(details, None, error))
            return
        self.post_message(Opening(details, view))
        size, words = summarise(self.endpoint, details, lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.post_message(Counted(size, words))

    @on(Opening)
    def _opened(self, event: Opening) -> None:
        if event.details is not None or not self.file_pane.editing:  # a save says itself what became of its container
            self.details = event.details
        if event.error or event.view is None or event.details is None:
            self.tree_rows.note = "the layer cannot be opened"
            self.tree_rows.refresh()
            if event.error:
                self.tell_error(event.error)
            return
        self.stop_search()
        if self._layer_view:
            self._layer_view.close()
        self._layer_view = event.view
        self.tree_rows.stack = event.details.stack
        self._show_frame(self.dtui.feed)
        if self._asked_again:
            self._asked_again = False
            self.tell("read again")
        self._reload()

    @on(Counted)
    def _counted(self, event: Counted) -> None:
        self._counts = f"{event.words} · {human_size(event.size)} writable"
        self.title_line.right = Text(self._counts)

    def _reload(self) -> None:
        """Load the root and all that was open; a goal path is opened on the way."""
        model = self.tree_rows.model
        for path in ancestors(self._goal):
            model.open(path)
        for path in model.open_paths:
            self._load(path)

    @on(TreeRows.Wanted)
    def _wanted(self, event: TreeRows.Wanted) -> None:
        self._load(event.path)

    def _load(self, path: bytes) -> None:
        view, shown = self._layer_view, self.tree_rows.shown_view
        if view is None:
            return
        self.run_worker(lambda: self._children(view, shown, path), thread=True, group="load")

    def _children(self, view: Tree, shown: View, path: bytes) -> None:
        try:
            self.post_message(Loaded(view, shown, path, tuple(view.children(path, shown))))
        except DtuiError as error:
            self.post_message(Loaded(view, shown, path, (), error))

    @on(Loaded)
    def _loaded(self, event: Loaded) -> None:
        if event.view is not self.tree_rows.shown_view or event.source is not self._layer_view:
            return
        if isinstance(event.error, NotFound) and self.tree_rows.model.loaded(event.path):
            self.tree_rows.model.shut(event.path)  # it was open and is gone, as the directory above tells
            self.tree_rows.rows_changed()
            return
        if event.error:
            self.tell_error(event.error)
        elif event.source.cut and event.view is View.MERGED:
            self.tell("names are missing: the Engine sends whole directories, and this one is too large")
        if event.path == b"/" and not event.children and not self._unfolded and event.view is View.LAYER:
            self._unfolded.add(b"/")
            self.action_view()
            self.tell("the container has changed nothing yet: these are all its files")
            return
        self.tree_rows.note = "the container has changed nothing: m shows all its files"
        self.tree_rows.put(event.path, event.children)
        self._unfold(event)
        if self.tree_rows.entry != self._shown_entry:
            self._moved()
        if self.file_pane.editing:
            self._mark()
        if self._goal != b"/" and self.tree_rows.go_to(self._goal):
            self._goal = b"/"
            if self._goal_edit:
                self._goal_edit = False
                self.action_edit()

    def _unfold(self, event: Loaded) -> None:
        """Open changed directories by themselves while all of the changes fit on the screen."""
        model = self.tree_rows.model
        if event.view is View.MERGED or len(model.lines) > _UNFOLDED or event.path in self._unfolded:
            return
        self._unfolded.add(event.path)
        for entry in event.children:
            if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
                model.open(entry.path)
                self._load(entry.path)

    # the file ------------------------------------------------------------------------------------------

    @property
    def tree_entry(self) -> Entry | None:
        """The entry under the cursor."""
        return self.tree_rows.entry

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
        if action.startswith("editor_"):
            return not (self.file_pane.editing or (action in _TO_READ and self.file_pane.face == "text"))
        return super().hides(action) or (self.file_pane.editing and action in (*_TREE_ACTIONS, "help"))

    def why_not(self, action: str) -> str:
        """Say why an action cannot be taken now."""
        if action.startswith("editor_"):
            return ""
        if action in _TREE_ACTIONS and self.file_pane.editing:
            return "a file is being edited: esc goes back to its text"
        if action in ("start", "start_again", "stop", "restart", "pause", "kill", "logs"):
            return self.verb_reason(action)
        if action in (*ON_ENTRY, *ON_CONTAINER):
            return self.why_not_act(action)
        if action in ("edit", "external"):
            entry = self.tree_rows.entry
            if entry is None:
                return "no file is selected"
            if mark_of(entry) == "D":
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
        self._preview(edit=True)

    def action_view(self) -> None:
        """Switch between what the container changed and what it sees."""
        rows = self.tree_rows
        rows.shown_view = View.MERGED if rows.shown_view is View.LAYER else View.LAYER
        if rows.entry:
            self._goal = rows.entry.path
        rows.model.forget()
        rows.note = "reading…"
        rows.rows_changed()
        self._show_frame(self.dtui.feed)
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

            from tui.ui.dialogs.show import Show
            from tui.ui.present import inspect_lines

            self.app.push_screen(Show(printable(self._container.name), inspect_lines(self.details, datetime.now(UTC))))

    @on(Happened)
    def _happened(self, event: Happened) -> None:
        if event.event.id != self._container.id:
            return
        self.tell_event(event.event, self._container.name)
        if event.event.action in ("start", "die", "pause", "unpause", "destroy"):
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
