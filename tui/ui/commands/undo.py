"""Undoes the last change of a container."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from tui.core.errors import ChangedMeanwhile, DtuiError, StateDiskFull
from tui.core.text import printable
from tui.files import (
    BackupMode,
    ChangeResult,
    ContainerEnded,
    ContainerFiles,
    ContainerGone,
    LayerInUse,
    Step,
    UndoKind,
    UndoRecord,
    is_plain_rename,
    last_to_undo,
)
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.commands.change_flow import ChangeFlow
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm

_PATIENCE = 1.0
"""Seconds after which reading the record of the last change shows that it takes long."""


class UndoCommand(Commands):
    """Undoes the last change of the container; asks again if somebody else changed the same since."""

    def __init__(self, surface: Surface, layer: OpenLayer, changes: ChangeFlow) -> None:
        super().__init__(surface)
        self._layer = layer
        self._changes = changes

    def disabled_reason(self, action: str) -> str:
        is_closed = action == "undo_act" and self._layer.details is None
        return "the layer is not open: f5 tries to open it" if is_closed else ""

    @flow
    async def action_undo_act(self) -> None:
        """Ask, then undo the last change of this container."""
        try:
            container = self._layer.open_details.container.id
            act = await self.surface.call("Looking for the last change", lambda: last_to_undo(container), _PATIENCE)
        except DtuiError as error:
            self.surface.tell_error(error)
            return
        question = f"Undo the {_act_words(act)}?"
        if await self.surface.choose(ChooseDialog(question, (confirm("undo it"),))) != "yes":
            return
        try:
            await self._undo(act, force=False)
        except (ContainerEnded, ContainerGone, LayerInUse) as error:
            self.surface.tell_error(error)
        except ChangedMeanwhile as error:
            await self._undo_by_force(act, error)
        except DtuiError as error:
            self.surface.tell_error(error)

    async def _undo(self, act: UndoRecord, *, force: bool) -> None:
        """Undo an act; if there is no room to back up the current contents, ask whether to go on without."""
        title = f"Undoing the {_act_words(act)}"

        def undo(files: ContainerFiles, step: Step, keep: BackupMode) -> ChangeResult:
            return files.undo(act, force=force, keep=keep, step=step)

        try:
            await self._changes.perform(title, undo, "is as it was", go_to=True)
        except StateDiskFull as error:
            body = Text(f"{error.message}. Without a copy of the current contents, the undo itself cannot be undone.")
            choice = Choice("p", "without", "undo without a copy")
            if await self.surface.choose(ChooseDialog(f"{title}: no room for a copy", (choice,), body)) == "without":
                await self._changes.perform(
                    title, lambda files, step, _: undo(files, step, BackupMode.NOTHING), "is as it was", go_to=True
                )

    async def _undo_by_force(self, act: UndoRecord, refused: ChangedMeanwhile) -> None:
        """Ask whether to undo over what somebody else changed since; a plain rename cannot be forced."""
        if is_plain_rename(act):
            self.surface.tell_error(refused)
            return
        body = Text("The current contents are kept on this host first.", style="italic")
        question = f"{refused.message}. Undo anyway?"
        choice = Choice("f", "force", "undo anyway")  # not y, which has just been pressed
        if await self.surface.choose(ChooseDialog(question, (choice,), body)) != "force":
            return
        try:
            await self._undo(act, force=True)
        except DtuiError as error:
            self.surface.tell_error(error)


_NOUNS = {
    UndoKind.WRITE: "edit",
    UndoKind.CREATE: "creation",
    UndoKind.REMOVE: "deletion",
    UndoKind.RENAME: "rename",
    UndoKind.MKDIR: "creation of the directory",
    UndoKind.CHMOD: "change of mode",
    UndoKind.CHOWN: "change of owner",
    UndoKind.COPY: "copy",
}


def _act_words(act: UndoRecord) -> str:
    """Describe an act with its time on this host, such as "edit of /app/app.conf at 12:07:31"."""
    noun = _NOUNS.get(act.kind, act.kind.value)
    target = f"{printable(act.path)} to {printable(act.new_path)}" if act.new_path else printable(act.path)
    link = " " if act.kind is UndoKind.MKDIR else " to " if act.kind is UndoKind.COPY else " of "
    done = act.time.astimezone()
    day = "" if done.date() == datetime.now().astimezone().date() else f"{done:%Y-%m-%d} "
    return f"{noun}{link}{target} at {day}{done:%H:%M:%S}"
