"""Keep an act from leaving a half-changed tree: a failed act is rolled back, or stays undoable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from tui.core import progress
from tui.core.errors import DtuiError, Stopped
from tui.core.records import EntryKind
from tui.core.text import count_of, printable
from tui.files.history.backups import UndoRecord
from tui.files.history.rollback import put_back
from tui.files.removal_watch import ContainerGone
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.write.move_out import NotPutBack
from tui.linux.failures import explain_change

Step = Callable[[int, bytes], None]

_UNDO = "undo takes back what was done"
_FOR_GOOD = "what was done is for good, as was asked for"
_LOST = "its backup is gone, so that it cannot be undone"
_PERHAPS = "undo takes back what may have been done"
_PARTLY = (_UNDO, _FOR_GOOD)


def no_step(count: int, path: bytes) -> None:
    """Do nothing."""
    del count, path


@contextmanager
def rollback_on_error(
    act: UndoRecord | None, opened: Callable[[], AbstractContextManager[Tree]]
) -> Iterator[list[int]]:
    """Mark an act done at its end; yield a list that gets an item for each changed entry.

    A failed act is rolled back in the tree that ``opened`` opens. If the user stops it, or it cannot be rolled back, it
    stays as it is and can be undone. Unexpected exceptions are raised unchanged, with a note on the outcome.
    """
    changed: list[int] = []
    try:
        yield changed
        if act is not None:
            act.mark("done")
    except (DtuiError, OSError) as error:
        if act is None and not changed:
            raise
        failure = error if isinstance(error, DtuiError) else explain_change(error, act.path if act else b"the deletion")
        if isinstance(failure, ContainerGone):  # a rollback would create entries in a layer that is being removed
            if act is not None:
                act.mark("done")
            raise failure from error
        hint = _end_failed(act, opened, len(changed), stopped=isinstance(failure, Stopped))
        partly = f" ({count_of(len(changed), 'entry', 'entries')} done)" if hint in _PARTLY else ""
        raised = type(failure)(failure.message + partly, hint or failure.hint)
        if hint:
            raised.add_note(hint + partly)
        raise raised from error
    except (Exception, KeyboardInterrupt) as error:  # out of memory, or a bug
        hint = _end_failed(act, opened, len(changed), stopped=isinstance(error, KeyboardInterrupt))
        error.add_note(hint or "nothing was changed")
        raise


@contextmanager
def done_or_forgotten(act: UndoRecord | None) -> Iterator[None]:
    """Mark an act done if it could not be put back, and forget it if it fails otherwise: then nothing was changed."""
    try:
        yield
    except (NotPutBack, ContainerGone) as error:
        if act is not None:
            act.mark("done")
        elif isinstance(error, NotPutBack):
            raise NotPutBack(error.message, _FOR_GOOD) from error
        raise
    except BaseException as error:
        if act is not None and not act.done:
            act.forget()
        if not isinstance(error, (DtuiError, OSError)):  # out of memory, or a bug
            error.add_note("nothing was changed")
        raise


def _end_failed(
    act: UndoRecord | None, opened: Callable[[], AbstractContextManager[Tree]], count: int, *, stopped: bool
) -> str:
    """Roll an act back, unless its user stopped it; return the outcome, empty if nothing was changed."""
    progress.ignore_stop()
    if act is None:
        return _FOR_GOOD if count else ""
    try:
        if stopped and count:
            with opened() as tree:
                tree.sync()
            act.mark("done")
            return _UNDO
        with opened() as tree:
            skipped = put_back(tree, act).skipped
        if skipped and count:
            close_partial(act)
            return f"{skipped_text(skipped)}; the old bytes are in {act.data}"
    except Exception:  # noqa: BLE001 - what is told is why the act failed
        with suppress(DtuiError):
            act.mark("done")
        if not act.data.parent.exists():
            return _LOST
        return _UNDO if count else _PERHAPS
    act.forget()
    return "all is as it was before" if count else ""


def close_partial(act: UndoRecord) -> None:
    """Close an act that was rolled back only in part; its backup stays."""
    act.mark("done")
    act.mark("undone")


def skipped_text(paths: tuple[bytes, ...]) -> str:
    """Return the words for paths that were left because somebody else changed them."""
    more = f" and {count_of(len(paths) - 1, 'other entry', 'other entries')}" if len(paths) > 1 else ""
    return f"{printable(paths[0])}{more} left as somebody else changed it meanwhile, the rest is as it was before"


def remove_nodes(tree: Tree, nodes: tuple[EntrySnapshot, ...], changed: list[int], step: Step) -> None:
    """Remove entries (listed parents first) deepest first; raises if one is new or was changed meanwhile."""
    for node in reversed(nodes):
        step(len(changed), node.path)
        tree.remove(node.path, directory=node.kind is EntryKind.DIRECTORY, expected=node)
        changed.append(1)
    tree.sync()
