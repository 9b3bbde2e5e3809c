"""Remove an entry and its marks from the writable layer, so that the image's entry shows again.

The entry is renamed in one step into a directory next to the layer, and deleted only if the layer is still at rest
then: a container that starts meanwhile finds either the old entry or the image's, never half of one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tui.core.errors import ChangedMeanwhile, LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import EntryKind, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.data_root import open_layer_parent
from tui.files.history import journal
from tui.files.history.rollback import is_same_state
from tui.files.removal_watch import ContainerGone
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.write import atomic
from tui.files.write.unchanged import changed_meanwhile
from tui.layers.directories import open_upper_in, upper_root
from tui.layers.private_mounts import trash_dir
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_mark, is_opaque, whiteout_of
from tui.linux.failures import change_explained, explain_change
from tui.linux.name_ops import NO_REPLACE, OwnNameOps
from tui.linux.remove_tree import recreate_directory, remove_tree
from tui.linux.rooted_paths import Root, kind_of, open_child, open_directory, split
from tui.linux.syscalls import is_fixed
from tui.linux.trail import Trail

Raw = dict[bytes, tuple[int, ...]]
"""Entries of a layer by canonical path: mode, owner, group, inode; unless it is a directory, also size and mtime."""


class NotPutBack(ChangedMeanwhile):
    """The container was started meanwhile, and what was removed is now only in the backup."""

    states_outcome = True


def shows_through(stack: LayerStack, view: LayerView, canonical_path: bytes) -> bool:
    """Return whether the image's entry shows once the layer's own is gone: no directory above it is opaque."""
    if stack.whiteout_style is WhiteoutStyle.TREE:
        return False
    parent = b"/"
    for name in [b"", *filter(None, split(canonical_path)[0].split(b"/"))]:
        parent = parent.rstrip(b"/") + b"/" + name if name else parent
        under = view.image_entry(parent) if name else None
        if name and (under is None or under.kind is not EntryKind.DIRECTORY):
            return view.image_entry(canonical_path) is None
        try:
            with view.own_directory(parent) as fd:
                if name and is_opaque(fd, stack.whiteout_style, userxattr=stack.userxattr):
                    return view.image_entry(canonical_path) is None
        except NotFound:
            return True  # the writable layer has nothing here
    return True


def raw_states(stack: LayerStack, view: LayerView, canonical_path: bytes) -> Raw:
    """Describe what :func:`uncovered` would remove, to compare it later with what it removed."""
    with (
        change_explained(canonical_path),
        upper_root(stack) as upper,
        _own_names(stack, view, upper, canonical_path) as (dir_fd, parent, names),
    ):
        return _raw(dir_fd, parent, names)


def upper_names(stack: LayerStack, view: LayerView, canonical_path: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the directory and the names in it that :func:`uncovered` would remove."""
    with (
        change_explained(canonical_path),
        upper_root(stack) as upper,
        _own_names(stack, view, upper, canonical_path) as (_, parent, names),
    ):
        return parent, tuple(names)


def lies_in_image(stack: LayerStack, view: LayerView, nodes: Sequence[EntrySnapshot]) -> bool:
    """Return whether the image has exactly these entries (parents first) and would show them."""
    top, paths = nodes[0].path, {node.path for node in nodes}
    prefix = top.rstrip(b"/") + b"/"
    if stack.whiteout_style is WhiteoutStyle.TREE or any(node.kind is None for node in nodes) or top == b"/":
        return False
    if not all((path + b"/").startswith(prefix) for path in paths) or not shows_through(stack, view, top):
        return False
    return all(_is_in_image(view, node, paths) for node in nodes)


