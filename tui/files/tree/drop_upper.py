"""A writable layer's own entry taken away, marks and all, so that the image's shows again and no trace is left.

It is renamed, in one step, out of the layer into a directory beside it, and thrown away only when the layer is still at
rest then: a container that starts meanwhile finds the old entry or the image's, never half of one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tui.core.errors import ChangedMeanwhile, LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import EntryKind, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.data_root import open_beside
from tui.files.history import journal
from tui.files.history.rollback import same
from tui.files.removal_watch import ContainerGone
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.write import atomic
from tui.layers.directories import upper_beside, upper_root
from tui.layers.private_mounts import trash_dir
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_mark, is_opaque, whiteout_of
from tui.linux.name_ops import NO_REPLACE, OwnNameOps
from tui.linux.remove_tree import remove_tree
from tui.linux.rooted_paths import Root, kind_of, open_child, open_directory, split
from tui.linux.syscalls import is_fixed
from tui.linux.trail import Trail

Raw = dict[bytes, tuple[int, ...]]
"""What lies in a layer by its canonical path: mode, owner, group and inode, of what is no directory also size and
mtime."""


class NotPutBack(ChangedMeanwhile):
    """The container was started in the middle, and what was taken away is only in the backup."""

    tells_outcome = True


def shows_through(stack: LayerStack, view: LayerView, real: bytes) -> bool:
    """Say whether the image's entry shows once the writable layer's own is gone: nothing above it is opaque."""
    if stack.marks is WhiteoutStyle.TREE:
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


def raw(stack: LayerStack, view: LayerView, real: bytes) -> Raw:
    """Describe what :func:`uncovered` would take away, to be compared with what it takes."""
    with (
        atomic.explained(real),
        upper_root(stack) as upper,
        _own_names(stack, view, upper, real) as (dir_fd, above, names),
    ):
        return _raw(dir_fd, above, names)


def own_part(stack: LayerStack, view: LayerView, real: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return which names of which directory :func:`uncovered` would take away."""
    with (
        atomic.explained(real),
        upper_root(stack) as upper,
        _own_names(stack, view, upper, real) as (_, above, names),
    ):
        return above, tuple(names)


def lies_in_image(stack: LayerStack, view: LayerView, nodes: tuple[EntrySnapshot, ...]) -> bool:
    """Say whether an entry and all below it, parents first, are just what the image has there and would show."""
    top, paths = nodes[0].path, {node.path for node in nodes}
    below = top.rstrip(b"/") + b"/"
    if stack.marks is WhiteoutStyle.TREE or any(node.kind is None for node in nodes) or top == b"/":
        return False
    if not all((path + b"/").startswith(below) for path in paths) or not shows_through(stack, view, top):
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
    if image.mtime_ns != node.mtime_ns or not same(image, node):
        return False
    if node.kind is not EntryKind.DIRECTORY:
        return True
    prefix = node.path.rstrip(b"/") + b"/"
    return all(prefix + name in paths for name in view.names(node.path, before=True))


def _raw(dir_fd: int, above: bytes, names: list[bytes]) -> Raw:
    """Describe names in an open directory and all below them; ``above`` is its path in the container."""
    found: Raw = {}
    prefix = above.rstrip(b"/") + b"/"
    todo = list(names)
    trail = Trail(dir_fd, open_directory, os.close)
    try:
        while todo:
            path = todo.pop()
            holder, _, name = path.rpartition(b"/")
            found[prefix + path] = _raw_one(trail.at(b"/" + holder), name)
            if stat.S_ISDIR(found[prefix + path][0]):
                todo += [path + b"/" + os.fsencode(below) for below in os.listdir(trail.at(b"/" + path))]
    finally:
        trail.close()
    return found


def _raw_one(dir_fd: int, name: bytes) -> tuple[int, ...]:
    fd = open_child(dir_fd, name, os.O_PATH)
    try:
        status = os.fstat(fd)
        if is_fixed(fd):  # it can be moved with its directory, but not be removed
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    finally:
        os.close(fd)
    told = (status.st_mode, status.st_uid, status.st_gid, status.st_ino)
    return told if stat.S_ISDIR(status.st_mode) else (*told, status.st_size, status.st_mtime_ns)


