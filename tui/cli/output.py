"""What is printed: answers on standard output, and notes on standard error, which never stop what is under way."""

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
    """Standard output did not take an answer; no DtuiError, for who reads it may simply have gone, as `| head` does."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror or str(cause))
        self.reader_left = isinstance(cause, BrokenPipeError)


def print_line(text: str = "") -> None:
    """Print a line of ours; whatever is untrusted in it has passed printable()."""
    print_text(text + "\n")


def print_text(text: str) -> None:
    """Print text as it is."""
    _writing(lambda: sys.stdout.write(text))


def print_bytes(data: bytes) -> None:
    """Print bytes as they are."""
    _writing(lambda: sys.stdout.buffer.write(data))


def print_json(value: object, *, done: bool = False) -> None:
    """Print one JSON value; bytes that are not UTF-8 stand as the surrogates of os.fsdecode, escaped.

    With ``done`` it tells of what was done already: where it is not taken, DtuiError says that it was.
    """
    try:
        print_text(json.dumps(value, indent=2, ensure_ascii=True) + "\n")
        flush()
    except OutputLost as lost:
        if not done:
            raise
        raise DtuiError(f"done, but the answer could not be written: {lost}") from lost


def print_json_list(values: Iterable[object]) -> None:
    """Print a JSON array as :func:`print_json` does, one value at a time: there may be a million."""
    before = "[\n"
    for value in values:
        print_text(before + indent(json.dumps(value, indent=2, ensure_ascii=True), "  "))
        before = ",\n"
    print_text("[]\n" if before == "[\n" else "\n]\n")
    flush()


def flush() -> None:
    """Have standard output take what was printed; raises OutputLost, after which it is not tried again."""
    _writing(sys.stdout.flush)


def _writing(write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        _discard(sys.stdout)
        raise OutputLost(error) from error


def print_note(text: str, end: str = "\n") -> None:
    """Print a line on standard error; where nobody takes it, it is lost, and nothing else."""
    try:
        sys.stderr.write(text + end)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: IO[str]) -> None:
    """Let what a stream holds go nowhere, or Python complains of it once more at its exit."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
