"""Move entries out of a container's layer with a rename instead of copying them, so that size does not matter.

They are put next to a union's layer, or for a full tree into the engine's directory for the container: on the same file
system, out of the container's sight, and removed with it.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tui.core.errors import ChangedMeanwhile, EditRefused, NotFound
from tui.core.records import Details, WhiteoutStyle
from tui.core.text import printable
from tui.files.history.backups import SetAside, UndoKind, UndoRecord
from tui.files.removal_watch import ContainerGone
from tui.files.verbs.opening import stack_of
from tui.files.write import atomic
from tui.files.write.aside_places import make_place, opened, parent_of_places, remove_set_aside
from tui.layers.directories import upper_root
from tui.layers.private_mounts import tree_root
from tui.layers.whiteouts import is_whiteout
from tui.linux.failures import change_explained
from tui.linux.name_ops import EXCHANGE, NO_REPLACE, WHITEOUT
from tui.linux.rooted_paths import Root, split
from tui.linux.syscalls import renameat2

NAME = "dtui-aside"
"""The directory for what was set aside."""

_DELETES = (UndoKind.REMOVE, UndoKind.UNDO, UndoKind.REDO)
"""Acts that may leave a whiteout where they moved something."""


def why_not(details: Details) -> str:
    """Return why entries of a container cannot be set aside, empty if they can."""
    stack = details.stack
    if stack is None:
        return "its layers are not at hand"
    if details.container.state.alive:
        return "the container runs and its layer is in use"
    if stack.writable.source is not None:
        return f"{stack.driver.name} keeps each container on a file system of its own"
    if stack.whiteout_style is WhiteoutStyle.AUFS:
        return "aufs cannot hide a name in the same step"
    parent = parent_of_places(stack, details.container.id)
    if parent is None:
        return "the engine has no directory for it outside the container's tree"
    try:
        apart = os.stat(parent).st_dev != os.stat(stack.writable.path).st_dev
    except OSError as error:
        return (error.strerror or "").lower()
    return f"{stack.driver.name} keeps each container on a file system of its own" if apart else ""


def plan_set_aside(details: Details, path: bytes, names: tuple[bytes, ...], size: int) -> SetAside:
    """Choose a directory for entries next to ``path``; raises EditRefused if there is none."""
    reason = why_not(details)
    parent = parent_of_places(stack_of(details), details.container.id)
    if reason or parent is None:
        raise EditRefused(f"{printable(path)} cannot be set aside: {reason}", "nothing was changed")
    return SetAside(parent / NAME / secrets.token_hex(8), split(path)[0], names, size)


@contextmanager
def layer(details: Details) -> Iterator[Root]:
    """Yield the root of a container's own layer."""
    stack = stack_of(details)
    with tree_root(stack) if stack.whiteout_style is WhiteoutStyle.TREE else upper_root(stack) as root:
        yield root


def carry_out(details: Details, act: UndoRecord, still_at_rest: Callable[[], None], *, whiteout: bool) -> None:
    """Set aside what an act names and mark it done; forget the act if it moved nothing."""
    try:
        move_out(details, act, still_at_rest, whiteout=whiteout)
    except BaseException:
        if not _names_set_aside(act):
            discard_set_aside(act)
            act.forget()
        raise
    act.mark("done")


def settle(details: Details, act: UndoRecord) -> str:
    """Find out whether an interrupted act happened; move back what it moved in part."""
    waiting = _names_set_aside(act)
    if len(waiting) == len(_aside(act).names):
        act.mark("done")
        return ""
    if waiting:
        move_back(details, act)
    discard_set_aside(act)
    act.forget()
    return f"{printable(act.path)}: a {act.kind} was cut off; all is as it was before"


