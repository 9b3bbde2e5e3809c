"""What stands between an act and a half-done tree: an act that fails is rolled back, or can be taken back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace

from tui.core.errors import DtuiError, Stopped
from tui.core.model import EntryKind
from tui.core.text import count_of
from tui.editing import atomic
from tui.editing.backups import Act, ActKind
from tui.editing.nodes import Node
from tui.editing.trees import Tree

Step = Callable[[int, bytes], None]

_METADATA = (ActKind.CHMOD, ActKind.CHOWN)
_HINT = "undo takes back what was done"


def no_step(count: int, path: bytes) -> None:
    """Tell nobody."""
    del count, path


@contextmanager
def guarded(act: Act | None, opened: Callable[[], AbstractContextManager[Tree]]) -> Iterator[list[int]]:
    """Mark an act done at its end; the list counts what was changed.

    One that fails is rolled back in the tree that ``opened`` gives. One that its user stops, or that cannot be rolled
    back, stays as far as it came and can be undone.
    """
    changed: list[int] = []
    try:
        yield changed
        if act is not None:
            act.mark("done")
    except (DtuiError, OSError) as error:
        if act is None:
            raise
        told = error if isinstance(error, DtuiError) else atomic.explain(error, act.path)
        raise _settled(act, opened, len(changed), told) from error


def _settled(act: Act, opened: Callable[[], AbstractContextManager[Tree]], count: int, told: DtuiError) -> DtuiError:
    """Roll an act back that failed; return what to tell."""
    partly = type(told)(f"{told.message} ({count_of(count, 'entry', 'entries')} done)", _HINT)
    try:
        if isinstance(told, Stopped) and count:
            act.mark("done")
            return partly
        with opened() as tree:
            if count or not _untouched(tree, act):
                put_back(tree, act)
                told = type(told)(told.message, "all is as it was before")
    except (DtuiError, OSError):
        with suppress(DtuiError):
            act.mark("done")
        return partly
    act.forget()
    return told


def _untouched(tree: Tree, act: Act) -> bool:
    """Say whether at every path of an act there still stands what stood there before it."""
    return all(_same(tree.look(node.path), node) for node in act.nodes)


def _same(now: Node | None, node: Node) -> bool:
    if now is None or node.kind is None:
        return now is None and node.kind is None
    time = node.mtime_ns if node.kind is not EntryKind.DIRECTORY else now.mtime_ns  # what is made in it shows itself
    plain = replace(node, offset=0, same_as=b"", kept=False, inode=(0, 0), mtime_ns=time)
    return replace(now, inode=(0, 0)) == plain


def is_plain_rename(act: Act) -> bool:
    """Say whether an act was one rename, so that another takes it back."""
    return act.kind is ActKind.RENAME and len(act.nodes) == 1


def put_back(tree: Tree, act: Act) -> None:
    """Bring every path of an act to what it was before. May be done again after it was cut off."""
    if is_plain_rename(act):
        if tree.look(act.path) is None and tree.look(act.other) is not None:
            tree.move(act.other, act.path)
        return
    for node in reversed(act.nodes):
        now = tree.look(node.path)
        if now is not None and (node.kind is None or _other_shape(now, node)) and act.kind not in _METADATA:
            clear(tree, now)
    fd = os.open(act.data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for node in act.nodes:
            _put_one_back(tree, node, fd)
    finally:
        os.close(fd)
    for node in reversed(act.nodes):
        if node.kind is EntryKind.DIRECTORY:
            tree.dress(node)


def _put_one_back(tree: Tree, node: Node, data: int) -> None:
    if node.kind is EntryKind.FILE and not node.kept:
        if tree.look(node.path) is not None:
            tree.dress(node)
    elif node.kind is not None and (node.kept or not _same(tree.look(node.path), node)):
        tree.make(node, data)


def _other_shape(now: Node, node: Node) -> bool:
    """Say whether one must be removed before the other can be made: only files and links replace each other."""
    plain = (EntryKind.FILE, EntryKind.SYMLINK)
    return not (now.kind in plain and node.kind in plain) and not (now.kind is node.kind is EntryKind.DIRECTORY)


def remove_nodes(tree: Tree, nodes: tuple[Node, ...], changed: list[int], step: Step) -> None:
    """Remove entries that were listed parents first, deepest first; what came since stops it."""
    for node in reversed(nodes):
        step(len(changed), node.path)
        tree.remove(node.path, directory=node.kind is EntryKind.DIRECTORY)
        changed.append(1)


def clear(tree: Tree, node: Node) -> None:
    """Remove an entry and all below it."""
    nodes = [node]
    for here in nodes:
        if here.kind is EntryKind.DIRECTORY:
            prefix = here.path.rstrip(b"/") + b"/"
            nodes += [child for name in tree.names(here.path) if (child := tree.look(prefix + name)) is not None]
    remove_nodes(tree, tuple(nodes), [], no_step)
