"""Open directories of walks through a union, kept while somebody walks, shared between threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tui.layers.directories import Directories
from tui.linux.trail import Trail

Layers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnionWalk:
    """A trail down from the top directories of some layers; ``roots`` closes those."""

    trail: Trail[Directories]
    roots: ExitStack

    def close(self) -> None:
        """Give all descriptors back."""
        self.trail.close()
        self.roots.close()


class UnionWalks:
    """One walk per union of layers, used by one thread at a time; a second thread gets its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._generation = 0
        self._idle: dict[Layers, UnionWalk] = {}

    @contextmanager
    def keep_walks(self) -> Iterator[None]:
        """Keep walks from one use to the next for the duration of the context."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                last = not self._holders
            if last:
                self.forget()

    def forget(self, path: bytes | None = None) -> None:
        """Open a directory and everything below it anew, or all directories; walks in use are closed after their
        use."""
        with self._lock:
            self._generation += 1
            if path is not None:
                for walk in self._idle.values():
                    walk.trail.forget(path)
                return
            idle, self._idle = self._idle, {}
        for walk in idle.values():
            walk.close()

    @contextmanager
    def borrow(self, layers: Layers, make: Callable[[Layers], UnionWalk]) -> Iterator[UnionWalk]:
        """Yield the kept walk, or a new one."""
        with self._lock:
            generation, walk = self._generation, self._idle.pop(layers, None)
        walk = walk or make(layers)
        try:
            yield walk
        finally:
            with self._lock:
                keep = self._holders > 0 and generation == self._generation and layers not in self._idle
                if keep:
                    self._idle[layers] = walk
            if not keep:
                walk.close()
