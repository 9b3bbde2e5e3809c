"""The last resort: whatever stops a screen or widget ends the app in order, while its text is there.

Textual 8.2.8 handles only what is derived from Exception. After anything else a screen is taken apart without a word,
with the text in it, and the app neither goes on nor ends in order.
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
    """Have ``fail`` called, before a screen or widget is taken apart, with what stops it and is no Exception."""

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
    """Say whether a coroutine ends by what is raised into it: it is cancelled, or closed once the loop has ended."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs
        return True
    return isinstance(error, asyncio.CancelledError) and task is not None and bool(task.cancelling())
