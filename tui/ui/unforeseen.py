"""Turns unexpected errors in workers into one line on the screen; the app goes on."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tui.core.errors import DtuiError
from tui.core.text import printable

_LONGEST = 300
"""Longest error message shown, in characters: it may contain untrusted input of any length."""


def ends_the_app() -> bool:
    """Say whether an unexpected error should end the app with a traceback (DTUI_TRACEBACK)."""
    return bool(os.environ.get("DTUI_TRACEBACK"))


def contained(work: Any) -> Any:
    """Wrap work for a worker so that SystemExit and KeyboardInterrupt, which would stop the loop, become errors."""

    async def wait() -> Any:
        with _as_error():
            return await (work if inspect.isawaitable(work) else work())

    def call() -> Any:
        with _as_error():
            return work()

    if inspect.isawaitable(work):
        return wait()
    return wait if inspect.iscoroutinefunction(getattr(work, "func", work)) else call


@contextmanager
def _as_error() -> Iterator[None]:
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}".strip(": ")) from error


def error_line(error: BaseException | None) -> str:
    """Return an error as one line, with the notes on how the failed change ended."""
    if isinstance(error, DtuiError):
        return printable(str(error))
    notes = "; ".join(getattr(error, "__notes__", ()))
    description = printable(f"{type(error).__name__}: {error}"[:_LONGEST])
    return (
        f"{description}{'; ' if notes else ''}{printable(notes)}; this should not happen: DTUI_TRACEBACK=1 shows where"
    )
