"""What the verbs that change files share: the container, putting an earlier run right, progress, and the receipt."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
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
from tui.editing.state import loose_mode, patience
from tui.engine.archive import archive_of
from tui.engine.endpoint import Endpoint

_CLEAR = "\r\x1b[K"


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
    put_right(endpoint)
    return Place(endpoint, details, os.fsencode(path))


def put_right(*endpoints: Endpoint) -> None:
    """Put right what an earlier run left, and tell what came of it, and who may look at what is kept."""
    loose = loose_mode()
    for line in filter(
        None,
        (loose, *(line for endpoint in endpoints for line in recover(endpoint.inspect, partial(archive_of, endpoint)))),
    ):
        note(f"dtui: {line}")


def act_on(
    options: Namespace, ref: str, act: Callable[[Place, Callable[[int, bytes], None]], Outcome], done: str
) -> int:
    """Do an act on REF:PATH and print its receipt; Ctrl+C stops it between two entries."""
    with session(options) as open_session:
        place = place_of(open_session, ref)
        with stoppable(options.wait) as step:
            outcome = act(place, step)
    return tell(options, outcome, done)


@contextmanager
def stoppable(wait: float) -> Iterator[Step]:
    """Yield a step that shows progress on a terminal and stops the act, whole entries done, at an interrupt.

    ``wait`` is for how many seconds another dtui may go on writing into the same container first.
    """
    stopped: list[int] = []

    def step(count: int, path: bytes) -> None:
        if stopped:
            raise Stopped("stopped", "nothing was changed")
        _show(count, path)

    with _interrupts(stopped.append), patience(wait, lambda: bool(stopped)):
        yield step


@contextmanager
def to_the_end(wait: float) -> Iterator[Step]:
    """Yield a step that shows progress on a terminal; at an interrupt it is said, once, that it goes to its end.

    As long as it waits for another dtui, an interrupt ends it.
    """
    stopped: list[int] = []

    def stop(number: int) -> None:
        if not stopped and not lock.waiting:
            _say(f"{_CLEAR if sys.stderr.isatty() else ''}dtui: being taken back; this goes to its end\n")
        stopped.append(number)

    with patience(wait, lambda: bool(stopped)) as lock, _interrupts(stop):
        yield _show


@contextmanager
def _interrupts(stop: Callable[[int], None]) -> Iterator[None]:
    """Tell of interrupts.

    Once there was one, others change nothing any more, until this process has told how the act ended.
    """
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        stop(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if came else handler)
        if sys.stderr.isatty():
            _say(_CLEAR)


def _show(count: int, path: bytes) -> None:
    if count and count % 50 == 0 and sys.stderr.isatty():
        _say(f"{_CLEAR}{count:,} · {printable(path)[:60]}")


def _say(text: str) -> None:
    """Write to standard error whoever is just writing to it, and though the terminal may be gone."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding, "backslashreplace"))


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
