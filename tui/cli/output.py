"""Output: answers go to standard output, notes to standard error, where a failure stops nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from textwrap import indent
from typing import IO

from tui.core.errors import DtuiError


class OutputLost(Exception):
    """Standard output failed. Not a DtuiError, since the reader may simply have left, as ``| head`` does."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror or str(cause))
        self.reader_left = isinstance(cause, BrokenPipeError)


def print_line(text: str = "") -> None:
    """Print a line. Anything untrusted in it must have passed printable()."""
    print_text(text + "\n")


def print_text(text: str) -> None:
    """Print text as it is."""
    _writing(lambda: sys.stdout.write(text))


def print_bytes(data: bytes) -> None:
    """Print bytes as they are."""
    _writing(lambda: sys.stdout.buffer.write(data))


def print_json(value: object, *, done: bool = False) -> None:
    """Print one JSON value; bytes that are not UTF-8 appear as the escaped surrogates of os.fsdecode.

    With ``done`` it reports a change already made: if it cannot be written, raises a DtuiError that says the change was
    made.
    """
    try:
        print_text(json.dumps(value, indent=2, ensure_ascii=True) + "\n")
        flush()
    except OutputLost as lost:
        if not done:
            raise
        raise DtuiError(f"done, but the answer could not be written: {lost}") from lost


def print_json_list(values: Iterable[object]) -> None:
    """Print a JSON array one value at a time, since there may be a million."""
    separator = "[\n"
    for value in values:
        print_text(separator + indent(json.dumps(value, indent=2, ensure_ascii=True), "  "))
        separator = ",\n"
    print_text("[]\n" if separator == "[\n" else "\n]\n")
    flush()


def flush() -> None:
    """Flush standard output; raises OutputLost, after which nothing more is written."""
    _writing(sys.stdout.flush)


def _writing(write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        _discard(sys.stdout)
        raise OutputLost(error) from error


def print_note(text: str, end: str = "\n") -> None:
    """Print a line on standard error; if that fails, the line is lost and nothing else."""
    try:
        sys.stderr.write(text + end)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: IO[str]) -> None:
    """Redirect a broken stream to /dev/null, or Python would complain about it again at exit."""
    with suppress(OSError):
        null_fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null_fd, stream.fileno())
        os.close(null_fd)
        stream.flush()
