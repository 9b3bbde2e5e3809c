"""Move names out of a layer at rest in one step, look at what was moved, and delete it or put it back.

They are renamed into a directory that no container sees, and deleted only if the layer is still at rest then and
exactly what the backup has was moved. Whoever reads the layer meanwhile, such as a container that starts or
``docker commit``, finds either everything or nothing of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import NamedTuple

from tui.core import progress
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused
from tui.core.ids import ContainerId
from tui.core.records import EntryKind, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.files.history import journal
from tui.files.removal_watch import ContainerGone
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.write import atomic
from tui.files.write.aside_places import trash_place
from tui.files.write.unchanged import changed_meanwhile
from tui.layers.whiteouts import is_mark, is_whiteout
from tui.linux.failures import change_explained, explain_change
from tui.linux.name_ops import EXCHANGE, NO_REPLACE, WHITEOUT, OwnNameOps
from tui.linux.remove_tree import recreate_directory, remove_tree
from tui.linux.rooted_paths import Root, kind_of, open_child, open_directory, split
from tui.linux.syscalls import is_fixed, renameat2
from tui.linux.trail import Trail

_UNSUPPORTED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOSPC, errno.EDQUOT)
"""What a rename out of the layer may fail with where entries can still be removed one by one."""


class RawState(NamedTuple):
    """An entry as it is in a layer's own directory; of a directory, size and time are 0, since its content counts."""

    mode: int
    uid: int
    gid: int
    inode: int
    rdev: int
    size: int = 0
    mtime_ns: int = 0

    @property
    def is_whiteout(self) -> bool:
        """Whether it is a whiteout, if the layer is a union's."""
        return stat.S_ISCHR(self.mode) and self.rdev == 0


RawStates = dict[bytes, RawState]
"""Entries of a layer by canonical path."""


class LayerNames(NamedTuple):
    """Names in one open directory of a layer; ``parent`` is the directory's path in the container."""

    dir_fd: int
    parent: bytes
    names: tuple[bytes, ...]


class RestingLayer(NamedTuple):
    """A container's layer at rest; ``still_at_rest`` raises once it is in use."""

    stack: LayerStack
    container_id: ContainerId
    still_at_rest: Callable[[], None]


class NotPutBack(ChangedMeanwhile):
    """The container was started meanwhile, and what was removed is now only in the backup."""

    states_outcome = True


class CannotMoveOut(EditRefused):
    """Nothing can be renamed out of this layer; entries may still be removed one by one. Nothing was changed."""


def states_of(names: LayerNames) -> RawStates:
    """Describe names and everything below them; raises OSError for an entry that cannot be removed."""
    return dict(_each_state(names))


def _each_state(names: LayerNames) -> Generator[tuple[bytes, RawState]]:
    prefix = names.parent.rstrip(b"/") + b"/"
    todo = list(names.names)
    trail = Trail(names.dir_fd, open_directory, os.close)
    try:
        while todo:
            path = todo.pop()
            holder, _, name = path.rpartition(b"/")
            state = _state_of(trail.at(b"/" + holder), name)
            yield prefix + path, state
            if stat.S_ISDIR(state.mode):
                todo += [path + b"/" + os.fsencode(child) for child in os.listdir(trail.at(b"/" + path))]
    finally:
        trail.close()


def _have_states(names: LayerNames, states: RawStates) -> bool:
    count = 0
    with closing(_each_state(names)) as found:
        for path, state in found:
            if states.get(path) != state:
                return False
            count += 1
    return count == len(states)


def _state_of(dir_fd: int, name: bytes) -> RawState:
    fd = open_child(dir_fd, name, os.O_PATH)
    try:
        status = os.fstat(fd)
        if is_fixed(fd):  # it can be moved with its directory, but not removed
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    finally:
        os.close(fd)
    state = RawState(status.st_mode, status.st_uid, status.st_gid, status.st_ino, status.st_rdev)
    return state if stat.S_ISDIR(status.st_mode) else state._replace(size=status.st_size, mtime_ns=status.st_mtime_ns)


def refuse_unkept(
    states: RawStates, canonical_path: bytes, nodes: Iterable[EntrySnapshot], marks: WhiteoutStyle
) -> None:
    """Raise ChangedMeanwhile unless the backup has everything that is about to be removed, in its current state.

    Whiteout files are ignored, and so is a directory above that was copied up for this entry alone: the image has the
    same.
    """
    nodes_by_path = {node.path: node for node in nodes}
    prefix = canonical_path.rstrip(b"/") + b"/"
    for path, state in states.items():
        if (path + b"/").startswith(prefix) and not is_mark(split(path)[1], marks):
            node = nodes_by_path.get(path)
            if node is None or not _is_kept(state, node):
                raise changed_meanwhile(path)


