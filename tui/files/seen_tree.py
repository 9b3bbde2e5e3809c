"""What a container sees: its layers, and over them the mounts that can be reached from here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tui.core.errors import NotFound
from tui.core.records import Details, Entry, EntryKind, LayerStack, Mount, View
from tui.files.tree.mounted import volume_root
from tui.files.verbs.opening import reading_root, stack_of
from tui.layers.entry_diff import LayerEntry, entry_of
from tui.layers.view import LayerView
from tui.linux.rooted_paths import Root, normalized, refuse_kernel_files, status_of


class SeenTree:
    """A container's tree for browsing. While it runs, mounts are read through its process, else volumes on the host.

    The view of the layer alone is that of :class:`LayerView`.
    """

    cut = False
    left_out = 0

    def __init__(self, details: Details) -> None:
        """Open the layers; raises NotReachable, LayerError."""
        self._details = details
        self._layers = LayerView.open(stack_of(details), details.mounts)
        self._kept = threading.local()

    @property
    def stack(self) -> LayerStack:
        """The layers."""
        return self._layers.stack

    def close(self) -> None:
        """Close the descriptors; idempotent."""
        self._layers.close()

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Keep what a walk needs mounted for the duration of the context."""
        with self._layers.keep_open():
            yield

    def resolve(self, path: bytes) -> bytes:
        """Return the canonical path of a path that may contain symlinks; raises NotFound."""
        opened_root = reading_root(self._details) if self._details.mounts else None
        if opened_root is not None:
            try:
                with opened_root as root:
                    return root.real_path(normalized(path))
            except NotFound:
                pass  # it may be in the layer, hidden by a mount
        elif self._layers.covers.mount_hiding(normalized(path)):
            return normalized(path)  # links in a volume mean nothing without its container
        return self._layers.resolve(path)

    def children(self, path: bytes, view: View) -> list[Entry]:
        """List a directory by canonical path, directories first; raises NotFound, NotReachable, LayerError."""
        mount = self._layers.covers.mount_hiding(path)
        if view is View.LAYER or mount is None:
            return self._layers.children(path, view)
        with self._mounted(mount, path) as (root, inner):
            entries = list(_entries(root, inner, path, mount))
        return sorted(entries, key=lambda entry: (entry.kind is not EntryKind.DIRECTORY, entry.path))

    @contextmanager
    def _mounted(self, mount: Mount, path: bytes) -> Iterator[tuple[Root, bytes]]:
        """Yield a root in which what is mounted at a path is found, and the path in it."""
        opened_root = reading_root(self._details)
        if opened_root is not None:
            with opened_root as root:
                yield root, path
            return
        with volume_root(self._layers, mount, path) as root_and_path:
            yield root_and_path


def _entries(root: Root, inner: bytes, path: bytes, mount: Mount) -> Iterator[Entry]:
    fd = root.open_canonical(inner, os.O_RDONLY | os.O_DIRECTORY)
    try:
        refuse_kernel_files(fd, path)
        prefix = path.rstrip(b"/") + b"/"
        for name in map(os.fsencode, os.listdir(fd)):
            status = status_of(fd, name)
            if status is not None:
                yield replace(entry_of(prefix + name, LayerEntry(0, fd, name, status), None), inside=mount)
    finally:
        os.close(fd)
