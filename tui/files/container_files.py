"""Everything that can be done to the files of one container, however they are reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from tui.core.errors import DtuiError
from tui.core.ids import ContainerId
from tui.core.lifecycle import change_notes
from tui.core.records import Details
from tui.files.document import Document
from tui.files.history.backups import BackupMode, UndoKind, UndoRecord
from tui.files.history.transaction import Step, no_step
from tui.files.verbs import acts, copy
from tui.files.verbs.acts import ChangeResult
from tui.files.verbs.copy import CopiedOut
from tui.files.verbs.opening import (
    OpenedFile,
    SavePlan,
    ids_of,
    reading,
    refuse_state,
    require_enterable,
    stack_of,
)
from tui.files.verbs.permissions import id_named, mode_change, owner_change
from tui.files.verbs.remote_save import Archive
from tui.files.verbs.revert import revert
from tui.files.ways import EngineFiles, Files, LayerFiles
from tui.files.write.below_root import SaveResult
from tui.files.write.options import USUAL, SaveOptions
from tui.files.write.version import FileVersion
from tui.linux.rooted_paths import read_limited
from tui.linux.sparse import Content

Result = TypeVar("Result", SaveResult, ChangeResult)

_ID_TABLE_LIMIT = 1 << 20
"""Bytes to read at most of the container's /etc/passwd or /etc/group."""


class Verb(StrEnum):
    """What can be done to a container's files; each is the method of that name of :class:`ContainerFiles`."""

    OPEN = "open"
    PEEK = "peek"
    PLAN = "plan"
    SAVE = "save"
    REMOVE = "remove"
    RENAME = "rename"
    MKDIR = "mkdir"
    CHMOD = "chmod"
    CHOWN = "chown"
    COPY_IN = "copy_in"
    COPY_OUT = "copy_out"
    REVERT = "revert"
    UNDO = "undo"


_BY_ENGINE = frozenset((Verb.OPEN, Verb.PEEK, Verb.PLAN, Verb.SAVE, Verb.UNDO))
"""The verbs that work through the archive API."""

_READING = frozenset((Verb.OPEN, Verb.PEEK, Verb.COPY_OUT))


