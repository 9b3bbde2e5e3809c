"""Taking acts back: everything that stood at each path before is put there again."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Protocol

from tui.core.errors import ChangedMeanwhile, NotFound
from tui.core.model import EntryKind
from tui.core.text import printable
from tui.editing.acts import Inspect, Outcome, acting, capture, keep_one, keeping, notes_after
from tui.editing.backups import Act, ActKind, Keeper
from tui.editing.guard import guarded, is_plain_rename, put_back
from tui.editing.nodes import Node
from tui.editing.session import reading
from tui.editing.stamp import Stamp, stamp_of
from tui.editing.trees import Tree
from tui.editing.workspace import writable_tree
from tui.editing.writing import Receipt

_METADATA = (ActKind.CHMOD, ActKind.CHOWN)


class Save(Protocol):
    """The way files of the container are written, as :meth:`tui.editing.files.Files.save`."""

    def __call__(
        self,
        path: bytes,
        data: bytes,
        stamp: Stamp | None,
        *,
        mode: int | None = None,
        kind: ActKind | None = None,
        wrote: str = "",
    ) -> Receipt:
        """Replace a file's bytes."""
        ...


def undo(act: Act, *, inspect: Inspect, save: Save, force: bool = False) -> Outcome:
    """Take an act back; what stands there now is kept first, so that this can be taken back too.

    ``save`` puts a written file's old bytes back. Raises ChangedMeanwhile, unless ``force``, when the file has been
    written again by somebody else.
    """
    if act.kind is ActKind.WRITE:
        return _undo_write(act, save, force=force)
    with acting(act.container, inspect) as details:
        with writable_tree(details) as tree:
            if is_plain_rename(act):
                _move_back(tree, act)
                act.mark("undone")
                return Outcome(act.path, 1, None)
            with keeping(details, ActKind.UNDO, act.path) as keeper:
                for node in act.nodes:
                    _keep_present(tree, node, act, keeper)
                present = keeper.commit()
            with guarded(present, lambda: nullcontext(tree)):
                put_back(tree, act)
                act.mark("undone")
        return Outcome(act.path, len(act.nodes), present, notes_after(details, inspect))


def _undo_write(act: Act, save: Save, *, force: bool) -> Outcome:
    expected = "" if force else act.wrote
    data = act.data.read_bytes()
    receipt = save(act.path, data, None, mode=act.nodes[0].mode, kind=ActKind.UNDO, wrote=expected)
    act.mark("undone")
    return Outcome(receipt.path, 1, None, receipt.notes)


def _hash_now(act: Act, inspect: Inspect) -> str:
    with reading(inspect(act.container), act.path) as fd:
        return stamp_of(fd).sha256


def _move_back(tree: Tree, act: Act) -> None:
    if tree.look(act.path) is not None:
        raise ChangedMeanwhile(f"{printable(act.path)} exists again", "rename or delete it first")
    if tree.look(act.other) is None:
        raise ChangedMeanwhile(f"{printable(act.other)} is gone", "undo what deleted it first")
    if not tree.move(act.other, act.path):
        raise ChangedMeanwhile(f"{printable(act.other)} cannot be renamed in one step", "rename it by hand")


def _keep_present(tree: Tree, node: Node, act: Act, keeper: Keeper) -> None:
    """Keep what stands at a path now, as much of it as putting the node back would replace."""
    now = tree.look(node.path)
    if now is None:
        keeper.add(Node(node.path))
    elif act.kind in _METADATA:
        keeper.add(now)
    elif now.kind is EntryKind.DIRECTORY and node.kind is not EntryKind.DIRECTORY:
        capture(tree, now, keeper)
    else:
        keep_one(tree, now, keeper)


def was_written(act: Act, inspect: Inspect) -> bool:
    """Say whether a write that was cut off came to its end: the new bytes are there."""
    try:
        return _hash_now(act, inspect) == act.wrote
    except NotFound:
        inspect(act.container)  # a container that is gone is another matter
        return False