def move_out(details: Details, act: UndoRecord, still_at_rest: Callable[[], None], *, whiteout: bool) -> None:
    """Move what an act names out of the layer; ``whiteout`` hides the image's entry in the same step.

    ``still_at_rest`` raises if the layer is in use; then everything is moved back.
    """
    aside = _aside(act)
    still_at_rest()
    moved: list[bytes] = []
    with change_explained(act.path), layer(details) as root, directory(root, aside.parent) as parent_fd:
        make_place(aside.directory)
        with opened(aside.directory) as aside_fd:
            try:
                for name in aside.names:
                    renameat2(parent_fd, name, aside_fd, name, NO_REPLACE | (WHITEOUT if whiteout else 0))
                    moved.append(name)
                os.fsync(aside_fd)
                os.fsync(parent_fd)
                still_at_rest()
            except ContainerGone:
                raise  # an entry that is moved back would obstruct the removal
            except BaseException:
                for name in reversed(moved):
                    _move_name_back(act, aside_fd, parent_fd, name)
                os.fsync(parent_fd)
                raise


def move_back(details: Details, act: UndoRecord) -> None:
    """Move back what an act set aside; raises ChangedMeanwhile if its place is taken.

    Can be repeated after an interruption.
    """
    aside = _aside(act)
    if details.container.state.alive and stack_of(details).whiteout_style is not WhiteoutStyle.TREE:
        message = f"{printable(act.path)} was set aside beside the layer, which the running container uses"
        raise EditRefused(message, "stop the container, then undo")
    waiting = _names_set_aside(act)
    with change_explained(act.path), layer(details) as root, directory(root, aside.parent) as parent_fd:
        if not waiting:
            if any(_is_free(act, parent_fd, name) for name in aside.names):
                raise NotFound(f"{aside.directory} is gone, and what was set aside with it", "nothing was changed")
            return
        for name in waiting:
            if not _is_free(act, parent_fd, name):
                raise ChangedMeanwhile(f"{printable(act.path)} exists again", "rename or delete it first")
        with opened(aside.directory) as aside_fd:
            for name in reversed(waiting):
                _move_name_back(act, aside_fd, parent_fd, name)
            os.fsync(parent_fd)
            os.fsync(aside_fd)


def _names_set_aside(act: UndoRecord) -> list[bytes]:
    """Return the names that are set aside now; a whiteout there comes from moving back after a deletion."""
    aside = _aside(act)
    try:
        with opened(aside.directory) as aside_fd:
            return [name for name in aside.names if not _is_free(act, aside_fd, name)]
    except FileNotFoundError:
        return []


def discard_set_aside(act: UndoRecord) -> None:
    """Delete what an act set aside, or its empty directory; raises EditRefused."""
    directory = _aside(act).directory
    try:
        remove_set_aside(directory)
    except OSError as error:
        raise EditRefused(f"{directory}: {(error.strerror or '').lower()}", "it is left there") from error


def _aside(act: UndoRecord) -> SetAside:
    if act.aside is None:
        raise EditRefused(f"{printable(act.path)} was not set aside", "nothing was changed")
    return act.aside


@contextmanager
def directory(root: Root, path: bytes) -> Iterator[int]:
    """Yield a descriptor of a layer's directory without following links; raises ChangedMeanwhile."""
    try:
        fd = root.open_canonical(path, os.O_RDONLY | os.O_DIRECTORY)
    except NotFound as error:
        told = f"{printable(path)} is no directory of the layer any more"
        raise ChangedMeanwhile(told, "undo first what changed it") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _is_free(act: UndoRecord, directory: int, name: bytes) -> bool:
    """Return whether a name is free, or has only the whiteout that the act left."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return True
    may_be = act.kind in _DELETES or (act.aside is not None and act.aside.exchanged)
    return may_be and is_whiteout(status)


def _move_name_back(act: UndoRecord, aside_fd: int, parent_fd: int, name: bytes) -> None:
    """Rename an entry back, exchanging it with a whiteout if there is one, so that the image's entry never shows."""
    if atomic.is_gone(parent_fd, name):
        renameat2(aside_fd, name, parent_fd, name, NO_REPLACE)
    elif _is_free(act, parent_fd, name):
        renameat2(aside_fd, name, parent_fd, name, EXCHANGE)
    else:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
