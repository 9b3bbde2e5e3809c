"""The two ways to a container's files: layers or processes on this host, and the engine's archive API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tui.core.errors import EditRefused
from tui.core.records import Details
from tui.core.remote_files import REMOTE_LIMIT
from tui.files.document import EDIT_LIMIT, PREVIEW_LIMIT, Document
from tui.files.history.backups import BackupMode, UndoRecord
from tui.files.history.transaction import Step, no_step
from tui.files.verbs import opening
from tui.files.verbs.acts import ChangeResult
from tui.files.verbs.opening import OpenedFile, SavePlan
from tui.files.verbs.remote_save import Archive, open_by_engine, plan_by_engine, save_by_engine
from tui.files.verbs.remote_undo import undo_by_engine
from tui.files.verbs.save import save
from tui.files.verbs.undo import undo
from tui.files.write.below_root import SaveResult
from tui.files.write.options import USUAL, SaveOptions
from tui.files.write.version import FileVersion
from tui.linux.sparse import Content


class Files(Protocol):
    """What each way does differently: read and replace files of one container, and undo a change."""

    def open(self, path: bytes) -> OpenedFile:
        """Read a file for the editor; raises NotFound, EditRefused, NotReachable."""
        ...

    def peek(self, path: bytes) -> Document:
        """Read the beginning of a file for viewing; raises NotFound, EditRefused, NotReachable."""
        ...

    def plan(self, path: bytes) -> SavePlan:
        """Describe what a save would do now; raises what the save would raise."""
        ...

    def save(self, path: bytes, data: Content, stamp: FileVersion | None, options: SaveOptions = USUAL) -> SaveResult:
        """Replace a file's content, as :func:`tui.files.verbs.save.save` describes."""
        ...

    def undo(
        self, act: UndoRecord, *, force: bool = False, keep: BackupMode = BackupMode.USUAL, step: Step = no_step
    ) -> ChangeResult:
        """Undo an act, as :func:`tui.files.verbs.undo.undo` describes."""
        ...


@dataclass(frozen=True, slots=True)
class LayerFiles:
    """Files in layers on this host, or below a process of the container."""

    details: Details
    inspect: Callable[[str], Details]

    def open(self, path: bytes) -> OpenedFile:
        return opening.open_file(self.details, path)

    def peek(self, path: bytes) -> Document:
        return opening.peek_file(self.details, path)

    def plan(self, path: bytes) -> SavePlan:
        return opening.plan(self.details, path)

    def save(self, path: bytes, data: Content, stamp: FileVersion | None, options: SaveOptions = USUAL) -> SaveResult:
        container = self.details.container.id
        return save(
            container,
            path,
            data,
            stamp,
            options,
            inspect=self.inspect,
        )

    def undo(
        self, act: UndoRecord, *, force: bool = False, keep: BackupMode = BackupMode.USUAL, step: Step = no_step
    ) -> ChangeResult:
        return undo(act, inspect=self.inspect, save=self.save, force=force, keep=keep, step=step)


@dataclass(frozen=True, slots=True)
class EngineFiles:
    """Files that only the engine reaches."""

    details: Details
    inspect: Callable[[str], Details]
    archive: Archive

    def open(self, path: bytes) -> OpenedFile:
        return open_by_engine(self.archive, path, min(REMOTE_LIMIT, 8 * EDIT_LIMIT))

    def peek(self, path: bytes) -> Document:
        """Read a file and return its beginning: the engine sends only whole files."""
        document = self.open(path).document
        size = len(document.data)
        return document if size <= PREVIEW_LIMIT else Document.beginning(document.data[:PREVIEW_LIMIT], size)

    def plan(self, path: bytes) -> SavePlan:
        return plan_by_engine(self.details, self.archive, path)

    def save(self, path: bytes, data: Content, stamp: FileVersion | None, options: SaveOptions = USUAL) -> SaveResult:
        """Replace a file's content; never in place, because the engine always creates a new file."""
        _refuse_aside(options.keep)
        return save_by_engine(
            self.details.container.id,
            path,
            data,
            stamp,
            options,
            inspect=self.inspect,
            archive=self.archive,
        )

    def undo(
        self, act: UndoRecord, *, force: bool = False, keep: BackupMode = BackupMode.USUAL, step: Step = no_step
    ) -> ChangeResult:
        """Undo an act; ``step`` is ignored, because it is a single file."""
        del step
        _refuse_aside(keep)
        if keep is BackupMode.NOTHING:
            raise EditRefused("through the Engine an undo always keeps a copy", "free some space on this disk")
        return undo_by_engine(act, inspect=self.inspect, archive=self.archive, force=force)


def _refuse_aside(keep: BackupMode) -> None:
    if keep is BackupMode.ASIDE:
        raise EditRefused("the Engine sets nothing aside: its API knows no rename", "keep a copy, or do it on its host")
