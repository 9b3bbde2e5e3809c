"""Back to what the image has: edited, deleted, added, replaced or otherwise changed entries, one or a whole subtree.

At rest on a union the writable layer's own entry is taken away, so that the image's shows again and no trace is left.
Where that is not possible (a full tree, a running container, below an opaque directory) the image's entry is copied.
"""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext, suppress

from tui.core.errors import DtuiError, EditRefused, NotFound
from tui.core.model import Change, Details, EntryKind, LayerStack, Marks, PathChange
from tui.core.text import printable
from tui.editing import atomic
from tui.editing.acts import (
    Inspect,
    Outcome,
    acting,
    keep_one,
    keeping,
    notes_after,
    refuse_mounts,
)
from tui.editing.backups import Act, ActKind
from tui.editing.guard import Step, guarded, no_step
from tui.editing.nodes import Node, node_of
from tui.editing.session import stack_of
from tui.editing.trees import Tree
from tui.editing.workspace import by_hand, refuse_in_use, writable_tree
from tui.layers.changes import changes
from tui.layers.paths import Root, clean, open_child, reopen_regular, split
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_opaque, mark_of


def revert(container_id: str, path: bytes, *, inspect: Inspect, step: Step = no_step) -> Outcome:
    """Bring an entry, of a directory all that changed in it, back to what the image has."""
    with acting(container_id, inspect) as details:
        stack = stack_of(details)
        with LayerView.open(stack, details.mounts) as view:
            real, found = _changed(view, path)
            if not details.container.state.alive:
                refuse_mounts(details, real)
            act = _revert(details, stack, view, real, found, step)
        return Outcome(real, len(found), act, notes_after(details, inspect))


def _changed(view: LayerView, path: bytes) -> tuple[bytes, tuple[PathChange, ...]]:
    try:
        real = view.resolve(clean(path), follow=False)
    except NotFound as error:
        raise NotFound(error.message, "if its directory was deleted, revert that") from error
    prefix = real.rstrip(b"/") + b"/"
    with view.held():
        found = tuple(one for one in changes(view) if one.path == real or one.path.startswith(prefix))
    if not found:
        raise EditRefused(f"{printable(real)} is as the image has it", "the changes list what is not")
    return real, found


def _revert(
    details: Details,
    stack: LayerStack,
    view: LayerView,
    real: bytes,
    found: tuple[PathChange, ...],
    step: Step,
) -> Act:
    exact = not details.container.state.alive and _shows_through(stack, view, real)
    with writable_tree(details) as tree:
        act, kept = _keep(details, tree, real, found, step)
        if not exact:
            with guarded(act, lambda: nullcontext(tree)) as changed, view.held():
                _foresee(act, view)
                _copy_back(tree, view, found, kept, changed, step)
            return act
    if stack.marks is Marks.OVERLAY and not by_hand(stack):
        try:
            refuse_in_use(stack, details.container.id)
        except DtuiError:
            act.forget()
            raise
    with guarded(act, lambda: writable_tree(details)) as changed:
        with view.held():
            _foresee(act, view)
        _uncover(stack, view, real)
        changed.append(1)
    return act


def _keep(
    details: Details, tree: Tree, real: bytes, found: tuple[PathChange, ...], step: Step
) -> tuple[Act, dict[bytes, Node]]:
    with keeping(details, ActKind.REVERT, real) as keeper:
        for number, change in enumerate(found):
            step(number, change.path)
            node = None if change.change is Change.DELETED else tree.look(change.path)
            if node is None:
                keeper.add(Node(change.path))
            else:
                keep_one(tree, node, keeper)
        kept = {node.path: node for node in keeper.nodes if node.kind}
        return keeper.commit(), kept


def _foresee(act: Act, view: LayerView) -> None:
    """Write down which entries of the image will show."""
    for node in act.nodes:
        todo = [node.path]
        for path in todo:
            try:
                fd = view.open_path(path, before=True)
            except NotFound:
                continue
            try:
                image = node_of(fd, path)
            finally:
                os.close(fd)
            act.expect(image)
            if image.kind is EntryKind.DIRECTORY and node.kind is not EntryKind.DIRECTORY:
                todo += [path.rstrip(b"/") + b"/" + name for name in view.names_before(path)]


# by copying ------------------------------------------------------------------------------------------------


