"""Editing and saving: the flow from Ctrl+S over the difference to the safe write, and what to do in a conflict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from rich.text import Text
from textual import on, work
from textual.app import SuspendNotSupported

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, UsageError
from tui.core.progress import Meter
from tui.core.records import Details, Entry
from tui.core.text import human_size, printable, time_text
from tui.files import (
    PREVIEW_LIMIT,
    ContainerEnded,
    ContainerGone,
    Document,
    Files,
    Keepsake,
    OpenedFile,
    SaveOptions,
    SaveResult,
    Unsaved,
    diff_lines,
    keep_copy,
    texts_on_offer,
)
from tui.render.entries import diff_text, meta_words
from tui.services.files_of import files_of
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm
from tui.ui.dialogs.show import TextDialog, help_text
from tui.ui.dialogs.working import ProgressDialog
from tui.ui.outside import Origin, StillOpen, WorkLeft, edit_outside
from tui.ui.screens.base import flow, set_title
from tui.ui.screens.following import FollowingFrame
from tui.ui.waiting import run_with_progress
from tui.ui.widgets.code_area import CodeArea
from tui.ui.widgets.file_pane import FilePane

T = TypeVar("T")

_PATIENCE = 2.0
"""Seconds after which a file that is read or saved is said to keep us waiting."""

_KEEP_MINE = Choice("m", "mine", "keep mine: write over theirs")
_KEEP_THEIRS = Choice("t", "theirs", "keep theirs: lose my edits")
_DISCARD = Choice("x", "discard", "throw the edits away")
_SEE = Choice("d", "diff", "see the difference")
_TAKE = Choice("t", "take", "take it into the editor")
_THROW_AWAY = Choice("x", "throw away", "throw it away")


class SavingFrame(FollowingFrame):
    """A screen with a file in hand. Everything that may block runs in a thread that this flow waits for."""

    details: Details | None = None
    opened: OpenedFile | None = None
    _receipt: SaveResult | None = None
    _outside: Unsaved | None = None
    """What an editor left that the pane cannot show, until it is saved or kept."""
    _taken: tuple[Keepsake, bytes] | None = None
    """The kept text that is gone on with, and the path of its file, until it is saved."""
    asks_of_kept = False
    """Whether it is being asked what becomes of a kept text: until then the file is neither shown again nor edited."""

    @property
    def open_details(self) -> Details:
        """The container's details; there are none before its layer is open."""
        if self.details is None:
            raise EditRefused("the layer is not open", "f5 tries to open it again")
        return self.details

    @property
    def files(self) -> Files:
        """The way to the container's files, by what is known of it now."""
        return files_of(self.host.endpoint(self.open_details.container.endpoint), self.open_details)

    @property
    def file_pane(self) -> FilePane:
        """The pane with the file."""
        return self.query_one("#file", FilePane)

    @property
    def tree_entry(self) -> Entry | None:
        """The entry the file pane is about."""
        raise NotImplementedError

    def file_changed(self) -> None:
        """Show the layer afresh after a file was written."""
        raise NotImplementedError

    @property
    def unsaved(self) -> str:
        """Name the file with unsaved text."""
        pane = self.file_pane
        return printable(self.opened.path) if pane.modified and self.opened else ""

    @property
    def unsaved_text(self) -> Unsaved | None:
        """Return the text of the editor as the bytes that a save would write."""
        if self._outside is not None:
            return self._outside
        if not self.unsaved or self.opened is None:
            return None
        text = self.file_pane.area.text
        try:
            data = self.opened.document.with_text(text)
        except DtuiError:
            data = text.encode("utf-8", "surrogatepass")
        return Unsaved(data, self.container.name, self.opened.path, self.container.id)

    # text that an earlier dtui kept ------------------------------------------------------------------------

    @work(exclusive=True, group="flow")
    async def edit_with_kept(self, opened: OpenedFile, kept: Sequence[tuple[Keepsake, bytes]]) -> None:
        """Edit a file of which an earlier dtui kept text, with that text if it is wanted."""
        self.asks_of_kept = True
        try:
            taken = await self._ask_of_kept(opened, kept)
        finally:
            self.asks_of_kept = False
        if self.opened is not opened or self.file_pane.editing:
            return
        if taken:
            await self._take_kept(opened, *taken)
        else:
            self.begin_edit()

    async def _ask_of_kept(
        self, opened: OpenedFile, kept: Sequence[tuple[Keepsake, bytes]]
    ) -> tuple[Keepsake, bytes] | None:
        """Ask what becomes of texts that were kept, the newest first; return the one that is to be gone on with."""
        for number, (keepsake, data) in enumerate(kept, 1):
            since = time_text(keepsake.time_ns())
            about = f"{human_size(len(data))}, written {since}\n{printable(str(keepsake.place))}\n"
            count = f" ({number} of {len(kept)})" if kept[1:] else ""
            question = f"Text of {printable(opened.path)} was kept that is not saved{count}."
            body = Text(f"{about}\nesc leaves it there, and the file as it is.")
            while (answer := await self._answer_of_kept(question, body)) == "diff":
                difference = diff_text(diff_lines(opened.document.data, data))
                body = Text.assemble(about, "the file (-) and the kept text (+)\n\n", difference)
            if answer == "take":
                return keepsake, data
            if answer != "throw away":
                return None
            try:
                await asyncio.to_thread(keepsake.throw_away)
            except OSError as error:
                self.tell(f"{keepsake.place} is not deleted: {(error.strerror or str(error)).lower()}", "bad")
        return None

    async def _answer_of_kept(self, question: str, body: Text) -> str | None:
        """Ask what becomes of one text; to throw it away is asked about again, for it cannot be undone."""
        answer = await self.app.push_screen_wait(ChooseDialog(question, (_SEE, _TAKE, _THROW_AWAY), body))
        if answer != "throw away":
            return answer
        sure = ChooseDialog("Throw the kept text away? This cannot be undone.", (confirm("throw it away"),))
        return answer if await self.app.push_screen_wait(sure) == "yes" else "diff"

    async def _take_kept(self, opened: OpenedFile, keepsake: Keepsake, data: bytes) -> None:
        """Go on with a text that was kept; it stays there until it is saved."""
        self._taken = keepsake, opened.path
        await self._take_edited(opened, opened.document.data, data, ask=False)

    def _settle_taken(self, opened: OpenedFile, data: bytes) -> None:
        """Say no more of a kept text once it is saved; it is deleted only if it is what was saved."""
        taken, self._taken = self._taken, None
        if taken is None or taken[1] != opened.path:
            return
        with suppress(OSError, EditRefused):  # it is offered again
            if taken[0].read() == data:
                taken[0].throw_away()
            else:
                taken[0].drop_note()

    # edit and leave ----------------------------------------------------------------------------------------

    def begin_edit(self) -> None:
        """Make the shown file editable, or say why not."""
        opened = self.opened
        if opened is None:
            return
        if opened.document.read_only_reason:
            self.tell(f"read-only: {opened.document.read_only_reason}; o opens it in $EDITOR", "bad")
            return
        self.file_pane.begin_edit()
        self.add_class("-editing")
        self.refresh_bindings()
        # said when the text is laid out: keys that come before would find no line ends
        self.call_after_refresh(self.tell, "editing: ^s shows the difference and saves, esc leaves")

    @on(CodeArea.Refused)
    def _refused(self, event: CodeArea.Refused) -> None:
        self.tell_error(event.error)

    @on(FilePane.Edited)
    def _edited(self) -> None:
        self._mark()

    def _mark(self) -> None:
        entry = self.tree_entry
        if self.opened is None:
            return
        mark = " · edited *" if self.file_pane.modified else ""
        meta = (
            f" ── {meta_words(entry, self.open_details.shown_stack)}"
            if entry and entry.path == self.opened.path
            else ""
        )
        set_title(self.file_pane, f"{printable(self.opened.path)}{mark}{meta}")

    @flow
    async def action_editor_leave(self) -> None:
        """Leave the editor; ask when text would be lost."""
        if self.file_pane.close_find():
            return
        if not self.file_pane.modified:
            self._end_edit()
            return
        answer = await self._ask_of_unsaved()
        if answer == "save" and await self._save_flow():
            self._end_saved()
        elif answer == "keep":
            await self._keep_and_end()
        elif answer == "discard":
            self._end_edit()

    async def _ask_of_unsaved(self) -> str | None:
        """Ask what becomes of the text; into a container that is gone it cannot be saved."""
        question = "This file has unsaved text."
        save: tuple[Choice, ...] = (Choice("s", "save", "save"),)
        if self.is_removed:
            question, save = f"{printable(self.container.name)} was removed: this text cannot be saved into it.", ()
        choices = (*save, Choice("k", "keep", "keep a copy on this host"), _DISCARD)
        return await self.app.push_screen_wait(ChooseDialog(question, choices))

    async def _keep_and_end(self) -> None:
        """Keep the text in a file of this host; it stays in the editor until it is there."""
        text = self.unsaved_text
        if text is None:
            return
        try:
            copy_path = await asyncio.to_thread(keep_copy, text.data)
        except OSError as error:
            self.tell(f"not kept: {error.strerror}; the text is still here", "bad")
            return
        self._end_edit()
        self.tell(f"not saved; your text is kept in {copy_path}", "bad")

    def _end_edit(self) -> None:
        pane = self.file_pane
        if self.opened and pane.modified:
            pane.load(self.opened.document.text, pane.area.language)
        pane.end_edit()
        self.remove_class("-editing")
        self._mark()
        self.set_focus(self.query_one("#tree"))
        self.refresh_bindings()
        self.clear_stale_status()

    def _end_saved(self) -> None:
        """Leave the editor after a save; the key that starts the container is another one there."""
        self._end_edit()
        if self._receipt:
            self._tell_saved(self._receipt)

    def action_editor_help(self) -> None:
        """Show all keys, the editor's first."""
        self.app.push_screen(TextDialog("Keys", help_text("editor")))

    def action_editor_find(self) -> None:
        """Find text."""
        self.file_pane.open_find()

    def action_editor_find_again(self) -> None:
        """Find the next match."""
        if not self.file_pane.find_again():
            self._missed()

    @on(FilePane.Missed)
    def _missed(self) -> None:
        document = self.file_pane.document
        if document is not None and document.cut:
            self.tell(f"no match in the first {PREVIEW_LIMIT >> 10} KiB; e opens the whole file", "bad")
        else:
            self.tell("no match", "bad")

    @flow
    async def action_editor_goto_line(self) -> None:
        """Ask for a line and go there."""

        async def go(answer: str) -> None:
            if not answer.strip().isdecimal():
                raise UsageError("a line is a number", f"from 1 to {self.file_pane.area.document.line_count}")
            self.file_pane.go_to_line(int(answer))

        await self.ask("Go to line", go)

    # saving ------------------------------------------------------------------------------------------------

    @flow
    async def action_editor_save(self) -> None:
        """Show the difference, then save."""
        await self._save_flow()

    def action_editor_start_again(self) -> None:
        """Save what is unsaved, then restart and follow the log."""
        self.action_editor_start()

    @flow
    async def action_editor_start(self) -> None:
        """Save what is unsaved, then start or restart and follow the log."""
        if self.file_pane.modified and not await self._save_flow():
            return
        reason = self.verb_reason("start")
        container, verb = self.container, self.start_verb()
        if reason:
            self.tell(reason, "bad")
        elif await self.confirm_verb(verb, container):
            self.act(verb, container)

    async def _save_flow(self) -> bool:
        """Save the text of the editor; say whether it is on disk now."""
        opened = self.opened
        if opened is None or self.details is None:
            return False
        if not self.file_pane.modified:
            self.tell("nothing to save: the text is as it was loaded")
            return True
        try:
            data = opened.document.with_text(self.file_pane.area.text)
        except DtuiError as error:
            self.tell_error(error)
            return False
        return await self._confirm_and_write(opened, data)

    async def _confirm_and_write(self, opened: OpenedFile, data: bytes) -> bool:
        if self.is_removed:
            self.tell(f"{self.container.name} was removed: nothing can be saved into it{self.after_removal()}", "bad")
            return False
        try:
            how = await self._call_with_progress(opened.path, lambda: self.files.plan(opened.path))
        except DtuiError as error:
            self.tell_error(error)
            return False
        body = Text.assemble((printable(how.sentence), "italic"), "\n")
        for warning in how.warnings:
            body.append(f"! {printable(warning)}\n", style="yellow")
        body.append_text(Text.assemble("\n", diff_text(diff_lines(opened.document.data, data))))
        choices = [confirm("save", answer="save")]
        if how.choice:
            choices.append(Choice("i", "in place", "in place, for who has it open"))
        answer = await self.app.push_screen_wait(ChooseDialog(f"Save {printable(opened.path)}?", tuple(choices), body))
        if answer is None:
            self.tell("not saved")
            return False
        return await self._write(opened, data, in_place=answer == "in place")

    async def _write(self, opened: OpenedFile, data: bytes, *, in_place: bool) -> bool:
        """Write; in a conflict ask, as often as somebody else is faster."""
        force = False
        while True:
            self.tell("saving…")
            try:
                receipt = await self._call_with_progress(
                    opened.path, partial(self._save_now, opened, data, force, in_place)
                )
            except (ContainerEnded, ContainerGone) as error:
                self.tell_error(error)
                return False
            except ChangedMeanwhile as error:
                answer = await self._conflict(opened, data, error)
                if answer == "theirs" and await self._reload_file(opened.path):
                    self.tell("not saved: theirs is shown now")
                elif answer is None:
                    self.tell("not saved: the file was changed meanwhile, your text is still here")
                if answer != "mine":
                    return False
                force = True
            except DtuiError as error:
                self.tell_error(error)
                return False
            else:
                self._settle_taken(opened, data)
                await self._written(opened, receipt)
                return True

    async def _call_with_progress(self, path: bytes, call: Callable[[], T]) -> T:
        """Return what a call about a file returns; raises Stopped when the user leaves one that does not answer."""
        return await run_with_progress(self.app, ProgressDialog(printable(path), Meter()), call, _PATIENCE)

    def _save_now(self, opened: OpenedFile, data: bytes, force: bool, in_place: bool) -> SaveResult:
        return self.files.save(opened.path, data, None if force else opened.stamp, SaveOptions(in_place=in_place))

    async def _conflict(self, opened: OpenedFile, edited: bytes, error: ChangedMeanwhile) -> str | None:
        body = Text(printable(str(error)))
        while True:
            question = f"{printable(opened.path)} was changed meanwhile."
            answer = await self.app.push_screen_wait(ChooseDialog(question, (_KEEP_MINE, _KEEP_THEIRS, _SEE), body))
            if answer != "diff":
                return answer
            try:
                current = await self._call_with_progress(opened.path, lambda: self.files.open(opened.path))
                body = Text.assemble(
                    "theirs (-) and mine (+)\n\n", diff_text(diff_lines(current.document.data, edited))
                )
            except DtuiError as gone:
                body = Text(printable(str(gone)))

    async def _reload_file(self, path: bytes) -> bool:
        """Show the file as it is now; say whether it could be read."""
        try:
            self.opened = await self._call_with_progress(path, lambda: self.files.open(path))
        except DtuiError as error:
            self.tell_error(error)
            return False
        location = self.file_pane.area.cursor_location
        editing = self.file_pane.editing
        self.file_pane.show_document(self.opened.document, self.file_pane.area.language)
        if editing and not self.opened.document.read_only_reason:
            self.file_pane.begin_edit()
        self.file_pane.area.move_cursor(location)
        self._mark()
        return True

    async def _written(self, opened: OpenedFile, receipt: SaveResult) -> None:
        await self._reload_file(opened.path)
        self.file_changed()
        self._receipt = receipt
        self._tell_saved(receipt)

    def _tell_saved(self, receipt: SaveResult) -> None:
        notes = "".join(f" · {note}" for note in receipt.notes)
        verb = "restarts" if self.container.state.alive else "starts"
        key = "^r" if self.file_pane.editing else "s"
        self.tell(f"saved {receipt.bytes_written:,} B{notes} · {key} {verb} the container and shows its log", "good")

    # external editor ---------------------------------------------------------------------------------------

    @flow
    async def action_external(self) -> None:
        """Open the selected file in $EDITOR."""
        entry = self.tree_entry
        if entry is None or self.details is None:
            return
        try:
            self.opened = await self._call_with_progress(entry.path, lambda: self.files.open(entry.path))
        except DtuiError as error:
            self.tell_error(error)
            return
        opened = self.opened
        kept = await asyncio.to_thread(texts_on_offer, self.container.id, opened.path, opened.document.data)
        if kept and (taken := await self._ask_of_kept(opened, kept)):
            await self._take_kept(opened, *taken)
            return
        await self._external(opened, opened.document.data)

    @flow
    async def action_editor_external(self) -> None:
        """Go on in $EDITOR with the text as it stands."""
        opened = self.opened
        if opened is None:
            return
        try:
            data = opened.document.with_text(self.file_pane.area.text)
        except DtuiError as error:
            self.tell_error(error)
            return
        await self._external(opened, data)

    async def _external(self, opened: OpenedFile, data: bytes) -> None:
        copies, whose = self.host.open_copies, f"{self.container.name}:{printable(opened.path)}"
        origin = Origin(self.container.name, self.container.id, opened.document.data)
        try:
            edited = copies.take_saved(whose)
            if edited is None:
                with self.app.suspend():
                    left = edit_outside(data, opened.path, origin)
                edited = left.data
                if left.note:
                    self.notify(printable(left.note), title="editor", severity="warning", timeout=15, markup=False)
        except StillOpen as still:
            copies.follow(whose, still)
            if still.at_once:
                self.tell_error(still)
            else:
                self.tell("nothing changed in the editor")
        except WorkLeft as work:
            self.host.ending.note_editor_work(self.container.name, opened.path, work.work_path)
            self.tell_error(work)
        except DtuiError as error:
            self.tell_error(error)
        except SuspendNotSupported:
            self.tell("$EDITOR needs a terminal of its own, which this one cannot give", "bad")
        else:
            await self._take_edited(opened, data, edited)

    async def _take_edited(self, opened: OpenedFile, data: bytes, edited: bytes, *, ask: bool = True) -> None:
        """Save what an editor left; it stays in the pane, or else in a file of this host, until that went through.

        Without ``ask`` what can be edited in the pane is only put there.
        """
        if edited == data:
            self.tell("nothing changed in the editor")
            return
        was_editing = self.file_pane.editing
        in_pane = self._show_edited(opened, edited)
        if in_pane and edited == opened.document.data:
            self.tell("the text is as the file has it")
            return
        if in_pane and not ask:
            self.call_after_refresh(self.tell, "this is the kept text: ^s shows the difference and saves it")
            return
        saved = False
        if not in_pane:
            self._outside = Unsaved(edited, self.container.name, opened.path, self.container.id)
        try:
            saved = await self._confirm_and_write(opened, edited)
        finally:
            if not saved and not in_pane:
                self._keep_outside(edited)
            self._outside = None
        if saved and not was_editing:
            self._end_saved()

    def _show_edited(self, opened: OpenedFile, edited: bytes) -> bool:
        """Put what an editor left into the pane as unsaved text; say whether it can be edited there."""
        if opened.document.read_only_reason or Document.parse(edited).read_only_reason:
            return False
        text = opened.document.text_of(edited)
        keeps_line_ends = text is not None
        if text is None:  # some lines end otherwise than all did
            opened = replace(opened, document=Document.parse(opened.document.data, any_ends=True))
            text = opened.document.text_of(edited)
        if text is None:
            return False
        if not self.file_pane.editing or not keeps_line_ends:
            self.opened = opened  # the cursor may have gone on while the file was read
            self.file_pane.show_document(opened.document, None)
            self.begin_edit()
        self.file_pane.replace_text(text)
        return True

    def _keep_outside(self, edited: bytes) -> None:
        try:
            self.tell(f"not saved; what you wrote is kept in {keep_copy(edited)}", "bad")
        except OSError as error:
            self.tell(f"not saved, and not kept: {error.strerror}", "bad")
