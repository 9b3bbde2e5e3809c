"""Several endpoints asked at once, so that one which is slow or dead holds no other up."""

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

FIRST = 15
"""Seconds to wait for the first answer of several endpoints."""

REST = 5
"""Seconds that the others have after the first has answered."""

SLOW = 3
"""Seconds after which it is said on a terminal whom we wait for."""


_SLICE = 0.5
"""Seconds of one wait without end: an interrupt that arrives as it begins is seen with the next."""


@contextmanager
def warn_if_slow(names: Sequence[str]) -> Iterator[None]:
    """Say on the terminal that somebody lets us wait, and how to end it."""

    def tell() -> None:
        names_text = printable(", ".join(names))
        print_note(f"dtui: waiting for {names_text} to answer; ctrl+c ends it")

    timer = threading.Timer(SLOW, tell)
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
    """Return what each endpoint answers, or why it does not; ``patient`` is for one alone, which sets its own limit.

    An error that is none of ours is raised here, not lost in a thread.
    """
    answers: queue.Queue[tuple[int, _Answer | BaseException]] = queue.Queue()

    def ask(number: int, endpoint: Endpoint) -> None:
        try:
            answers.put((number, question(endpoint)))
        except BaseException as error:  # noqa: BLE001 - raised by the caller, who would wait for ever else
            answers.put((number, error))

    for number, endpoint in enumerate(endpoints):  # daemon threads: one that hangs does not keep us from ending
        threading.Thread(target=ask, args=(number, endpoint), daemon=True).start()
    silent = EngineLost(f"no answer within {FIRST} s", "is the host up, and its disk idle?")
    answered: dict[int, _Answer | DtuiError] = {}
    begin = time.monotonic()
    end = begin + FIRST
    while len(answered) < len(endpoints):
        try:
            number, answer = answers.get(timeout=_SLICE if patient else max(0.0, end - time.monotonic()))
        except queue.Empty:
            if patient:
                continue
            break
        if isinstance(answer, BaseException) and not isinstance(answer, DtuiError):
            raise answer
        answered[number] = answer
        if not isinstance(answer, DtuiError) and end == begin + FIRST:
            end = min(end, time.monotonic() + REST)
            silent = EngineLost(f"no answer within {REST} s of the first", "is the host up, and its disk idle?")
    return [answered.get(number, silent) for number in range(len(endpoints))]