def _is_kept(state: RawState, node: EntrySnapshot) -> bool:
    kind = kind_of(state.mode)
    if node.kind is None:
        return state.is_whiteout
    if node.kind is not kind or node.mode != stat.S_IMODE(state.mode):
        return False
    return kind is EntryKind.DIRECTORY or (
        state.mtime_ns == node.mtime_ns and (kind is not EntryKind.FILE or state.size == node.size)
    )


@contextmanager
def moved_out(
    layer: RestingLayer,
    canonical_path: bytes,
    names_in: Callable[[Root], AbstractContextManager[LayerNames]],
    states: RawStates,
    *,
    whiteout: bool = False,
) -> Iterator[None]:
    """Move names out of a layer; at the end of the context they are deleted for good.

    ``names_in`` opens their directory below the layer's root, and ``states`` is what the backup has of them. With
    ``whiteout`` the image's entry is hidden in the same step. If the layer is in use, anything else was moved, or the
    context fails, they are put back. Raises DtuiError, CannotMoveOut, or NotPutBack if they cannot be put back.
    """
    place = trash_place(layer.stack, layer.container_id)
    with (
        journal.work_dir_recorded(layer.container_id, place.path),
        place.opened() as (beside_fd, upper),
    ):
        layer.still_at_rest()
        with (
            _new_directory(beside_fd, os.fsencode(place.path.name), canonical_path) as trash_fd,
            change_explained(canonical_path),
            names_in(upper) as names,
            _moved_to_trash(names, trash_fd, canonical_path, whiteout=whiteout),
        ):
            layer.still_at_rest()
            if not _have_states(names._replace(dir_fd=trash_fd), states):
                raise changed_meanwhile(canonical_path)
            yield


@contextmanager
def _new_directory(beside_fd: int, name: bytes, canonical_path: bytes) -> Iterator[int]:
    """Yield a new directory, and remove it with its content at the end."""
    try:
        fd = recreate_directory(beside_fd, name)
    except OSError as error:
        raise _explained(error, canonical_path) from error
    try:
        yield fd
    finally:
        os.close(fd)
        with suppress(OSError):  # the journal has it, and the next start tries again
            remove_tree(beside_fd, name, removed=progress.step)


def _explained(error: OSError, canonical_path: bytes) -> DtuiError:
    explained = explain_change(error, canonical_path)
    return CannotMoveOut(explained.message, explained.hint) if error.errno in _UNSUPPORTED else explained


@contextmanager
def _moved_to_trash(
    names: LayerNames, trash_fd: int, canonical_path: bytes, *, whiteout: bool = False
) -> Iterator[None]:
    """Rename names into the trash directory, and back if the context fails."""
    moved: list[bytes] = []
    try:
        for name in names.names:
            try:
                _rename(names.dir_fd, name, trash_fd, whiteout=whiteout)
            except OSError as error:
                if not moved and error.errno in _UNSUPPORTED:
                    raise _explained(error, canonical_path) from error
                raise
            moved.append(name)
        os.fsync(names.dir_fd)
        yield
    except ContainerGone:
        raise  # an entry that is moved back would obstruct the removal
    except BaseException as error:
        failures = _put_back(trash_fd, names.dir_fd, moved, whiteout=whiteout)
        if failures:
            why = f"{printable(failures[0][0])}: {(failures[0][1].strerror or '').lower()}"
            message = (
                f"{printable(canonical_path)} could not be put back when the container was started meanwhile: {why}"
            )
            raise NotPutBack(message, "dtui undo --force brings it back") from error
        raise


def _rename(dir_fd: int, name: bytes, trash_fd: int, *, whiteout: bool) -> None:
    if whiteout:
        renameat2(dir_fd, name, trash_fd, name, NO_REPLACE | WHITEOUT)
    else:
        OwnNameOps().rename(dir_fd, name, trash_fd, name, NO_REPLACE)


def _put_back(trash_fd: int, dir_fd: int, names: list[bytes], *, whiteout: bool) -> list[tuple[bytes, OSError]]:
    """Rename names back unless they exist again; return those that failed, with the errors."""
    failures = []
    for name in reversed(names):
        try:
            _put_one_back(trash_fd, dir_fd, name, whiteout=whiteout)
        except OSError as error:
            failures.append((name, error))
    with suppress(OSError):  # the directory may be gone
        os.fsync(dir_fd)
    return failures


def _put_one_back(trash_fd: int, dir_fd: int, name: bytes, *, whiteout: bool) -> None:
    """Rename an entry back, exchanging it with its whiteout, so that the image's entry never shows."""
    if not whiteout or atomic.is_gone(dir_fd, name):
        OwnNameOps().rename(trash_fd, name, dir_fd, name, NO_REPLACE)
    elif is_whiteout(os.stat(name, dir_fd=dir_fd, follow_symlinks=False)):
        renameat2(trash_fd, name, dir_fd, name, EXCHANGE)
    else:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
