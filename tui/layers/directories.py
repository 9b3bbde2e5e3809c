"""The directories of a layer stack, opened once and duplicated for each use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from tui.core.errors import LayerError, NotReachable, TooManyOpen
from tui.core.records import LayerStack
from tui.core.text import printable
from tui.drivers.data_root import data_root_error, open_layer
from tui.layers.device_mounts import source_directory
from tui.linux.rooted_paths import Root, open_directory

Directories = list[tuple[int, int]]
"""(layer index, descriptor) of the layers that make up one directory of the union, top first."""


class LayerDirectories:
    """Descriptors of all layers of a stack. Any thread may use or close them.

    Layers that must be mounted are mounted for each single use, or while :meth:`keep_open` lasts: as long as we hold a
    dataset or device, the Engine cannot remove it.
    """

    def __init__(self, stack: LayerStack) -> None:
        """Open the layers that are plain directories; raises NotReachable without permission, LayerError if one is
        missing."""
        self._stack = stack
        self._lock = threading.Lock()
        self._closed = False
        self._fds: dict[int, int] = {}
        self._mounts = ExitStack()
        self._holders = 0
        try:
            for index, layer in enumerate(stack.layers):
                if layer.source is None:
                    self._fds[index] = open_layer(stack, layer)
        except (LayerError, NotReachable, TooManyOpen):
            self.close()
            raise

    def close(self) -> None:
        """Close the descriptors; idempotent."""
        with self._lock:
            self._closed = True
            for fd in self._fds.values():
                os.close(fd)
            self._fds.clear()
            self._mounts.close()

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Keep layers mounted over several uses, such as a walk through the tree."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._unmount()

    def _unmount(self) -> None:
        for index, layer in enumerate(self._stack.layers):
            if layer.source is not None and index in self._fds:
                os.close(self._fds.pop(index))
        self._mounts.close()

    def duplicate(self, exit_stack: ExitStack, layers: Iterable[int]) -> Directories:
        """Return a duplicate descriptor of each layer's root, closed with ``exit_stack``."""
        with self._lock:
            if self._closed:
                raise LayerError("the layers have been closed", "open the container again")
            directories: Directories = []
            for index in layers:
                fd = os.dup(self._fds[index]) if index in self._fds else self._mount(index, exit_stack)
                exit_stack.callback(os.close, fd)
                directories.append((index, fd))
            return directories

    def _mount(self, index: int, exit_stack: ExitStack) -> int:
        layer = self._stack.layers[index]
        if not self._holders:
            return os.dup(exit_stack.enter_context(source_directory(layer)))
        self._fds[index] = os.dup(self._mounts.enter_context(source_directory(layer)))
        return os.dup(self._fds[index])


def upper_root(stack: LayerStack) -> Root:
    """Open the writable layer's directory as a Root; raises NotReachable, LayerError."""
    return Root(open_layer(stack, stack.writable))


def open_upper_in(stack: LayerStack, parent_fd: int) -> int:
    """Open the writable layer from its parent directory, so that both are on one mount; raises LayerError.

    podman mounts its storage over itself whenever it works. Directories opened before and after that are on two mounts,
    between which the kernel neither renames nor builds an overlay.
    """
    name = os.fsencode(stack.writable.path.name)
    try:
        return open_directory(parent_fd, name)
    except OSError as error:
        raise data_root_error(printable(str(stack.writable.path)), error) from error