def _copy_back(
    tree: Tree,
    view: LayerView,
    found: tuple[PathChange, ...],
    kept: dict[bytes, Node],
    changed: list[int],
    step: Step,
) -> None:
    for change in reversed(found):
        step(len(changed), change.path)
        node = kept.get(change.path)
        if change.change is Change.ADDED and node is not None:
            tree.remove(change.path, directory=node.kind is EntryKind.DIRECTORY, seen=node)
            changed.append(1)
    for change in found:
        if change.change is not Change.ADDED:
            step(len(changed), change.path)
            _copy_one(tree, view, change.path, kept.get(change.path), changed)


def _copy_one(tree: Tree, view: LayerView, path: bytes, now: Node | None, changed: list[int]) -> None:
    """Put the image's entry in the place of what was kept; of a directory that is there only what it is itself."""
    fd = view.open_path(path, before=True)
    try:
        node = node_of(fd, path)
        if now is not None and (now.kind is EntryKind.DIRECTORY) != (node.kind is EntryKind.DIRECTORY):
            tree.remove(path, directory=now.kind is EntryKind.DIRECTORY, seen=now)
            now = None
        if node.kind is EntryKind.FILE:
            data = reopen_regular(fd, path)
            try:
                tree.make(node, data, over=now)
            finally:
                os.close(data)
        else:
            tree.make(node, None, over=now)
        changed.append(1)
    finally:
        os.close(fd)
    if node.kind is EntryKind.DIRECTORY and now is None:
        for name in view.names_before(path):
            _copy_one(tree, view, path.rstrip(b"/") + b"/" + name, None, changed)
        tree.dress(node)


# by uncovering ---------------------------------------------------------------------------------------------


def _shows_through(stack: LayerStack, view: LayerView, real: bytes) -> bool:
    """Say whether the image's entry shows once the writable layer's own is gone: nothing above it is opaque."""
    if stack.marks is Marks.TREE:
        return False
    above = b"/"
    for name in [b"", *filter(None, split(real)[0].split(b"/"))]:
        above = above.rstrip(b"/") + b"/" + name if name else above
        under = view.below(above) if name else None
        if name and (under is None or under.kind is not EntryKind.DIRECTORY):
            return view.below(real) is None
        try:
            with view.own_directory(above) as fd:
                if name and is_opaque(fd, stack.marks, userxattr=stack.userxattr):
                    return view.below(real) is None
        except NotFound:
            return True  # the writable layer has nothing here
    return True


def _uncover(stack: LayerStack, view: LayerView, real: bytes) -> None:
    """Take the writable layer's own entry away, and the directories above it that held nothing else."""
    with Root.open(stack.writable.path) as upper:
        try:
            if real == b"/":
                for text in os.listdir(upper.fd):
                    _remove_raw(upper.fd, os.fsencode(text))
                return
            with upper.parent(real) as (dir_fd, name):
                with suppress(FileNotFoundError):
                    _remove_raw(dir_fd, name)
                mark = mark_of(name, stack.marks)
                if mark:
                    with suppress(FileNotFoundError):
                        os.unlink(mark, dir_fd=dir_fd)
                os.fsync(dir_fd)
            _prune(view, upper, split(real)[0])
        except OSError as error:
            raise atomic.explain(error, real) from error


def _remove_raw(dir_fd: int, name: bytes) -> None:
    """Remove an entry of a layer as it lies, marks and all, never through a link. Deep trees do not recurse."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=dir_fd)
        return
    above: list[tuple[int, bytes]] = [(dir_fd, name)]
    fds: list[int] = []
    try:
        fds.append(open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY))
        while fds:
            here = fds[-1]
            deeper = b""
            for text in os.listdir(here):
                child = os.fsencode(text)
                if stat.S_ISDIR(os.stat(child, dir_fd=here, follow_symlinks=False).st_mode):
                    deeper = child
                    break
                os.unlink(child, dir_fd=here)
            if deeper:
                above.append((here, deeper))
                fds.append(open_child(here, deeper, os.O_RDONLY | os.O_DIRECTORY))
            else:
                os.close(fds.pop())
                parent, gone = above.pop()
                os.rmdir(gone, dir_fd=parent)
    finally:
        for fd in fds:
            os.close(fd)


def _prune(view: LayerView, upper: Root, path: bytes) -> None:
    """Remove directories that were copied up for this alone: empty now, and the same as the image's."""
    while path != b"/":
        under = view.below(path)
        with upper.parent(path) as (dir_fd, name):
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            same = under is not None and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (
                under.mode,
                under.uid,
                under.gid,
            )
            if not same:
                return
            try:
                os.rmdir(name, dir_fd=dir_fd)
            except OSError:
                return  # it holds something else
        path = split(path)[0]
