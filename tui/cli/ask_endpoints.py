"""Ask several endpoints at once, so that a slow or dead one does not hold up the others."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from tui.cli.output import print_note
from tui.core.errors import DtuiError, EngineLost
from tui.core.text import printable
from tui.engine.endpoint import Endpoint

_Answer = TypeVar("_Answer")

FIRST_TIMEOUT = 15
"""Seconds to wait for the first of several endpoints to answer."""

OTHERS_TIMEOUT = 5
"""Seconds that the others have after the first answer."""

WARN_AFTER = 3
"""Seconds after which a terminal shows whom we are waiting for."""


_WAIT_SLICE = 0.5
"""Seconds of each wait in an endless one: an interrupt arriving just before a wait is noticed after it."""


@contextmanager
def warn_if_slow(names: Sequence[str]) -> Iterator[None]:
    """Print on a terminal whom we are waiting for, and how to stop."""

    def warn() -> None:
        names_text = printable(", ".join(names))
        print_note(f"dtui: waiting for {names_text} to answer; ctrl+c stops waiting")

    timer = threading.Timer(WARN_AFTER, warn)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def ask_all(
    endpoints: Sequence[Endpoint], question: Callable[[Endpoint], _Answer], *, patient: bool = False
) -> list[_Answer | DtuiError]:
    """Return each endpoint's answer, or the DtuiError why there is none.

    ``patient`` waits without limit, for a single endpoint with its own timeout. Other exceptions are raised here, not
    lost in a thread.
    """
    answers: queue.Queue[tuple[int, _Answer | BaseException]] = queue.Queue()

    def ask(number: int, endpoint: Endpoint) -> None:
        try:
            answers.put((number, question(endpoint)))
        except BaseException as error:  # noqa: BLE001 - the caller raises it, and would otherwise wait for ever
            answers.put((number, error))

    for number, endpoint in enumerate(endpoints):  # daemon threads: one that hangs must not keep us from exiting
        threading.Thread(target=ask, args=(number, endpoint), daemon=True).start()
    no_answer = EngineLost(
        f"no answer within {FIRST_TIMEOUT} s", "check that the host is up and its disk not overloaded"
    )
    answered: dict[int, _Answer | DtuiError] = {}
    started_at = time.monotonic()
    deadline = started_at + FIRST_TIMEOUT
    while len(answered) < len(endpoints):
        try:
            number, answer = answers.get(timeout=_WAIT_SLICE if patient else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            if patient:
                continue
            break
        if isinstance(answer, BaseException) and not isinstance(answer, DtuiError):
            raise answer
        answered[number] = answer
        if not isinstance(answer, DtuiError) and deadline == started_at + FIRST_TIMEOUT:
            deadline = min(deadline, time.monotonic() + OTHERS_TIMEOUT)
            no_answer = EngineLost(
                f"no answer within {OTHERS_TIMEOUT} s of the first",
                "check that the host is up and its disk not overloaded",
            )
    return [answered.get(number, no_answer) for number in range(len(endpoints))]
