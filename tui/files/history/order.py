"""Order changes by a number that only grows, independent of the clock.

A change is a directory named after its number. Older versions used nanoseconds of the clock; those names are longer, so
they cannot be confused, and they sort first.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tui.core import state_files

_DIGITS = 8
_BY_CLOCK = 19
"""Digits of a name from the clock: nanoseconds since the epoch."""

_COUNTER = "sequence"
_WIDTH = 20


def is_counted(name: str) -> bool:
    """Return whether a name is a number of the counter."""
    return re.fullmatch(r"[0-9]+", name) is not None and len(name) < _BY_CLOCK


def is_change(name: str) -> bool:
    """Return whether a name is that of a change of any version."""
    return re.fullmatch(rf"[0-9]{{1,{_WIDTH}}}", name) is not None


def order_of(name: str) -> tuple[bool, int]:
    """Return the sort key of a change's name."""
    return (is_counted(name), int(name))


@contextmanager
def numbered(store: Path) -> Iterator[str]:
    """Yield the name of the next change, holding the store's lock; raises OSError.

    The number is higher than every existing one and every one that was given: the counter outlives the changes. On a
    full disk the counter may lag, since the change itself, which carries the number, exists.
    """
    with _locked(store):
        number = max(_counter(store), _highest(folder.name for folder in store.glob("*/[0-9]*"))) + 1
        with suppress(OSError):
            _count(store, number)
        yield f"{number:0{_DIGITS}d}"


def never_again(store: Path, names: Iterable[str]) -> None:
    """Make sure that the numbers of changes about to be deleted are not reused; raises OSError."""
    with _locked(store):
        highest = _highest(names)
        if highest > _counter(store):
            _count(store, highest)


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    fd = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _highest(names: Iterable[str]) -> int:
    return max((int(name) for name in names if is_counted(name)), default=0)


def _counter(store: Path) -> int:
    """Return the last number given; 0 if unknown."""
    with suppress(OSError, ValueError):
        text = (store / _COUNTER).read_text(encoding="ascii").strip()
        if is_counted(text.lstrip("0") or "0"):
            return int(text)
    return 0


def _count(store: Path, number: int) -> None:
    state_files.write_number(store / _COUNTER, f"{number:0{_WIDTH}d}\n".encode())
