"""Ends the app in order after an error that Textual does not handle, so that unsaved text is kept.

Textual 8.2.8 handles only subclasses of Exception. Anything else removes the screen silently, with the text in it, and
the app hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from textual.message_pump import MessagePump
from textual.screen import Screen

T = TypeVar("T")
Fail = Callable[[BaseException], object]


def guard(part: MessagePump, fail: Fail) -> None:
    """Call ``fail`` with any error that stops a screen or widget, before Textual removes it."""

    def guarded(run: Callable[[], Awaitable[T]], otherwise: T) -> Callable[[], Awaitable[T]]:
        async def call() -> T:
            try:
                return await run()
            except BaseException as error:
                if _is_meant(error):
                    raise
                fail(error)
                return otherwise

        return call

    part._pre_process = guarded(part._pre_process, False)  # type: ignore[method-assign,assignment]
    part._process_messages_loop = guarded(part._process_messages_loop, None)  # type: ignore[method-assign,assignment]
    if isinstance(part, Screen):
        part._on_timer_update = _guarded_paint(part._on_timer_update, fail)  # type: ignore[method-assign]


def _guarded_paint(paint: Callable[[], None], fail: Fail) -> Callable[[], None]:
    """Guard what lays a screen out and paints its widgets, which a timer's task does and no message loop.

    Nothing is awaited in it, so that even a CancelledError comes out of a widget and is not meant for the task.
    """

    def call() -> None:
        try:
            paint()
        except Exception:
            raise
        except BaseException as error:  # noqa: BLE001 - it ends the app in order
            fail(error)

    return call


def _is_meant(error: BaseException) -> bool:
    """Say whether an error ends a coroutine on purpose: it was cancelled, or closed after the loop ended."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs
        return True
    return isinstance(error, asyncio.CancelledError) and task is not None and bool(task.cancelling())
