"""Wait for a condition, and fail with a description if it never becomes true."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from textual.pilot import Pilot

T = TypeVar("T")


class NotInTime(AssertionError):
    """A condition did not become true in time."""


SECONDS = 30.0
"""Seconds that a condition may take to become true; generous, for loaded machines."""

_QUIET = 5
"""Unchanged looks after which a screen is at rest; at 50 ms each, longer than its timers for a resting cursor."""


def until(
    ready: Callable[[], T], what: str | Callable[[], str] = "", *, seconds: float = SECONDS, pause: float = 0.01
) -> T:
    """Poll until ``ready()`` is true and return its value; raises NotInTime with ``what`` if it never is."""
    deadline = time.monotonic() + seconds
    while not (value := ready()):
        if time.monotonic() > deadline:
            _fail(ready, what, seconds)
        time.sleep(pause)
    return value


async def pilot_until(pilot: Pilot[int], ready: Callable[[], T], what: str | Callable[[], str] = "") -> T:
    """Let the app run until ``ready()`` is true and return its value; raises NotInTime with the screen's text."""
    deadline = time.monotonic() + SECONDS
    await pilot.pause()  # let the app handle earlier messages first
    while not (value := ready()):
        if time.monotonic() > deadline:
            _fail(ready, lambda: f"{what() if callable(what) else what}\n{screen_text(pilot)}", SECONDS)
        await pilot.pause(0.02)
    await pilot.pause()
    return value


async def settle(pilot: Pilot[int]) -> None:
    """Wait until no worker of the screen is running and the screen stays unchanged."""
    quiet, shown = 0, ""
    deadline = time.monotonic() + SECONDS
    while quiet < _QUIET:
        assert time.monotonic() < deadline, f"the screen does not come to rest\n{shown}"
        await pilot.pause(0.05)
        busy = any(not worker.is_finished for worker in pilot.app.workers if worker.node is pilot.app.screen)
        before, shown = shown, screen_text(pilot)
        quiet = 0 if busy or shown != before else quiet + 1


def screen_text(pilot: Pilot[int]) -> str:
    """Return the screen's contents as text."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def _fail(ready: Callable[[], object], what: str | Callable[[], str], seconds: float) -> None:
    said = what() if callable(what) else what
    raise NotInTime(f"not true within {seconds:g} s: {inspect.getsource(ready).strip()}\n{said}".rstrip())
