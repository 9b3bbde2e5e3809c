"""Remove an entry and its marks from the writable layer, so that the image's entry shows again.

The entry is renamed in one step into a directory next to the layer, and deleted only if the layer is still at rest
then: a container that starts meanwhile finds either the old entry or the image's, never half of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tui.core.errors import LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import EntryKind, LayerStack, WhiteoutStyle
from tui.files.history.rollback import is_same_state
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.write import atomic
from tui.files.write.move_out import LayerNames, RawStates, RestingLayer, moved_out, states_of
from tui.layers.directories import upper_root
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_opaque, whiteout_of
from tui.linux.failures import change_explained
from tui.linux.rooted_paths import Root, split


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


def raw_states(stack: LayerStack, view: LayerView, canonical_path: bytes) -> RawStates:
    """Describe what :func:`uncovered` would remove, to compare it later with what it removed."""
    with (
        change_explained(canonical_path),
        upper_root(stack) as upper,
        _own_names(stack, view, upper, canonical_path) as names,
    ):
        return states_of(names)


def upper_names(stack: LayerStack, view: LayerView, canonical_path: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the directory and the names in it that :func:`uncovered` would remove."""
    with (
        change_explained(canonical_path),
        upper_root(stack) as upper,
        _own_names(stack, view, upper, canonical_path) as (_, parent, names),
    ):
        return parent, names


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


@contextmanager
def uncovered(
    stack: LayerStack,
    view: LayerView,
    canonical_path: bytes,
    container_id: ContainerId,
    states: RawStates,
    still_at_rest: Callable[[], None],
) -> Iterator[None]:
    """Remove the layer's own entry; at the end of the context the removed entry is deleted for good.

    Directories above that were copied up only for it are removed as well. ``still_at_rest`` raises if the layer is in
    use; ``states`` is what the backup has. If either check fails, the entry is put back. Raises DtuiError, or
    NotPutBack if the entry cannot be put back.
    """
    layer = RestingLayer(stack, container_id, still_at_rest)
    with moved_out(layer, canonical_path, lambda upper: _own_names(stack, view, upper, canonical_path), states):
        yield


@contextmanager
def _own_names(stack: LayerStack, view: LayerView, upper: Root, canonical_path: bytes) -> Iterator[LayerNames]:
    """Yield an open directory of the layer, its path, and the names to remove from it; of the root, all names."""
    if canonical_path == b"/":
        yield LayerNames(upper.fd, b"/", tuple(os.fsencode(name) for name in os.listdir(upper.fd)))
        return
    path = canonical_path
    while _copied_up_only_for(stack, view, upper, path):
        path = split(path)[0]
    with upper.parent(path) as (dir_fd, name):
        own_names = (
            own_name
            for own_name in (name, whiteout_of(name, stack.whiteout_style))
            if own_name and not atomic.is_gone(dir_fd, own_name)
        )
        yield LayerNames(dir_fd, split(path)[0], tuple(own_names))


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
