"""What nobody foresaw in a worker: one line on the screen, and the app goes on."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tui.core.errors import DtuiError
from tui.core.text import printable

_LONGEST = 300
"""Characters of an error that nobody foresaw: it may hold a stranger's bytes, however many they are."""


def ends_the_app() -> bool:
    """Say whether such an error is to end the app with its traceback."""
    return bool(os.environ.get("DTUI_TRACEBACK"))


def contained(work: Any) -> Any:
    """Return work for a worker out of which no SystemExit or KeyboardInterrupt comes: they would stop the loop."""

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
    """Return an error as one line, with how the act ended that it came out of."""
    if isinstance(error, DtuiError):
        return printable(str(error))
    notes = "; ".join(getattr(error, "__notes__", ()))
    description = printable(f"{type(error).__name__}: {error}"[:_LONGEST])
    return (
        f"{description}{'; ' if notes else ''}{printable(notes)}; this should not happen: DTUI_TRACEBACK=1 tells where"
    )
