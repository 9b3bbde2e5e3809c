"""Actions on the entry under the cursor: delete, rename, new, mode, owner, copy, revert."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from tui.core.errors import AlreadyThere
from tui.core.lifecycle import change_notes
from tui.core.records import Change, Entry, EntryKind
from tui.core.text import mode_text, printable
from tui.files import BackupMode, ChangeResult, ContainerFiles, SaveOptions, Step
from tui.layers.owners import owner_of
from tui.linux.rooted_paths import normalized, split
from tui.render.entries import owner_text
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.commands.change_flow import ChangeFlow
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm

ON_ENTRY = ("delete_entry", "rename_entry", "mode_entry", "owner_entry", "copy_out", "revert_entry")
"""The actions that need an entry under the cursor."""

ON_CONTAINER = ("new_entry", "copy_in")


class EntryCommands(Commands):
    """Changes the entry that ``selected`` returns, which is the one under the cursor."""

    def __init__(
        self,
        surface: Surface,
        layer: OpenLayer,
        selected: Callable[[], Entry | None],
        changes: ChangeFlow,
    ) -> None:
        super().__init__(surface)
        self._layer = layer
        self._selected = selected
        self._changes = changes

    def disabled_reason(self, action: str) -> str:
        if action not in (*ON_ENTRY, *ON_CONTAINER):
            return ""
        details = self._layer.details
        if details is None:
            return "the layer is not open: f5 tries again"
        if not details.access.kind.readable:
            return f"only the Engine reaches the files: it edits them, no more ({details.access.reason})"
        entry = self._selected()
        if action in ON_CONTAINER:
            return ""
        if entry is None:
            return "nothing is selected"
        if action == "revert_entry":
            return "" if entry.change else f"{printable(entry.name)} is as the image has it"
        return "it is deleted; u brings the image's back" if entry.change is Change.DELETED else ""

    def _current_directory(self) -> bytes:
        """Return the directory under the cursor, or the one that contains the entry; ``/`` without an entry."""
        entry = self._selected()
        if entry is None:
            return b"/"
        is_deleted = entry.change is Change.DELETED
        return entry.path if entry.kind is EntryKind.DIRECTORY and not is_deleted else split(entry.path)[0]

    def _with_warnings(self, body: Text) -> Text:
        """Add to a question what will drop the change sooner or later, such as ``--rm`` or a Swarm service."""
        details = self._layer.open_details
        container = details.container
        for note in change_notes(details.lifecycle, container.name, container.command_line):
            body.append(f"\n! {note}", style="not italic yellow")
        return body

    # actions on the entry ------------------------------------------------------------------------------------

    @flow
    async def action_delete_entry(self) -> None:
        """Ask, then delete the entry."""
        entry = self._selected()
        if entry is None:
            return
        folder = entry.kind is EntryKind.DIRECTORY
        contents_note = " and all below it" if folder else ""
        body = self._with_warnings(Text("It is kept on this host first: z undoes this.", style="italic"))
        question = f"Delete {printable(entry.path)}{contents_note}?"
        if await self.surface.choose(ChooseDialog(question, (confirm("delete it"),), body)) != "yes":
            return
        await self._changes.perform_or_tell(
            f"Deleting {printable(entry.path)}",
            lambda files, step, keep: files.remove(entry.path, recursive=folder, keep=keep, step=step),
            "deleted",
        )

    @flow
    async def action_rename_entry(self) -> None:
        """Ask for the new name and rename the entry."""
        entry = self._selected()
        if entry is None:
            return

        async def rename(answer: str) -> None:
            new = os.fsencode(answer)
            if new == entry.name:
                return
            goal = new if new.startswith(b"/") else split(entry.path)[0] + b"/" + new
            await self._changes.perform(
                f"Renaming {printable(entry.path)}",
                lambda files, step, keep: files.rename(entry.path, goal, keep=keep, step=step),
                "is its new name",
                go_to=True,
            )

        await self.surface.ask(
            f"Rename {printable(entry.path)} to", rename, verb="rename", value=_editable_name(entry.name)
        )

    @flow
    async def action_new_entry(self) -> None:
        """Ask for a name and create an empty file, or a directory if the name ends with a slash."""
        parent = self._current_directory()

        async def make(answer: str) -> None:
            path = normalized(os.fsencode(answer) if answer.startswith("/") else parent + b"/" + os.fsencode(answer))
            await self._make(path, directory=answer.endswith("/"))

        placeholder = "name of a file, or of a directory with / at its end"
        await self.surface.ask(f"New in {printable(parent)}", make, verb="create", placeholder=placeholder)

    async def _make(self, path: bytes, *, directory: bool) -> None:
        def create(files: ContainerFiles, step: Step, keep: BackupMode) -> ChangeResult:
            del step, keep
            if directory:
                return files.mkdir(path)
            result = files.save(path, b"", None, SaveOptions(create=True, only_new=True))
            return ChangeResult(result.path, 1, None, result.notes)

        done = "made" if directory else "made · z undoes this · e edits it"
        await self._changes.perform(f"Making {printable(path)}", create, done, go_to=True)

    @flow
    async def action_mode_entry(self) -> None:
        """Ask for permission bits and set them."""
        entry = self._selected()
        if entry is None:
            return
        question = f"Mode of {printable(entry.path)}: {mode_text(entry.mode)}"

        async def change(answer: str) -> None:
            recursive = await self._ask_how_deep(entry)
            if recursive is not None:
                await self._changes.perform(
                    f"Changing {printable(entry.path)}",
                    lambda files, step, _: files.chmod(entry.path, answer, recursive=recursive, step=step),
                    "has its new mode",
                )

        await self.surface.ask(question, change, verb="change it", value=f"{entry.mode:04o}", placeholder="0644 or u+x")

    @flow
    async def action_owner_entry(self) -> None:
        """Ask for owner and group and set them."""
        entry = self._selected()
        if entry is None:
            return

        async def change(answer: str) -> None:
            recursive = await self._ask_how_deep(entry)
            if recursive is not None:
                await self._changes.perform(
                    f"Changing {printable(entry.path)}",
                    lambda files, step, _: files.chown(entry.path, answer, recursive=recursive, step=step),
                    "has its new owner",
                )

        stack = self._layer.open_details.shown_stack
        # an owner unknown to the container is shown as nobody, which Enter alone must not set
        current_owner = "" if None in owner_of(entry, stack) else owner_text(entry, stack)
        question = f"Owner of {printable(entry.path)}"
        await self.surface.ask(question, change, verb="change it", value=current_owner, placeholder="user:group")

    async def _ask_how_deep(self, entry: Entry) -> bool | None:
        """Ask whether to change everything below a directory too; return None if cancelled."""
        if entry.kind is not EntryKind.DIRECTORY:
            return False
        choices = (Choice("o", "one", "only the directory"), Choice("a", "all", "all below it too"))
        answer = await self.surface.choose(ChooseDialog(f"{printable(entry.path)} is a directory.", choices))
        return None if answer is None else answer == "all"

    @flow
    async def action_revert_entry(self) -> None:
        """Ask, then revert the entry to the image's version."""
        entry = self._selected()
        if entry is None:
            return
        effects = {
            Change.ADDED: "It is not in the image, so it is deleted.",
            Change.DELETED: "The image's version comes back.",
        }
        effect = effects.get(entry.change or Change.MODIFIED, "The image's version replaces it.")
        if entry.kind is EntryKind.DIRECTORY and entry.change is not Change.DELETED:
            effect = "All its changes are reverted to the image's version."
        body = self._with_warnings(Text(f"{effect} z undoes this.", style="italic"))
        question = f"Revert {printable(entry.path)} to the image?"
        if await self.surface.choose(ChooseDialog(question, (confirm("revert it"),), body)) != "yes":
            return
        await self._changes.perform_or_tell(
            f"Reverting {printable(entry.path)}",
            lambda files, step, keep: files.revert(entry.path, keep=keep, step=step),
            "is as the image has it",
        )

    # copying -------------------------------------------------------------------------------------------------

    @flow
    async def action_copy_out(self) -> None:
        """Ask for a path on this host and copy the entry there."""
        entry = self._selected()
        if entry is None:
            return

        async def copy_to(answer: str) -> None:
            target = _on_host(answer)

            def copy(files: ContainerFiles, step: Step, keep: BackupMode) -> ChangeResult:
                del keep
                copied = files.copy_out(entry.path, target, step=step)
                return ChangeResult(
                    entry.path, copied.entries, None, (f"now {copied.target} on this host", *copied.notes)
                )

            await self._changes.perform(f"Copying {printable(entry.path)}", copy, "copied out")

        await self.surface.ask(
            f"Copy {printable(entry.path)} to this host, as",
            copy_to,
            verb="copy",
            value=f"./{_editable_name(entry.name)}",
        )

    @flow
    async def action_copy_in(self) -> None:
        """Ask for a file or directory on this host and copy it to the cursor's directory; ask before replacing one."""
        parent = self._current_directory()

        async def copy_from(answer: str) -> None:
            source = _on_host(answer)

            async def copy(*, over: bool) -> None:
                await self._changes.perform(
                    f"Copying {printable(answer)}",
                    lambda files, step, keep: files.copy_in(source, parent, keep=keep, step=step, over=over),
                    "copied in",
                    go_to=True,
                )

            try:
                await copy(over=False)
            except AlreadyThere as there:
                body = Text("The replaced contents are kept on this host first: z undoes this.", style="italic")
                question = f"{there.message}. Replace it?"
                if await self.surface.choose(ChooseDialog(question, (confirm("replace it"),), body)) == "yes":
                    await copy(over=True)

        question = f"Copy into {printable(parent)} from this host"
        await self.surface.ask(question, copy_from, verb="copy", placeholder="a file or directory of this host")


def _on_host(text: str) -> Path:
    """Return a path on this host with ``~`` expanded."""
    return Path(text).expanduser()


def _editable_name(name: bytes) -> str:
    """Return a name to start editing with; empty if it is not printable."""
    text = os.fsdecode(name)
    return text if printable(text) == text else ""
