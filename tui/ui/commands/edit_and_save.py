"""The editor's actions: begin, leave, save, find, go to a line, and start the container with what was saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tui.core.errors import DtuiError, UsageError
from tui.core.records import Entry
from tui.core.text import printable
from tui.files import PREVIEW_LIMIT, Document, OpenedFile, Unsaved, keep_copy
from tui.render.entries import meta_words
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.commands.containers import VERBS
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.commands.save_flow import SaveFlow
from tui.ui.dialogs.choose import Choice, ChooseDialog
from tui.ui.dialogs.show import TextDialog, help_text
from tui.ui.widgets.file_pane import FilePane

_DISCARD = Choice("x", "discard", "discard the edits")

_FOR_READERS = ("editor_find", "editor_find_again", "editor_goto_line")
"""Actions of the editor that also work on a read-only text."""


class EditAndSave(Commands):
    """Edits the file that the pane shows.

    ``selected`` returns the entry under the tree's cursor; ``changed`` is called when editing begins or ends.
    """

    def __init__(
        self,
        surface: Surface,
        layer: OpenLayer,
        pane: FilePane,
        selected: Callable[[], Entry | None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(surface)
        self.saving = SaveFlow(surface, layer, pane, self.show_title)
        self._layer = layer
        self._pane = pane
        self._selected = selected
        self._changed = changed
        self._outside: Unsaved | None = None

    def hides(self, action: str) -> bool:
        """Hide the editor's keys while nothing is edited, except those that also work on a read-only text."""
        if not action.startswith("editor_"):
            return False
        verb = action.removeprefix("editor_")
        if verb in VERBS and self._layer.held.commands.hides(verb):
            return True
        return not (self._pane.editing or (action in _FOR_READERS and self._pane.face == "text"))

    @property
    def unsaved_path(self) -> str:
        """The printable path of the file with unsaved text; empty if there is none."""
        opened = self._layer.opened
        return printable(opened.path) if self._pane.modified and opened else ""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """The unsaved text, as the bytes that a save would write if it can be encoded; None if there is none."""
        if self._outside is not None:
            return self._outside
        opened = self._layer.opened
        if not self.unsaved_path or opened is None:
            return None
        text = self._pane.area.text
        try:
            data = opened.document.with_text(text)
        except DtuiError:
            data = text.encode("utf-8", "surrogatepass")
        return self._unsaved(opened, data)

    def _unsaved(self, opened: OpenedFile, data: bytes) -> Unsaved:
        container = self._layer.held.record
        return Unsaved(data, container.name, opened.path, container.id)

    # begin and leave -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the shown file editable, or report why not."""
        opened = self._layer.opened
        if opened is None:
            return
        if opened.document.read_only_reason:
            self.surface.tell(f"read-only: {opened.document.read_only_reason}; o opens it in $EDITOR", "bad")
            return
        self._pane.begin_edit()
        self._changed()
        # reported after the layout, before which keys would find no line ends
        self.surface.call_after_refresh(self.surface.tell, "editing: ^s shows the difference and saves, esc leaves")

    def end(self) -> None:
        """Leave the editor and discard unsaved text."""
        opened = self._layer.opened
        if opened and self._pane.modified:
            self._pane.load(opened.document.text, self._pane.area.language)
        self._pane.end_edit()
        self.show_title()
        self._changed()

    def show_title(self) -> None:
        """Show the file's path in the pane's title, with a mark for unsaved text."""
        opened, entry = self._layer.opened, self._selected()
        if opened is None:
            return
        mark = " · edited *" if self._pane.modified else ""
        is_selected = entry is not None and entry.path == opened.path
        meta = f" ── {meta_words(entry, self._layer.open_details.shown_stack)}" if entry and is_selected else ""
        self._pane.show_title(f"{printable(opened.path)}{mark}{meta}")

    @flow
    async def action_editor_leave(self) -> None:
        """Leave the editor; ask first if text would be lost."""
        if self._pane.close_find():
            return
        if not self._pane.modified:
            self.end()
            return
        answer = await self._ask_about_unsaved()
        if answer == "save" and await self.saving.save_text():
            self._end_saved()
        elif answer == "keep":
            await self._keep_and_end()
        elif answer == "discard":
            self.end()

    async def _ask_about_unsaved(self) -> str | None:
        """Ask what to do with unsaved text, which cannot be saved into a removed container."""
        question = "This file has unsaved text."
        save: tuple[Choice, ...] = (Choice("s", "save", "save"),)
        held = self._layer.held
        if held.is_removed:
            question, save = f"{printable(held.record.name)} was removed: this text cannot be saved into it.", ()
        choices = (*save, Choice("k", "keep", "keep a copy on this host"), _DISCARD)
        return await self.surface.choose(ChooseDialog(question, choices))

    async def _keep_and_end(self) -> None:
        """Copy the text to a file on this host and leave the editor; stay there if the copy fails."""
        text = self.unsaved_text
        if text is None:
            return
        try:
            copy_path = await asyncio.to_thread(keep_copy, text.data)
        except OSError as error:
            self.surface.tell(f"not kept: {error.strerror}; the text is still here", "bad")
            return
        self.end()
        self.surface.tell(f"not saved; your text is kept in {copy_path}", "bad")

    def _end_saved(self) -> None:
        """Leave the editor after a save, and report the save again, because another key starts the container now."""
        self.end()
        if self.saving.last_result:
            self.saving.tell_saved(self.saving.last_result)

    # text that was edited elsewhere --------------------------------------------------------------------------

    async def take_edited(self, opened: OpenedFile, data: bytes, edited: bytes, *, ask: bool = True) -> None:
        """Save text that was edited elsewhere; if it is not saved, it stays in the pane or in a file on this host.

        Without ``ask``, text that the pane can edit is only loaded into it.
        """
        if edited == data:
            self.surface.tell("nothing changed in the editor")
            return
        was_editing = self._pane.editing
        in_pane = self._show_edited(opened, edited)
        if in_pane and edited == opened.document.data:
            self.surface.tell("the kept text is the same as the file")
            return
        if in_pane and not ask:
            self.surface.call_after_refresh(
                self.surface.tell, "editing the kept text: ^s shows the difference and saves it"
            )
            return
        saved = False
        if not in_pane:
            self._outside = self._unsaved(opened, edited)
        try:
            saved = await self.saving.save(opened, edited)
        finally:
            if not saved and not in_pane:
                await self._keep_outside(edited)
            self._outside = None
        if saved and not was_editing:
            self._end_saved()

    def _show_edited(self, opened: OpenedFile, edited: bytes) -> bool:
        """Load edited text into the pane as unsaved; return whether the pane can edit it."""
        if opened.document.read_only_reason or Document.parse(edited).read_only_reason:
            return False
        text = opened.document.text_of(edited)
        keeps_line_ends = text is not None
        if text is None:  # some lines now have another line end
            opened = replace(opened, document=Document.parse(opened.document.data, any_ends=True))
            text = opened.document.text_of(edited)
        if text is None:
            return False
        if not self._pane.editing or not keeps_line_ends:
            self._layer.opened = opened  # the cursor may have moved on while the file was read
            self._pane.show_document(opened.document, None)
            self.begin()
        self._pane.replace_text(text)
        return True

    async def _keep_outside(self, edited: bytes) -> None:
        try:
            kept = await asyncio.to_thread(keep_copy, edited)
            self.surface.tell(f"not saved; what you wrote is kept in {kept}", "bad")
        except OSError as error:
            self.surface.tell(f"not saved, and not kept: {error.strerror}", "bad")

    # actions -------------------------------------------------------------------------------------------------

    def action_editor_help(self) -> None:
        """Show all keys, the editor's first."""
        self.surface.host.push_screen(TextDialog("Keys", help_text("editor")))

    def action_editor_find(self) -> None:
        """Show the line to type the text to find."""
        self._pane.open_find()

    def action_editor_find_again(self) -> None:
        """Select the next match, or report that there is none."""
        if not self._pane.find_again():
            self.tell_missed()

    def tell_missed(self) -> None:
        """Report that the text was not found."""
        document = self._pane.document
        if document is not None and document.cut:
            self.surface.tell(f"no match in the first {PREVIEW_LIMIT >> 10} KiB; e opens the whole file", "bad")
        else:
            self.surface.tell("no match", "bad")

    @flow
    async def action_editor_goto_line(self) -> None:
        """Ask for a line number and go there."""

        async def go(answer: str) -> None:
            if not answer.strip().isdecimal():
                raise UsageError("a line is a number", f"from 1 to {self._pane.area.document.line_count}")
            self._pane.go_to_line(int(answer))

        await self.surface.ask("Go to line", go, verb="go there")

    @flow
    async def action_editor_save(self) -> None:
        """Show the difference, then save."""
        await self.saving.save_text()

    def action_editor_start_again(self) -> None:
        """Save unsaved text, then restart the container."""
        self.action_editor_start()

    @flow
    async def action_editor_start(self) -> None:
        """Save unsaved text, then start or restart the container."""
        if self._pane.modified and not await self.saving.save_text():
            return
        acts, container = self._layer.held.commands, self._layer.held.record
        reason, verb = acts.verb_reason("start"), acts.start_verb()
        if reason:
            self.surface.tell(reason, "bad")
        elif await acts.confirm_verb(verb, container):
            acts.act(verb, container)
