"""What the verbs that change files share: the container, putting an earlier run right, progress, and the receipt."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tui.cli.output import note, put_json
from tui.cli.session import Session, session
from tui.core.errors import Stopped
from tui.core.model import Details
from tui.core.text import count_of, printable
from tui.editing.acts import Outcome
from tui.editing.guard import Step
from tui.editing.recover import recover
from tui.engine.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a container, and how to look at the container."""

    endpoint: Endpoint
    details: Details
    path: bytes

    @property
    def words(self) -> dict[str, Any]:
        """The container and how it is inspected, as every act takes them."""
        return {"container_id": self.details.container.id, "inspect": self.endpoint.inspect}


def place_of(open_session: Session, ref: str) -> Place:
    """Find REF:PATH and put right what an earlier run left there."""
    endpoint, details, path = open_session.find_file(ref)
    for line in recover(endpoint.inspect):
        note(f"dtui: {line}")
    return Place(endpoint, details, os.fsencode(path))


def act_on(
    options: Namespace, ref: str, act: Callable[[Place, Callable[[int, bytes], None]], Outcome], done: str
) -> int:
    """Do an act on REF:PATH and print its receipt; Ctrl+C stops it between two entries."""
    with session(options) as open_session:
        place = place_of(open_session, ref)
        with stoppable() as step:
            outcome = act(place, step)
    return tell(options, outcome, done)


@contextmanager
def stoppable() -> Iterator[Step]:
    """Yield a step that shows progress on a terminal and stops the act, whole entries done, at an interrupt.

    Once there was one, others change nothing any more, until this process has told how the act ended.
    """
    stopped: list[int] = []
    live = sys.stderr.isatty()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        stopped.append(number)

    def step(count: int, path: bytes) -> None:
        if stopped:
            raise Stopped("stopped", "nothing was changed")
        if live and count and count % 50 == 0:
            note(f"\r\x1b[K{count:,} · {printable(path)[:60]}", end="")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield step
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if stopped else handler)
        if live:
            note("\r\x1b[K", end="")


def tell(options: Namespace, outcome: Outcome, done: str, *, old: bytes = b"") -> int:
    """Print what an act did; ``old`` is the path that the entry had before, where it has another one now."""
    if options.json:
        put_json(
            {
                "path": os.fsdecode(outcome.path),
                **({"old_path": os.fsdecode(old)} if old else {}),
                "count": outcome.count,
                "backup": outcome.act.id if outcome.act else None,
                "notes": list(outcome.notes),
            },
            done=True,
        )
        return 0
    many = f" ({count_of(outcome.count, 'entry', 'entries')})" if outcome.count != 1 else ""
    notes = "".join(f"; {printable(text)}" for text in outcome.notes)
    note(f"{printable(old or outcome.path)}: {done}{many}{notes}")
    return 0