def _is_in_image(view: LayerView, node: EntrySnapshot, paths: set[bytes]) -> bool:
    try:
        fd = view.open_path(node.path, before=True)
    except NotFound:
        return False
    try:
        image = snapshot_of(fd, node.path, raw=True)
    finally:
        os.close(fd)
    if image.mtime_ns != node.mtime_ns or not is_same_state(image, node):
        return False
    if node.kind is not EntryKind.DIRECTORY:
        return True
    prefix = node.path.rstrip(b"/") + b"/"
    return all(prefix + name in paths for name in view.names(node.path, before=True))


def _raw(dir_fd: int, parent: bytes, names: list[bytes]) -> Raw:
    """Describe names in an open directory and everything below; ``parent`` is its path in the container."""
    states: Raw = {}
    prefix = parent.rstrip(b"/") + b"/"
    todo = list(names)
    trail = Trail(dir_fd, open_directory, os.close)
    try:
        while todo:
            path = todo.pop()
            holder, _, name = path.rpartition(b"/")
            states[prefix + path] = _raw_one(trail.at(b"/" + holder), name)
            if stat.S_ISDIR(states[prefix + path][0]):
                todo += [path + b"/" + os.fsencode(child) for child in os.listdir(trail.at(b"/" + path))]
    finally:
        trail.close()
    return states


def _raw_one(dir_fd: int, name: bytes) -> tuple[int, ...]:
    fd = open_child(dir_fd, name, os.O_PATH)
    try:
        status = os.fstat(fd)
        if is_fixed(fd):  # it can be moved with its directory, but not removed
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    finally:
        os.close(fd)
    state = (status.st_mode, status.st_uid, status.st_gid, status.st_ino)
    return state if stat.S_ISDIR(status.st_mode) else (*state, status.st_size, status.st_mtime_ns)


def refuse_unkept(states: Raw, canonical_path: bytes, nodes: Iterable[EntrySnapshot], marks: WhiteoutStyle) -> None:
    """Raise ChangedMeanwhile unless the backup has everything that is about to be removed, in its current state.

    Whiteouts are ignored, and so is a directory above that was copied up for this entry alone: the image has the same.
    """
    nodes_by_path = {node.path: node for node in nodes}
    prefix = canonical_path.rstrip(b"/") + b"/"
    for path, state in states.items():
        if (path + b"/").startswith(prefix) and not is_mark(split(path)[1], marks):
            node = nodes_by_path.get(path)
            if node is None or not _is_kept(state, node):
                raise changed_meanwhile(path)


def _is_kept(state: tuple[int, ...], node: EntrySnapshot) -> bool:
    kind = kind_of(state[0])
    if node.kind is None:
        return kind is EntryKind.CHARACTER  # a whiteout
    if node.kind is not kind or node.mode != stat.S_IMODE(state[0]):
        return False
    return kind is EntryKind.DIRECTORY or (
        state[5] == node.mtime_ns and (kind is not EntryKind.FILE or state[4] == node.size)
    )


@contextmanager
def uncovered(
    stack: LayerStack,
    view: LayerView,
    canonical_path: bytes,
    container_id: ContainerId,
    states: Raw,
    still_at_rest: Callable[[], None],
) -> Iterator[None]:
    """Remove the layer's own entry; at the end of the context the removed entry is deleted for good.

    Directories above that were copied up only for it are removed as well. ``still_at_rest`` raises if the layer is in
    use; ``states`` is what the backup has. If either check fails, the entry is put back. Raises DtuiError, or
    NotPutBack if the entry cannot be put back.
    """
    trash = trash_dir(stack)
    with (
        journal.work_dir_recorded(container_id, trash),
        Root(open_layer_parent(stack)) as beside,
        Root(open_upper_in(stack, beside.fd)) as upper,
    ):
        still_at_rest()
        with (
            _new_directory(beside.fd, os.fsencode(trash.name), canonical_path) as trash_fd,
            change_explained(canonical_path),
            _own_names(stack, view, upper, canonical_path) as (dir_fd, parent, names),
            _moved_to_trash(dir_fd, names, trash_fd, canonical_path),
        ):
            still_at_rest()
            if _raw(trash_fd, parent, names) != states:
                raise changed_meanwhile(canonical_path)
            yield