@dataclass(frozen=True, slots=True)
class ContainerFiles:
    """The files of one container; ``archive`` is set if they can be reached only through the engine.

    Every change holds the container's lock, inspects the container before and after, and keeps a backup, so that
    :meth:`undo` can revert it. Paths are inside the container. ``step`` is called with a count and a path for each
    entry, and may raise to stop. Methods raise NotFound, NotReachable, EditRefused, ChangedMeanwhile and LayerError.
    """

    details: Details
    inspect: Callable[[str], Details]
    archive: Archive | None = None

    def can(self, verb: Verb) -> str:
        """Return why a verb is not possible, judged by the last inspect; empty if it is possible.

        Asks neither the engine nor the disk, so that it can be called while painting.
        """
        try:
            if verb not in _READING:
                refuse_state(self.details)
            if self.archive is not None and verb in _BY_ENGINE:
                return ""
            stack_of(self.details)
            if self.details.container.state.alive and verb not in _READING:
                require_enterable(self.details)
        except DtuiError as error:
            return error.message
        return ""

    # one file ----------------------------------------------------------------------------------------------

    def open(self, path: bytes) -> OpenedFile:
        """Read a file for the editor."""
        return self._way.open(path)

    def peek(self, path: bytes) -> Document:
        """Read the beginning of a file for viewing."""
        return self._way.peek(path)

    def plan(self, path: bytes) -> SavePlan:
        """Describe what a save would do now; raises what the save would raise."""
        plan = self._way.plan(path)
        return replace(plan, warnings=(*plan.warnings, *self._lasting_notes))

    def save(self, path: bytes, data: Content, stamp: FileVersion | None, options: SaveOptions = USUAL) -> SaveResult:
        """Replace a file's content; ``stamp`` is its version when it was read, None to overwrite any version."""
        return self._noted(self._way.save(path, data, stamp, options))

    # entries, one or with all below them -------------------------------------------------------------------

    def remove(
        self, path: bytes, *, recursive: bool = False, keep: BackupMode = BackupMode.USUAL, step: Step = no_step
    ) -> ChangeResult:
        """Delete a file, or with ``recursive`` a tree; raises TooLarge if the backup would exceed the limit."""
        return self._noted(acts.remove(self._id, path, inspect=self.inspect, recursive=recursive, keep=keep, step=step))

    def rename(
        self, path: bytes, new: bytes, *, keep: BackupMode = BackupMode.USUAL, step: Step = no_step
    ) -> ChangeResult:
        """Rename or move an entry, never over another; if ``new`` is a directory, move it into that."""
        return self._noted(acts.rename(self._id, path, new, inspect=self.inspect, keep=keep, step=step))

    def mkdir(self, path: bytes, *, mode: int = 0o755, parents: bool = False) -> ChangeResult:
        """Create a directory with the owner of its parent; ``parents`` creates missing parents too."""
        return self._noted(acts.make_directory(self._id, path, inspect=self.inspect, mode=mode, parents=parents))

    def chmod(self, path: bytes, mode: str, *, recursive: bool = False, step: Step = no_step) -> ChangeResult:
        """Change permissions as ``chmod MODE`` does; raises UsageError for an invalid mode."""
        return self._change_metadata(path, mode_change(mode), UndoKind.CHMOD, recursive, step)

    def chown(self, path: bytes, owner: str, *, recursive: bool = False, step: Step = no_step) -> ChangeResult:
        """Change owner and group as ``chown OWNER`` does in the container; raises UsageError for an unknown one."""
        change = owner_change(
            owner,
            lambda name: id_named(name, self._id_table(b"/etc/passwd", name), "user"),
            lambda name: id_named(name, self._id_table(b"/etc/group", name), "group"),
            ids_of(self.details),
        )
        return self._change_metadata(path, change, UndoKind.CHOWN, recursive, step)

    def _change_metadata(
        self, path: bytes, change: acts.NodeChange, kind: UndoKind, recursive: bool, step: Step
    ) -> ChangeResult:
        return self._noted(
            acts.change_metadata(self._id, path, change, kind, inspect=self.inspect, recursive=recursive, step=step)
        )

    def copy_in(
        self,
        source: Path,
        path: bytes,
        *,
        keep: BackupMode = BackupMode.USUAL,
        step: Step = no_step,
        over: bool = True,
    ) -> ChangeResult:
        """Copy a file or directory of this host into the container; ``over`` permits replacing a file."""
        return self._noted(copy.copy_in(self._id, source, path, inspect=self.inspect, keep=keep, step=step, over=over))

    def copy_out(self, path: bytes, target: Path, *, force: bool = False, step: Step = no_step) -> CopiedOut:
        """Copy a file or tree to this host; ``force`` permits replacing a file."""
        return copy.copy_out(self.details, path, target, force=force, step=step)

    def revert(self, path: bytes, *, keep: BackupMode = BackupMode.USUAL, step: Step = no_step) -> ChangeResult:
        """Restore an entry, or everything that changed in a directory, to what the image has."""
        return self._noted(revert(self._id, path, inspect=self.inspect, keep=keep, step=step))

    def undo(
        self, act: UndoRecord, *, force: bool = False, keep: BackupMode = BackupMode.USUAL, step: Step = no_step
    ) -> ChangeResult:
        """Undo a change; ``force`` also overwrites what somebody changed since."""
        return self._way.undo(act, force=force, keep=keep, step=step)

    # how ---------------------------------------------------------------------------------------------------

    @property
    def _lasting_notes(self) -> tuple[str, ...]:
        """What will drop a change sooner or later."""
        container = self.details.container
        return change_notes(self.details.lifecycle, container.name, container.command_line)

    def _noted(self, result: Result) -> Result:
        return replace(result, notes=(*result.notes, *self._lasting_notes))

    @property
    def _id(self) -> ContainerId:
        return self.details.container.id

    @property
    def _way(self) -> Files:
        if self.archive is not None:
            return EngineFiles(self.details, self.inspect, self.archive)
        return LayerFiles(self.details, self.inspect)

    def _id_table(self, path: bytes, name: str) -> bytes:
        """Read /etc/passwd or /etc/group; empty for a numeric name, and if the container has no such file."""
        if name.isdigit():
            return b""
        try:
            with reading(self.details, path) as fd:
                return read_limited(fd, path, _ID_TABLE_LIMIT)
        except DtuiError:
            return b""