def refuse_unkept(seen: Raw, real: bytes, nodes: Iterable[EntrySnapshot], marks: WhiteoutStyle) -> None:
    """Raise ChangedMeanwhile unless all that is about to be taken away at and below a path was kept as it lies there.

    A directory above that was copied up for it alone is as the image has it, and marks are no entries.
    """
    kept = {node.path: node for node in nodes}
    below = real.rstrip(b"/") + b"/"
    for path, state in seen.items():
        if (path + b"/").startswith(below) and not is_mark(split(path)[1], marks):
            node = kept.get(path)
            if node is None or not _is_kept(state, node):
                raise ChangedMeanwhile(f"{printable(path)} was changed meanwhile", "look at it, then do it again")


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
    real: bytes,
    container_id: ContainerId,
    seen: Raw,
    still_at_rest: Callable[[], None],
) -> Iterator[None]:
    """Take an entry's own part in the writable layer away; what was taken is thrown away at the end of the context.

    With it go directories above that were copied up for it alone. ``still_at_rest`` raises when somebody uses the
    layer, ``seen`` is what was kept of it; the entry is back in its place when either is not so. Raises DtuiError,
    NotPutBack where it cannot be.
    """
    trash = trash_dir(stack)
    with (
        journal.working(container_id, trash),
        Root(open_beside(stack)) as beside,
        Root(upper_beside(stack, beside.fd)) as upper,
    ):
        still_at_rest()
        with (
            _new_directory(beside.fd, os.fsencode(trash.name), real) as trash_fd,
            atomic.explained(real),
            _own_names(stack, view, upper, real) as (dir_fd, above, names),
            _taken(dir_fd, names, trash_fd, real),
        ):
            still_at_rest()
            if _raw(trash_fd, above, names) != seen:
                raise ChangedMeanwhile(f"{printable(real)} was changed meanwhile", "look at it, then do it again")
            yield


@contextmanager
def _new_directory(beside: int, name: bytes, real: bytes) -> Iterator[int]:
    """Yield a new directory, which is removed with all that came into it."""
    try:
        with suppress(FileNotFoundError):
            remove_tree(beside, name)
        os.mkdir(name, 0o700, dir_fd=beside)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=beside)
    except OSError as error:
        raise atomic.explain(error, real) from error
    try:
        yield fd
    finally:
        os.close(fd)
        with suppress(OSError):  # what cannot be removed now is in the journal, and removed at the next start
            remove_tree(beside, name)


@contextmanager
def _own_names(
    stack: LayerStack, view: LayerView, upper: Root, real: bytes
) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Yield a directory of the writable layer, open, its path, and which of its names to take; of the root, all."""
    if real == b"/":
        yield upper.fd, b"/", [os.fsencode(name) for name in os.listdir(upper.fd)]
        return
    path = real
    while _only_for(stack, view, upper, path):
        path = split(path)[0]
    with upper.parent(path) as (dir_fd, name):
        yield (
            dir_fd,
            split(path)[0],
            [one for one in (name, whiteout_of(name, stack.marks)) if one and not atomic.is_gone(dir_fd, one)],
        )


def _only_for(stack: LayerStack, view: LayerView, upper: Root, path: bytes) -> bool:
    """Say whether the directory above was copied up for an entry alone: it holds nothing else and is the image's."""
    above, name = split(path)
    if above == b"/":
        return False
    try:
        fd = upper.open_canonical(above, os.O_RDONLY | os.O_DIRECTORY)
    except (NotFound, LayerError):
        return False
    try:
        others = {os.fsencode(one) for one in os.listdir(fd)} - {name, whiteout_of(name, stack.marks)}
        if others or is_opaque(fd, stack.marks, userxattr=stack.userxattr):
            return False
        image_fd = view.open_path(above, before=True)
        try:
            own, image = snapshot_of(fd, above, raw=True), snapshot_of(image_fd, above, raw=True)
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
def _taken(dir_fd: int, names: list[bytes], trash_fd: int, real: bytes) -> Iterator[None]:
    """Rename names into the trash, and back when the context fails."""
    hands = OwnNameOps()
    taken: list[bytes] = []
    try:
        for name in names:
            hands.rename(dir_fd, name, trash_fd, name, NO_REPLACE)
            taken.append(name)
        os.fsync(dir_fd)
        yield
    except ContainerGone:
        raise  # an entry that is moved back would stand in the way of the removal
    except BaseException as error:
        left = _put_back(hands, trash_fd, dir_fd, taken)
        if left:
            why = f"{printable(left[0][0])}: {(left[0][1].strerror or '').lower()}"
            told = f"{printable(real)} could not be put back when the container was started meanwhile: {why}"
            raise NotPutBack(told, "dtui undo --force brings it back") from error
        raise


def _put_back(hands: OwnNameOps, trash_fd: int, dir_fd: int, names: list[bytes]) -> list[tuple[bytes, OSError]]:
    """Rename names back where nobody made them anew; return those that could not be, and why."""
    left = []
    for name in reversed(names):
        try:
            hands.rename(trash_fd, name, dir_fd, name, NO_REPLACE)
        except OSError as error:
            left.append((name, error))
    with suppress(OSError):  # the directory may be gone
        os.fsync(dir_fd)
    return left