@contextmanager
def _new_directory(beside: int, name: bytes, canonical_path: bytes) -> Iterator[int]:
    """Yield a new directory, and remove it with its content at the end."""
    try:
        fd = recreate_directory(beside, name)
    except OSError as error:
        raise explain_change(error, canonical_path) from error
    try:
        yield fd
    finally:
        os.close(fd)
        with suppress(OSError):  # the journal has it, and the next start tries again
            remove_tree(beside, name)


@contextmanager
def _own_names(
    stack: LayerStack, view: LayerView, upper: Root, canonical_path: bytes
) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Yield an open directory of the layer, its path, and the names to remove from it; of the root, all names."""
    if canonical_path == b"/":
        yield upper.fd, b"/", [os.fsencode(name) for name in os.listdir(upper.fd)]
        return
    path = canonical_path
    while _copied_up_only_for(stack, view, upper, path):
        path = split(path)[0]
    with upper.parent(path) as (dir_fd, name):
        yield (
            dir_fd,
            split(path)[0],
            [
                own_name
                for own_name in (name, whiteout_of(name, stack.whiteout_style))
                if own_name and not atomic.is_gone(dir_fd, own_name)
            ],
        )


def _copied_up_only_for(stack: LayerStack, view: LayerView, upper: Root, path: bytes) -> bool:
    """Return whether the parent was copied up for this entry alone: it has no other names and equals the image's."""
    parent, name = split(path)
    if parent == b"/":
        return False
    try:
        fd = upper.open_canonical(parent, os.O_RDONLY | os.O_DIRECTORY)
    except (NotFound, LayerError):
        return False
    try:
        siblings = {os.fsencode(child) for child in os.listdir(fd)} - {name, whiteout_of(name, stack.whiteout_style)}
        if siblings or is_opaque(fd, stack.whiteout_style, userxattr=stack.userxattr):
            return False
        image_fd = view.open_path(parent, before=True)
        try:
            own, image = snapshot_of(fd, parent, raw=True), snapshot_of(image_fd, parent, raw=True)
        finally:
            os.close(image_fd)
    except NotFound:
        return False
    finally:
        os.close(fd)
    return (own.kind, own.mode, own.uid, own.gid, own.xattrs) == (
        image.kind,
        image.mode,
        image.uid,
        image.gid,
        image.xattrs,
    )


@contextmanager
def _moved_to_trash(dir_fd: int, names: list[bytes], trash_fd: int, canonical_path: bytes) -> Iterator[None]:
    """Rename names into the trash directory, and back if the context fails."""
    hands = OwnNameOps()
    moved: list[bytes] = []
    try:
        for name in names:
            hands.rename(dir_fd, name, trash_fd, name, NO_REPLACE)
            moved.append(name)
        os.fsync(dir_fd)
        yield
    except ContainerGone:
        raise  # an entry that is moved back would obstruct the removal
    except BaseException as error:
        failures = _put_back(hands, trash_fd, dir_fd, moved)
        if failures:
            why = f"{printable(failures[0][0])}: {(failures[0][1].strerror or '').lower()}"
            message = (
                f"{printable(canonical_path)} could not be put back when the container was started meanwhile: {why}"
            )
            raise NotPutBack(message, "dtui undo --force brings it back") from error
        raise


def _put_back(hands: OwnNameOps, trash_fd: int, dir_fd: int, names: list[bytes]) -> list[tuple[bytes, OSError]]:
    """Rename names back unless they exist again; return those that failed, with the errors."""
    failures = []
    for name in reversed(names):
        try:
            hands.rename(trash_fd, name, dir_fd, name, NO_REPLACE)
        except OSError as error:
            failures.append((name, error))
    with suppress(OSError):  # the directory may be gone
        os.fsync(dir_fd)
    return failures
