"""Read, change and restore a container's files. Other packages import only from here, not from its modules.

Names are loaded on first use, so that ``dtui ls`` does not load what saves a file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.files.abandon import Abandonable as Abandonable
    from tui.files.abandon import Abandoned as Abandoned
    from tui.files.abandon import Unanswered as Unanswered
    from tui.files.abandon import answered as answered
    from tui.files.container_files import ContainerFiles as ContainerFiles
    from tui.files.container_files import Verb as Verb
    from tui.files.diff import diff_lines as diff_lines
    from tui.files.document import EDIT_LIMIT as EDIT_LIMIT
    from tui.files.document import PREVIEW_LIMIT as PREVIEW_LIMIT
    from tui.files.document import SHIELD as SHIELD
    from tui.files.document import Document as Document
    from tui.files.document import hex_lines as hex_lines
    from tui.files.document import indent_unit as indent_unit
    from tui.files.document import language_of as language_of
    from tui.files.document import match_in as match_in
    from tui.files.history.backups import TOTAL_LIMIT as TOTAL_LIMIT
    from tui.files.history.backups import BackupMode as BackupMode
    from tui.files.history.backups import TooLarge as TooLarge
    from tui.files.history.backups import UndoKind as UndoKind
    from tui.files.history.backups import UndoRecord as UndoRecord
    from tui.files.history.backups import find as find
    from tui.files.history.backups import last_to_undo as last_to_undo
    from tui.files.history.backups import undo_records as undo_records
    from tui.files.history.crash_recovery import recover as recover
    from tui.files.history.journal import pending as pending
    from tui.files.history.order import order_of as order_of
    from tui.files.history.purging import Changed as Changed
    from tui.files.history.purging import changed_containers as changed_containers
    from tui.files.history.purging import purge as purge
    from tui.files.history.purging import purgeable as purgeable
    from tui.files.history.purging import stored_size as stored_size
    from tui.files.history.rollback import is_plain_rename as is_plain_rename
    from tui.files.history.transaction import Step as Step
    from tui.files.removal_watch import ContainerEnded as ContainerEnded
    from tui.files.removal_watch import ContainerGone as ContainerGone
    from tui.files.removal_watch import LayerInUse as LayerInUse
    from tui.files.seen_tree import SeenTree as SeenTree
    from tui.files.texts.editor_copies import lock as lock
    from tui.files.texts.notes import LIMIT as LIMIT
    from tui.files.texts.notes import Keepsake as Keepsake
    from tui.files.texts.notes import write_note as write_note
    from tui.files.texts.recovered import texts_on_offer as texts_on_offer
    from tui.files.texts.recovered import told_once as told_once
    from tui.files.texts.unsaved import KeptText as KeptText
    from tui.files.texts.unsaved import Unsaved as Unsaved
    from tui.files.texts.unsaved import drop_text as drop_text
    from tui.files.texts.unsaved import keep_copy as keep_copy
    from tui.files.texts.unsaved import keep_to_tell as keep_to_tell
    from tui.files.texts.unsaved import kept_texts as kept_texts
    from tui.files.verbs.acts import ChangeResult as ChangeResult
    from tui.files.verbs.copy import readable_tree as readable_tree
    from tui.files.verbs.opening import KeepsRestarting as KeepsRestarting
    from tui.files.verbs.opening import OpenedFile as OpenedFile
    from tui.files.verbs.opening import SavePlan as SavePlan
    from tui.files.verbs.opening import privileged as privileged
    from tui.files.verbs.opening import reading as reading
    from tui.files.verbs.opening import stack_of as stack_of
    from tui.files.verbs.permissions import mode_change as mode_change
    from tui.files.write.below_root import SaveResult as SaveResult
    from tui.files.write.options import SaveOptions as SaveOptions

_MODULES = {
    "tui.files.abandon": (
        "Abandonable",
        "Abandoned",
        "Unanswered",
        "answered",
    ),
    "tui.files.container_files": (
        "ContainerFiles",
        "Verb",
    ),
    "tui.files.diff": ("diff_lines",),
    "tui.files.document": (
        "Document",
        "EDIT_LIMIT",
        "PREVIEW_LIMIT",
        "SHIELD",
        "hex_lines",
        "indent_unit",
        "language_of",
        "match_in",
    ),
    "tui.files.history.backups": (
        "BackupMode",
        "TOTAL_LIMIT",
        "TooLarge",
        "UndoKind",
        "UndoRecord",
        "find",
        "last_to_undo",
        "undo_records",
    ),
    "tui.files.history.crash_recovery": ("recover",),
    "tui.files.history.journal": ("pending",),
    "tui.files.history.order": ("order_of",),
    "tui.files.history.purging": (
        "Changed",
        "changed_containers",
        "purge",
        "purgeable",
        "stored_size",
    ),
    "tui.files.history.rollback": ("is_plain_rename",),
    "tui.files.history.transaction": ("Step",),
    "tui.files.removal_watch": (
        "ContainerEnded",
        "ContainerGone",
        "LayerInUse",
    ),
    "tui.files.seen_tree": ("SeenTree",),
    "tui.files.texts.editor_copies": ("lock",),
    "tui.files.texts.notes": (
        "Keepsake",
        "LIMIT",
        "write_note",
    ),
    "tui.files.texts.recovered": (
        "texts_on_offer",
        "told_once",
    ),
    "tui.files.texts.unsaved": (
        "KeptText",
        "Unsaved",
        "drop_text",
        "keep_copy",
        "keep_to_tell",
        "kept_texts",
    ),
    "tui.files.verbs.acts": ("ChangeResult",),
    "tui.files.verbs.copy": ("readable_tree",),
    "tui.files.verbs.opening": (
        "KeepsRestarting",
        "OpenedFile",
        "SavePlan",
        "privileged",
        "reading",
        "stack_of",
    ),
    "tui.files.verbs.permissions": ("mode_change",),
    "tui.files.write.below_root": ("SaveResult",),
    "tui.files.write.options": ("SaveOptions",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
