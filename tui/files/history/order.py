"""The order of changes: a number that only grows, whatever the clock says.

A change is a directory named after its number. Older versions named it after the nanoseconds of the clock; those names
are so much longer that they cannot be mistaken for a number, and they sort first.
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
"""Digits of a name that is a time of the clock: nanoseconds since the epoch."""

_COUNTER = "sequence"
_WIDTH = 20


def is_counted(name: str) -> bool:
    """Say whether a directory's name is a number of the counter."""
    return re.fullmatch(r"[0-9]+", name) is not None and len(name) < _BY_CLOCK


def is_change(name: str) -> bool:
    """Say whether a directory's name is that of a change, whichever version made it."""
    return re.fullmatch(rf"[0-9]{{1,{_WIDTH}}}", name) is not None


def order_of(name: str) -> tuple[bool, int]:
    """Return what the names of changes are sorted by."""
    return (is_counted(name), int(name))


@contextmanager
def numbered(store: Path) -> Iterator[str]:
    """Yield the name of the next change in a store; nobody else gets one until the context ends. Raises OSError.

    The number is higher than that of every change that is there, and than any that was ever given: the counter outlives
    the changes. On a full disk the counter may stay behind, for the change itself, which gets the number, is there.
    """
    with _locked(store):
        number = max(_counter(store), _highest(folder.name for folder in store.glob("*/[0-9]*"))) + 1
        with suppress(OSError):
            _count(store, number)
        yield f"{number:0{_DIGITS}d}"


def never_again(store: Path, names: Iterable[str]) -> None:
    """See to it that the numbers of changes that are about to be removed are not given again; raises OSError."""
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
    """Return the last number that was given; 0 where that was not written down."""
    with suppress(OSError, ValueError):
        text = (store / _COUNTER).read_text(encoding="ascii").strip()
        if is_counted(text.lstrip("0") or "0"):
            return int(text)
    return 0


def _count(store: Path, number: int) -> None:
    state_files.write_number(store / _COUNTER, f"{number:0{_WIDTH}d}\n".encode())
