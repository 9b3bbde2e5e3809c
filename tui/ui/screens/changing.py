"""What can be done to the entry under the cursor: delete, rename, new, mode, owner, copy, revert; and undo."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rich.text import Text

from tui.core.errors import AlreadyThere, ChangedMeanwhile, DtuiError, NoRoom
from tui.core.progress import Meter
from tui.core.records import Change, Entry, EntryKind
from tui.core.text import count_of, human_size, mode_text, printable
from tui.files import (
    BackupMode,
    ChangeResult,
    ContainerEnded,
    ContainerGone,
    Inspect,
    NodeChange,
    SaveOptions,
    Step,
    TooLarge,
    UndoKind,
    UndoRecord,
    change_metadata,
    copy_in,
    copy_out,
    id_named,
    ids_of,
    is_plain_rename,
    last_to_undo,
    make_directory,
    mode_change,
    owner_change,
    reading,
    remove,
    revert,
)
from tui.files import rename as rename_entry
from tui.layers.owners import owner_of
from tui.linux.rooted_paths import normalized, read_limited, split
from tui.render.entries import owner_text
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm
from tui.ui.dialogs.working import ProgressDialog
from tui.ui.screens.base import flow
from tui.ui.screens.saving import SavingFrame
from tui.ui.waiting import run_with_progress

Carried = Callable[[Step, BackupMode], ChangeResult]

_PATIENCE = 0.3
"""Seconds after which an act shows its progress."""

ON_ENTRY = ("delete_entry", "rename_entry", "mode_entry", "owner_entry", "copy_out", "revert_entry")
ON_CONTAINER = ("new_entry", "copy_in", "undo_act")
_TABLE = 1 << 20


class ChangingFrame(SavingFrame):
    """A screen with a tree in hand. Each act runs in a thread that its flow waits for."""

    def why_not_act(self, action: str) -> str:
        """Say why an act cannot be done to the entry under the cursor now; empty when it can."""
        if self.details is None:
            return "the layer is not open: f5 tries to open it"
        if not self.details.reach.kind.readable and action != "undo_act":
            return f"only the Engine reaches the files: it edits them, no more ({self.details.reach.reason})"
        entry = self.tree_entry
        if action in ON_CONTAINER:
            return ""
        if entry is None:
            return "nothing is selected"
        if action == "revert_entry":
            return "" if entry.change else f"{printable(entry.name)} is as the image has it"
        return "it is deleted; u brings the image's back" if entry.change is Change.DELETED else ""

    def go_to(self, path: bytes) -> None:
        """Put the cursor on a path when the layer is shown afresh."""
        raise NotImplementedError

    async def _perform_or_tell(self, title: str, act: Carried, done: str) -> None:
        """Carry an act out and tell how it ended, also when it was refused."""
        try:
            await self._perform(title, act, done)
        except DtuiError as error:
            self.tell_error(error)

    async def _perform(self, title: str, act: Carried, done: str, *, go_to: bool = False) -> None:
        """Run an act, after a question where it replaces more than is kept; tell how it ended."""
        try:
            outcome = await self._run(title, act, BackupMode.USUAL, go_to=go_to)
        except TooLarge as refused:
            keep = await self._ask_backup_mode(title, refused)
            if keep is None:
                return
            outcome = await self._run(title, act, keep, go_to=go_to)
        count_text = f" · {count_of(outcome.count, 'entry', 'entries')}" if outcome.count != 1 else ""
        notes = "".join(f" · {note}" for note in outcome.notes)
        back = " · z undoes this" if outcome.act and outcome.act.kind is not UndoKind.UNDO else ""
        self.tell(f"{printable(outcome.path)} {done}{count_text}{back}{notes}", "good")

    async def _run(self, title: str, act: Carried, keep: BackupMode, *, go_to: bool) -> ChangeResult:
        """Run an act, with its progress when it takes long, and show the layer afresh."""
        meter = Meter()

        def watched() -> ChangeResult:
            with meter.watching():
                return act(meter.step, keep)

        try:
            outcome = await run_with_progress(self.app, ProgressDialog(title, meter), watched, _PATIENCE)
            if go_to:
                self.go_to(outcome.path)
            return outcome
        finally:
            self.file_changed()

    async def _ask_backup_mode(self, title: str, refused: TooLarge) -> BackupMode | None:
        """Ask what is to become of what an act would replace beyond what is kept."""
        choices = refused.choices
        size = human_size(choices.size)
        offers = (
            (
                Choice("k", BackupMode.COPY, "keep a copy"),
                f"copies {size} to this host; {human_size(choices.room)} are free",
            ),
            (Choice("a", BackupMode.ASIDE, "set aside"), "moves it out of the layer by a rename, without a copy"),
            (Choice("p", BackupMode.NOTHING, "permanently"), "keeps nothing: this cannot be undone"),
        )
        reasons = (choices.copy, choices.aside, choices.nothing)
        body = Text(f"{refused.message[0].upper()}{refused.message[1:]}. Nothing was changed yet.\n")
        for (choice, description), reason in zip(offers, reasons, strict=True):
            explanation = f"  not possible: {reason}" if reason else f"  {description}"
            body.append_text(Text.assemble("\n", (choice.text, "bold"), explanation))
        possible = tuple(choice for (choice, _), reason in zip(offers, reasons, strict=True) if not reason)
        answer = await self.app.push_screen_wait(
            ChooseDialog(f"{title}: what becomes of the old contents?", possible, body)
        )
        return BackupMode(answer) if answer else None

    @property
    def _inspect(self) -> Inspect:
        return self.host.endpoint(self.open_details.container.endpoint).inspect

    def _current_directory(self) -> bytes:
        """Return the directory that the cursor is in or on."""
        entry = self.tree_entry
        if entry is None:
            return b"/"
        is_deleted = entry.change is Change.DELETED
        return entry.path if entry.kind is EntryKind.DIRECTORY and not is_deleted else split(entry.path)[0]

    # acts on the entry ---------------------------------------------------------------------------------------

    @flow
    async def action_delete_entry(self) -> None:
        """Delete the entry, after a question."""
        entry = self.tree_entry
        if entry is None:
            return
        folder = entry.kind is EntryKind.DIRECTORY
        contents_note = " and all below it" if folder else ""
        body = Text("It is kept on this host first: z undoes this.", style="italic")
        question = f"Delete {printable(entry.path)}{contents_note}?"
        if await self.app.push_screen_wait(ChooseDialog(question, (confirm("delete it"),), body)) != "yes":
            return
        container, inspect = self.open_details.container.id, self._inspect
        await self._perform_or_tell(
            f"Deleting {printable(entry.path)}",
            lambda step, keep: remove(container, entry.path, inspect=inspect, recursive=folder, keep=keep, step=step),
            "deleted",
        )

    @flow
    async def action_rename_entry(self) -> None:
        """Ask for the new name and rename the entry."""
        entry = self.tree_entry
        if entry is None:
            return
        container, inspect = self.open_details.container.id, self._inspect

        async def rename(answer: str) -> None:
            new = os.fsencode(answer)
            if new == entry.name:
                return
            goal = new if new.startswith(b"/") else split(entry.path)[0] + b"/" + new
            await self._perform(
                f"Renaming {printable(entry.path)}",
                lambda step, keep: rename_entry(container, entry.path, goal, inspect=inspect, keep=keep, step=step),
                "is its new name",
                go_to=True,
            )

        await self.ask(f"Rename {printable(entry.path)} to", rename, value=_editable_name(entry.name))

    @flow
    async def action_new_entry(self) -> None:
        """Ask for a name and make an empty file, or a directory when it ends in a slash."""
        parent = self._current_directory()

        async def make(answer: str) -> None:
            path = normalized(os.fsencode(answer) if answer.startswith("/") else parent + b"/" + os.fsencode(answer))
            await self._make(path, directory=answer.endswith("/"))

        placeholder = "name of a file, or of a directory with / at its end"
        await self.ask(f"New in {printable(parent)}", make, placeholder=placeholder)

    async def _make(self, path: bytes, *, directory: bool) -> None:
        container, inspect, files = self.open_details.container.id, self._inspect, self.files

        def create(step: Step, keep: BackupMode) -> ChangeResult:
            del step, keep
            if directory:
                return make_directory(container, path, inspect=inspect)
            receipt = files.save(path, b"", None, SaveOptions(create=True, only_new=True))
            return ChangeResult(receipt.path, 1, None, receipt.notes)

        done = "made" if directory else "made · z undoes this · e edits it"
        await self._perform(f"Making {printable(path)}", create, done, go_to=True)

    @flow
    async def action_mode_entry(self) -> None:
        """Ask for permission bits and set them."""
        entry = self.tree_entry
        if entry is None:
            return
        question = f"Mode of {printable(entry.path)}: {mode_text(entry.mode)}"

        async def change(answer: str) -> None:
            await self._metadata(entry, UndoKind.CHMOD, lambda: mode_change(answer), "has its new mode")

        await self.ask(question, change, value=f"{entry.mode:04o}", placeholder="0644 or u+x")

    @flow
    async def action_owner_entry(self) -> None:
        """Ask for owner and group and set them."""
        entry = self.tree_entry
        if entry is None:
            return

        async def change(answer: str) -> None:
            await self._metadata(
                entry,
                UndoKind.CHOWN,
                lambda: owner_change(
                    answer,
                    lambda name: id_named(name, self._table(b"/etc/passwd", name), "user"),
                    lambda name: id_named(name, self._table(b"/etc/group", name), "group"),
                    ids_of(self.open_details),
                ),
                "has its new owner",
            )

        stack = self.open_details.shown_stack
        # nobody stands for whom the container does not know: that is no owner to give by enter alone
        current_owner = "" if None in owner_of(entry, stack) else owner_text(entry, stack)
        question = f"Owner of {printable(entry.path)}"
        await self.ask(question, change, value=current_owner, placeholder="user:group")

    def _table(self, path: bytes, name: str) -> bytes:
        """Read the container's table of names; where there is none it knows no names."""
        if name.isdigit():
            return b""
        try:
            with reading(self.open_details, path) as fd:
                return read_limited(fd, path, _TABLE)
        except DtuiError:
            return b""

    async def _metadata(self, entry: Entry, kind: UndoKind, change: Callable[[], NodeChange], done: str) -> None:
        recursive = False
        if entry.kind is EntryKind.DIRECTORY:
            choices = (Choice("o", "one", "only the directory"), Choice("a", "all", "all below it too"))
            answer = await self.app.push_screen_wait(ChooseDialog(f"{printable(entry.path)} is a directory.", choices))
            if answer is None:
                return
            recursive = answer == "all"
        container, inspect = self.open_details.container.id, self._inspect
        await self._perform(
            f"Changing {printable(entry.path)}",
            lambda step, _: change_metadata(
                container, entry.path, change(), kind, inspect=inspect, recursive=recursive, step=step
            ),
            done,
        )

    @flow
    async def action_revert_entry(self) -> None:
        """Bring the entry back to what the image has, after a question."""
        entry = self.tree_entry
        if entry is None:
            return
        effects = {
            Change.ADDED: "It is not in the image, so it goes.",
            Change.DELETED: "The image's version comes back.",
        }
        effect = effects.get(entry.change or Change.MODIFIED, "The image's version replaces it.")
        if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
            effect = "All that the container changed in it goes back to the image."
        body = Text(f"{effect} z undoes this.", style="italic")
        question = f"Revert {printable(entry.path)} to the image?"
        if await self.app.push_screen_wait(ChooseDialog(question, (confirm("revert it"),), body)) != "yes":
            return
        container, inspect = self.open_details.container.id, self._inspect
        await self._perform_or_tell(
            f"Reverting {printable(entry.path)}",
            lambda step, keep: revert(container, entry.path, inspect=inspect, keep=keep, step=step),
            "is as the image has it",
        )

    # copying -------------------------------------------------------------------------------------------------

    @flow
    async def action_copy_out(self) -> None:
        """Ask where to on this host and copy the entry there."""
        entry = self.tree_entry
        if entry is None:
            return
        details = self.open_details

        async def copy_to(answer: str) -> None:
            target = _on_host(answer)

            def copy(step: Step, keep: BackupMode) -> ChangeResult:
                del keep
                where, count, notes = copy_out(details, entry.path, target, step=step)
                return ChangeResult(entry.path, count, None, (f"now {where} on this host", *notes))

            await self._perform(f"Copying {printable(entry.path)}", copy, "copied out")

        await self.ask(
            f"Copy {printable(entry.path)} to this host, as", copy_to, value=f"./{_editable_name(entry.name)}"
        )

    @flow
    async def action_copy_in(self) -> None:
        """Ask for a file or directory of this host and copy it to where the cursor is."""
        parent = self._current_directory()
        container, inspect = self.open_details.container.id, self._inspect

        async def copy_from(answer: str) -> None:
            source = _on_host(answer)

            async def copy(*, over: bool) -> None:
                await self._perform(
                    f"Copying {printable(answer)}",
                    lambda step, keep: copy_in(
                        container, source, parent, inspect=inspect, keep=keep, step=step, over=over
                    ),
                    "copied in",
                    go_to=True,
                )

            try:
                await copy(over=False)
            except AlreadyThere as there:
                body = Text("What is there is kept on this host first: z undoes this.", style="italic")
                question = f"{there.message}. Replace it?"
                if await self.app.push_screen_wait(ChooseDialog(question, (confirm("replace it"),), body)) == "yes":
                    await copy(over=True)

        question = f"Copy into {printable(parent)} from this host"
        await self.ask(question, copy_from, placeholder="a file or directory of this host")

    # undo ----------------------------------------------------------------------------------------------------

    @flow
    async def action_undo_act(self) -> None:
        """Take the last act on this container back, after a question."""
        try:
            act = await asyncio.to_thread(last_to_undo, self.open_details.container.id)
        except DtuiError as error:
            self.tell_error(error)
            return
        question = f"Undo the {_act_words(act)}?"
        if await self.app.push_screen_wait(ChooseDialog(question, (confirm("undo it"),))) != "yes":
            return
        try:
            await self._take_back(act, force=False)
        except (ContainerEnded, ContainerGone) as error:
            self.tell_error(error)
        except ChangedMeanwhile as error:
            await self._take_back_by_force(act, error)
        except DtuiError as error:
            self.tell_error(error)

    async def _take_back(self, act: UndoRecord, *, force: bool) -> None:
        """Undo an act; where there is no room to keep what stands there now, ask whether it goes without."""
        files = self.files
        title = f"Undoing the {_act_words(act)}"

        def take_back(step: Step, keep: BackupMode) -> ChangeResult:
            return files.undo(act, force=force, keep=keep, step=step)

        try:
            await self._perform(title, take_back, "is as it was", go_to=True)
        except NoRoom as error:
            body = Text(f"{error.message}. Without a copy of what stands there now the undo cannot be undone.")
            choice = Choice("p", "without", "undo without a copy")
            if (
                await self.app.push_screen_wait(ChooseDialog(f"{title}: no room for a copy", (choice,), body))
                == "without"
            ):
                await self._perform(
                    title, lambda step, _: take_back(step, BackupMode.NOTHING), "is as it was", go_to=True
                )

    async def _take_back_by_force(self, act: UndoRecord, refused: ChangedMeanwhile) -> None:
        """Ask whether what somebody else changed since goes too; a name that is taken is nothing to be forced."""
        if is_plain_rename(act):
            self.tell_error(refused)
            return
        body = Text("What stands there now is kept on this host first.", style="italic")
        question = f"{refused.message}. Undo it all the same?"
        choice = Choice("f", "force", "undo it all the same")  # not y, which has just been pressed
        if await self.app.push_screen_wait(ChooseDialog(question, (choice,), body)) != "force":
            return
        try:
            await self._take_back(act, force=True)
        except DtuiError as error:
            self.tell_error(error)


def _on_host(text: str) -> Path:
    """Return what was typed as a path of this host, ``~`` being this user's home."""
    return Path(text).expanduser()


def _editable_name(name: bytes) -> str:
    """Return a name as a line can hold it; one that no terminal can type starts empty."""
    text = os.fsdecode(name)
    return text if printable(text) == text else ""


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
    """Say what was done, to what and when, in this host's time: "edit of /app/app.conf at 12:07:31"."""
    noun = _NOUNS.get(act.kind, act.kind.value)
    target = f"{printable(act.path)} to {printable(act.new_path)}" if act.new_path else printable(act.path)
    link = " " if act.kind is UndoKind.MKDIR else " to " if act.kind is UndoKind.COPY else " of "
    done = act.time.astimezone()
    day = "" if done.date() == datetime.now().astimezone().date() else f"{done:%Y-%m-%d} "
    return f"{noun}{link}{target} at {day}{done:%H:%M:%S}"
