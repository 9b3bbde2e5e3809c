"""Bytes that are unchanged in the image: they need no backup, and undo reads them from there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tui.core.errors import LayerError, NotFound
from tui.core.records import Details, EntryKind, WhiteoutStyle
from tui.core.text import printable
from tui.files.tree.snapshots import EntrySnapshot
from tui.layers.directories import upper_root
from tui.layers.view import LayerView
from tui.linux.rooted_paths import Root, reopen_regular, split

FromImage = Callable[[EntrySnapshot], EntrySnapshot]


def not_from_image(node: EntrySnapshot) -> EntrySnapshot:
    """Return the entry unmarked: nothing is known about an image."""
    return node


@contextmanager
def image_of(details: Details) -> Iterator[FromImage]:
    """Yield a function that marks files whose bytes are in the image and not in the writable layer.

    A full tree has all bytes itself.
    """
    stack = details.stack
    if stack is None or stack.whiteout_style is WhiteoutStyle.TREE:
        yield not_from_image
        return
    with LayerView.open(stack) as view, view.keep_open(), upper_root(stack) as upper:
        yield _Image(view, upper).marked


def marked_of(details: Details, node: EntrySnapshot) -> EntrySnapshot:
    """Return an entry, marked if its bytes are in the image."""
    with image_of(details) as from_image:
        return from_image(node)


class _Image:
    def __init__(self, view: LayerView, upper: Root) -> None:
        self._view = view
        self._upper = upper
        self._names: tuple[bytes, frozenset[bytes]] = (b"", frozenset())

    def marked(self, node: EntrySnapshot) -> EntrySnapshot:
        """Mark a file that is not in the writable layer and unchanged in the image."""
        if node.kind is not EntryKind.FILE or self._is_in_upper(node.path):
            return node
        try:
            fd = self._view.open_path(node.path, before=True)
        except (NotFound, LayerError):
            return node
        try:
            return replace(node, image=_is_same_file(os.fstat(fd), node))
        finally:
            os.close(fd)

    def _is_in_upper(self, path: bytes) -> bool:
        parent, name = split(path)
        if self._names[0] != parent:
            self._names = parent, self._listed(parent)
        return name in self._names[1]

    def _listed(self, path: bytes) -> frozenset[bytes]:
        """Return the writable layer's names in a directory; none if it does not have the directory."""
        try:
            fd = self._upper.open_canonical(path, os.O_RDONLY | os.O_DIRECTORY)
        except NotFound:
            return frozenset()
        try:
            return frozenset(map(os.fsencode, os.listdir(fd)))
        finally:
            os.close(fd)


def _is_same_file(status: os.stat_result, node: EntrySnapshot) -> bool:
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (node.size, node.mtime_ns)


def open_in_image(view: LayerView, node: EntrySnapshot) -> int:
    """Open a file's bytes in the image; raises LayerError if the image's file is a different one now."""
    fd = view.open_path(node.path, before=True)
    try:
        if not _is_same_file(os.fstat(fd), node):
            raise LayerError(f"{printable(node.path)} is not what it was in the image", "the image was changed by hand")
        return reopen_regular(fd, node.path)
    finally:
        os.close(fd)
