"""Edits files in $EDITOR and saves the result like any other edit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from textual.app import SuspendNotSupported

from tui.core.errors import DtuiError
from tui.core.records import Entry
from tui.core.text import printable
from tui.files import OpenedFile
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.commands.edit_and_save import EditAndSave
from tui.ui.commands.kept_texts import KeptTexts
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.outside import Origin, StillOpen, WorkLeft, edit_outside
from tui.ui.widgets.file_pane import FilePane

Result = TypeVar("Result")

_PATIENCE = 2.0
"""Seconds after which work on the copies shows that it takes long."""


class ExternalEditor(Commands):
    """Runs $EDITOR on the selected file or on the current text of the app's editor."""

    def __init__(
        self,
        surface: Surface,
        layer: OpenLayer,
        pane: FilePane,
        selected: Callable[[], Entry | None],
        editing: EditAndSave,
        kept: KeptTexts,
    ) -> None:
        super().__init__(surface)
        self._layer = layer
        self._pane = pane
        self._selected = selected
        self._editing = editing
        self._kept = kept

    @flow
    async def action_external(self) -> None:
        """Edit the selected file in $EDITOR, unless a kept text of it is edited in the app."""
        entry = self._selected()
        if entry is None or self._layer.details is None:
            return
        try:
            opened = self._layer.opened = await self._editing.saving.open(entry.path)
        except DtuiError as error:
            self.surface.tell_error(error)
            return
        if not await self._kept.take_one(opened):
            await self.edit(opened, opened.document.data)

    @flow
    async def action_editor_external(self) -> None:
        """Edit the current text in $EDITOR."""
        opened = self._layer.opened
        if opened is None:
            return
        try:
            data = opened.document.with_text(self._pane.area.text)
        except DtuiError as error:
            self.surface.tell_error(error)
            return
        await self.edit(opened, data)

    async def edit(self, opened: OpenedFile, data: bytes) -> None:
        """Suspend the app, run $EDITOR on a text of a file, and save the result.

        If an editor that is still open has saved the file since, take that result instead.
        """
        host, container = self.surface.host, self._layer.held.record
        copies, subject = host.open_copies, f"{container.name}:{printable(opened.path)}"
        origin = Origin(container.name, container.id, opened.document.data)
        try:
            edited = await self._call(partial(copies.take_saved, subject))
            if edited is None:
                with host.suspend():
                    left = edit_outside(data, opened.path, origin)
                edited = left.data
                if left.still is not None:
                    await self._follow(subject, left.still)
                if left.note:
                    host.notify(printable(left.note), title="editor", severity="warning", timeout=15, markup=False)
        except StillOpen as still:
            await self._follow(subject, still)
            if still.at_once:
                self.surface.tell_error(still)
            else:
                self.surface.tell("nothing changed in the editor")
        except WorkLeft as work:
            host.ending.note_editor_work(container.name, opened.path, work.work_path)
            self.surface.tell_error(work)
        except DtuiError as error:
            self.surface.tell_error(error)
        except SuspendNotSupported:
            self.surface.tell("$EDITOR needs a terminal of its own, which this one cannot give", "bad")
        else:
            await self._editing.take_edited(opened, data, edited)

    async def _follow(self, subject: str, still: StillOpen) -> None:
        try:
            await self._call(partial(self.surface.host.open_copies.follow, subject, still))
        except DtuiError as error:
            self.surface.tell_error(error)

    async def _call(self, work: Callable[[], Result]) -> Result:
        """Read or remove copies in a thread; raises Stopped if the user leaves a directory that does not answer."""
        return await self.surface.call("Looking at the copies for $EDITOR", work, _PATIENCE)
