"""Saving: shows the difference, writes safely, and resolves conflicts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from rich.text import Text

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused
from tui.core.text import printable
from tui.files import (
    ContainerEnded,
    ContainerFiles,
    ContainerGone,
    Keepsake,
    LayerInUse,
    OpenedFile,
    SaveOptions,
    SavePlan,
    SaveResult,
    diff_lines,
)
from tui.render.entries import diff_text
from tui.services.while_stopped import (
    NotStarted,
    change_while_stopped,
    must_be_stopped,
    plan_while_stopped,
    stopped_first_words,
)
from tui.ui.commands.base import Surface
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.commands.stop_first import ask_to_stop, stop_first
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm
from tui.ui.widgets.file_pane import FilePane

Result = TypeVar("Result")

_PATIENCE = 2.0
"""Seconds after which reading or saving a file shows its progress."""

_KEEP_MINE = Choice("m", "mine", "keep mine: overwrite theirs")
_KEEP_THEIRS = Choice("t", "theirs", "keep theirs: discard my edits")
_SEE = Choice("d", "diff", "see the difference")


class SaveFlow:
    """Saves the text of the editor, or text edited in $EDITOR. Blocking calls run in threads.

    ``shown_again`` is called when the pane shows the file again as it is on disk.
    """

    def __init__(self, surface: Surface, layer: OpenLayer, pane: FilePane, shown_again: Callable[[], None]) -> None:
        self.last_result: SaveResult | None = None
        self._surface = surface
        self._layer = layer
        self._pane = pane
        self._shown_again = shown_again

    async def open(self, path: bytes) -> OpenedFile:
        """Read a file to edit it; raises Stopped if the user leaves a file that is not answering."""
        return await self._call(path, lambda: self._layer.files.open(path))

    async def save_text(self) -> bool:
        """Save the text of the editor; return whether it is on disk now."""
        opened = self._layer.opened
        if opened is None or self._layer.details is None:
            return False
        if not self._pane.modified:
            self._surface.tell("nothing to save: the text is unchanged")
            return True
        try:
            data = opened.document.with_text(self._pane.area.text)
        except DtuiError as error:
            self._surface.tell_error(error)
            return False
        return await self.save(opened, data)

    async def save(self, opened: OpenedFile, data: bytes) -> bool:
        """Show the difference, ask, and write; return whether the data is on disk now."""
        held = self._layer.held
        if held.is_removed:
            next_step = "; esc lets you keep your text" if self._pane.modified else ": esc goes back"
            self._surface.tell(f"{held.record.name} was removed: nothing can be saved into it{next_step}", "bad")
            return False
        try:
            plan, stops = await self._plan(opened.path)
        except DtuiError as error:
            self._surface.tell_error(error)
            return False
        body = Text.assemble((printable(plan.sentence), "italic"), "\n")
        for warning in plan.warnings:
            body.append(f"! {printable(warning)}\n", style="yellow")
        body.append_text(Text.assemble("\n", diff_text(diff_lines(opened.document.data, data))))
        choices = [stop_first("save") if stops else confirm("save", answer="save")]
        if plan.choice:
            choices.append(Choice("i", "in place", "in place, keeping the inode"))
        question = f"Save {printable(opened.path)}?"
        if stops:
            question = f"{printable(held.record.name)} keeps restarting. Stop it to save {printable(opened.path)}?"
        answer = await self._surface.choose(ChooseDialog(question, tuple(choices), body))
        if answer is None:
            self._surface.tell("not saved")
            return False
        return await self._write(opened, data, in_place=answer == "in place", stops=stops)

    async def _plan(self, path: bytes) -> tuple[SavePlan, bool]:
        """Return what a save would do, and whether the container, which keeps restarting, must be stopped for it."""
        try:
            return await self._call(path, lambda: self._layer.files.plan(path)), False
        except DtuiError as error:
            if not await self._must_be_stopped(error):
                raise
        plan = await self._call(path, lambda: self._plan_while_stopped(path))
        return replace(plan, sentence=f"{stopped_first_words(self._layer.open_details)}; {plan.sentence}"), True

    async def _must_be_stopped(self, error: DtuiError) -> bool:
        details, endpoint = self._layer.open_details, self._layer.endpoint
        return await self._surface.call(
            "Looking at the container", lambda: must_be_stopped(endpoint, details, error), _PATIENCE
        )

    def _plan_while_stopped(self, path: bytes) -> SavePlan:
        endpoint = self._layer.endpoint
        return plan_while_stopped(endpoint, endpoint.inspect(self._layer.held.record.id), path)

    async def _write(self, opened: OpenedFile, data: bytes, *, in_place: bool, stops: bool) -> bool:
        """Write, and ask what to do if the file was changed meanwhile; return whether the data was written."""
        force = False
        while True:
            self._surface.tell("stopping it, saving, starting it again…" if stops else "saving…")
            try:
                result = await self._call(opened.path, partial(self._write_now, opened, data, force, in_place, stops))
            except NotStarted as error:
                await self._note_saved(opened, data)
                self._surface.tell_error(error)
                return True
            except (ContainerEnded, ContainerGone, LayerInUse) as error:
                if stops or not await self._must_be_stopped(error):
                    self._surface.tell_error(error)
                    return False
                if not await ask_to_stop(self._surface, self._layer.open_details, "save"):
                    self._surface.tell("not saved")
                    return False
                stops = True
            except ChangedMeanwhile as error:
                answer = await self._ask_in_conflict(opened, data, error)
                if answer == "theirs" and await self._show_again(opened.path):
                    self._surface.tell("not saved: the file now shows their version")
                elif answer is None:
                    self._surface.tell("not saved: the file was changed meanwhile, your text is still here")
                if answer != "mine":
                    return False
                force = True
            except DtuiError as error:
                self._surface.tell_error(error)
                return False
            else:
                await self._note_saved(opened, data)
                self.last_result = result
                self.tell_saved(result)
                return True

    async def _note_saved(self, opened: OpenedFile, data: bytes) -> None:
        """Show the file as it was saved, and open the layer again."""
        self._settle_taken_text(opened, data)
        await self._show_again(opened.path)
        self._layer.open()

    def _write_now(self, opened: OpenedFile, data: bytes, force: bool, in_place: bool, stops: bool) -> SaveResult:
        def save(files: ContainerFiles) -> SaveResult:
            version = None if force else opened.stamp
            return files.save(opened.path, data, version, SaveOptions(in_place=in_place))

        if not stops:
            return save(self._layer.files)
        endpoint = self._layer.endpoint
        return change_while_stopped(endpoint, endpoint.inspect(self._layer.held.record.id), save, lambda: None)

    async def _ask_in_conflict(self, opened: OpenedFile, edited: bytes, error: ChangedMeanwhile) -> str | None:
        body = Text(printable(str(error)))
        while True:
            question = f"{printable(opened.path)} was changed by somebody else."
            answer = await self._surface.choose(ChooseDialog(question, (_KEEP_MINE, _KEEP_THEIRS, _SEE), body))
            if answer != "diff":
                return answer
            try:
                current = await self.open(opened.path)
                body = Text.assemble(
                    "theirs (-) and mine (+)\n\n", diff_text(diff_lines(current.document.data, edited))
                )
            except DtuiError as gone:
                body = Text(printable(str(gone)))

    async def _show_again(self, path: bytes) -> bool:
        """Show the file as it is on disk now; return whether it could be read."""
        try:
            opened = self._layer.opened = await self.open(path)
        except DtuiError as error:
            self._surface.tell_error(error)
            return False
        pane = self._pane
        location, editing = pane.area.cursor_location, pane.editing
        pane.show_document(opened.document, pane.area.language)
        if editing and not opened.document.read_only_reason:
            pane.begin_edit()
        pane.area.move_cursor(location)
        self._shown_again()
        return True

    def tell_saved(self, result: SaveResult) -> None:
        """Report what was saved, and which key starts the container with it."""
        notes = "".join(f" · {note}" for note in result.notes)
        verb = "restarts" if self._layer.held.record.state.alive else "starts"
        key = "^r" if self._pane.editing else "s"
        self._surface.tell(
            f"saved {result.bytes_written:,} B{notes} · {key} {verb} the container and shows its log", "good"
        )

    def _settle_taken_text(self, opened: OpenedFile, data: bytes) -> None:
        """Stop offering a kept text whose file was saved; delete it only if it equals what was saved."""
        taken, self._layer.taken_text = self._layer.taken_text, None
        if taken is None or taken[1] != opened.path:
            return
        self._surface.run_worker(partial(_drop_kept, taken[0], data), thread=True, group="kept")

    async def _call(self, path: bytes, work: Callable[[], Result]) -> Result:
        return await self._surface.call(printable(path), work, _PATIENCE)


def _drop_kept(keepsake: Keepsake, saved: bytes) -> None:
    """Stop offering a kept text; delete it if it equals what was saved."""
    with suppress(OSError, EditRefused):  # the text is then offered again
        if keepsake.read() == saved:
            keepsake.throw_away()
        else:
            keepsake.drop_note()
