"""Keep directories on the way to a path open, so that the next path nearby costs one open, however deep it lies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

_LIMIT = 16
"""Descriptors to keep open: at least half for the last directories, the rest spread over the way."""

Level = TypeVar("Level")


class Trail(Generic[Level]):
    """The directories from a root down to the one that was asked for last.

    A walk in tree order, down or up, opens each directory a bounded number of times: the last directories stay open,
    and farther up every second, fourth or eighth, as the way grows. With ``max_age`` the whole way is opened again
    after that many seconds or more, because somebody may have moved a directory meanwhile.
    """

    def __init__(
        self,
        root: Level,
        descend: Callable[[Level, bytes], Level],
        close: Callable[[Level], None],
        *,
        max_age: float = 0.0,
        weigh: Callable[[Level], int] = lambda level: 1,
    ) -> None:
        """``descend`` opens one name in a directory and may raise; ``close`` closes what it opened.

        ``weigh`` returns how many descriptors a directory takes.
        """
        self._root = root
        self._descend = descend
        self._close = close
        self._max_age = max_age
        self._weigh = weigh
        self._weight = 0
        self._opened_at = 0.0
        self._valid_for = max_age
        self._path = b""
        self._open_levels: list[tuple[int, int, Level]] = []
        """For each directory kept open, outermost first: where its path ends in ``_path``, its depth, and the
        directory."""

    def at(self, path: bytes) -> Level:
        """Return the directory at a clean path; it stays open until the next call. Raises what ``descend`` raises."""
        path = path.rstrip(b"/")
        if self._max_age and self._open_levels and time.monotonic() - self._opened_at > self._valid_for:
            self.close()
        if path != self._path or (path and not self._open_levels):
            self._open_to(path)
        return self._open_levels[-1][2] if self._open_levels else self._root

    def forget(self, path: bytes) -> None:
        """Close a directory and everything below it: another one may be there now."""
        path = path.rstrip(b"/")
        if (self._path + b"/").startswith(path + b"/"):
            while self._open_levels and self._open_levels[-1][0] >= len(path):
                self._close_last()
            self._path = self._path[: self._open_levels[-1][0]] if self._open_levels else b""

    def close(self) -> None:
        """Close all descriptors; the trail can be used again."""
        while self._open_levels:
            self._close_last()
        self._path = b""

    def _close_last(self) -> None:
        self._close_level(self._open_levels.pop()[2])

    def _close_level(self, level: Level) -> None:
        self._weight -= self._weigh(level)
        self._close(level)

    def _open_to(self, path: bytes) -> None:
        while self._open_levels and not self._leads_to(self._open_levels[-1][0], path):
            self._close_last()
        starts_over = not self._open_levels
        if starts_over:
            self._opened_at = time.monotonic()
        end, depth, level = self._open_levels[-1] if self._open_levels else (0, 0, self._root)
        self._path = path[:end]
        for name in path[end + 1 :].split(b"/") if end < len(path) else ():
            level = self._descend(level, name)
            end, depth = end + 1 + len(name), depth + 1
            self._open_levels.append((end, depth, level))
            self._weight += self._weigh(level)
            self._path = path[:end]
            if self._weight > _LIMIT:
                self._thin()
        if (
            starts_over
        ):  # a deep way on a busy machine is slow to open: spend at most a tenth of the time on opening it again
            self._valid_for = max(self._max_age, 10 * (time.monotonic() - self._opened_at))

    def _leads_to(self, end: int, path: bytes) -> bool:
        return path[end : end + 1] in (b"", b"/") and path.startswith(self._path[:end])

    def _thin(self) -> None:
        """Close directories far up, so that the remaining ones are spread evenly over the way."""
        last = len(self._open_levels) - 1
        while last and sum(self._weigh(entry[2]) for entry in self._open_levels[last - 1 :]) <= _LIMIT // 2:
            last -= 1
        outer, stride = self._open_levels[:last], 1
        while sum(self._weigh(entry[2]) for entry in outer if entry[1] % stride == 0) > _LIMIT // 4:
            stride *= 2
        self._open_levels[:last] = [entry for entry in outer if entry[1] % stride == 0]
        for entry in outer:
            if entry[1] % stride:
                self._close_level(entry[2])
