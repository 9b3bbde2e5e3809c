"""What the verbs that change files share: the container, putting an earlier run right, progress, and the receipt."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TypeVar

from tui.cli.lookup import ContainerFinder, open_finder
from tui.cli.output import print_json, print_note
from tui.core.progress import Meter
from tui.core.records import Details
from tui.core.state import mode_warning, patience
from tui.core.text import count_of, human_size, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live.archive import archive_of
from tui.files import BackupMode, ChangeResult, ContainerFiles, Step, TooLarge, recover
from tui.services.files_of import files_of

Result = TypeVar("Result")

_EVERY = 0.5
"""Seconds between two lines of progress."""

_CLEAR = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class ContainerPath:
    """A path in a container, and how to look at the container."""

    endpoint: Endpoint
    details: Details
    path: bytes

    @property
    def files(self) -> ContainerFiles:
        """The container's files; raises NotReachable where there is no way to them."""
        return files_of(self.endpoint, self.details)


def find_container_path(finder: ContainerFinder, ref: str) -> ContainerPath:
    """Find REF:PATH and put right what an earlier run left there."""
    endpoint, details, path = finder.find_file(ref)
    recover_and_report(endpoint)
    return ContainerPath(endpoint, details, os.fsencode(path))


def recover_and_report(*endpoints: Endpoint) -> None:
    """Put right what an earlier run left, and tell what came of it, and who may look at what is kept."""
    loose = mode_warning()
    for line in filter(
        None,
        (loose, *(line for endpoint in endpoints for line in recover(endpoint.inspect, partial(archive_of, endpoint)))),
    ):
        print_note(f"dtui: {line}")


def run_change(
    options: Namespace,
    ref: str,
    act: Callable[[ContainerPath, Step, BackupMode], ChangeResult],
    done: str,
    *,
    back: str = "",
) -> int:
    """Do an act on REF:PATH and print its receipt, with how it is undone; Ctrl+C stops it between two entries."""
    with open_finder(options) as finder:
        target = find_container_path(finder, ref)
        outcome = with_backup_choice(options, lambda step, keep: act(target, step, keep))
    return print_result(options, outcome, done + (back if outcome.act else ""))


def with_backup_choice(options: Namespace, act: Callable[[Step, BackupMode], Result]) -> Result:
    """Do an act; where it replaces more than is kept, ask on a terminal what is to become of that, and do it so."""
    keep = backup_mode_of(options)
    try:
        with interruptible(options.wait) as step:
            return act(step, keep)
    except TooLarge as refused:
        chosen = _ask_backup_mode(refused) if not options.json and _on_terminal() else None
        if chosen is None:
            raise
    with interruptible(options.wait) as step:
        return act(step, chosen)


def backup_mode_of(options: Namespace) -> BackupMode:
    """Return what the options say about the bytes that an act replaces."""
    for word, keep in (("keep", BackupMode.COPY), ("set_aside", BackupMode.ASIDE), ("no_backup", BackupMode.NOTHING)):
        if getattr(options, word, False):
            return keep
    return BackupMode.USUAL


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask_backup_mode(refused: TooLarge) -> BackupMode | None:
    """Ask what is to become of what an act replaces; anything but one of the letters means that nothing is done."""
    choices = refused.choices
    size = human_size(choices.size)
    offers = (
        ("k", BackupMode.COPY, f"keep a copy of {size} ({human_size(choices.room)} free)", choices.copy),
        ("a", BackupMode.ASIDE, "set it aside by a rename, without a copy", choices.aside),
        ("p", BackupMode.NOTHING, "keep nothing, permanently: this cannot be undone", choices.nothing),
    )
    print_note(f"dtui: {refused.message}. Nothing was changed yet.")
    for letter, _, description, reason in offers:
        print_note(
            f"  -  not possible: {description.partition(':')[0]}: {reason}" if reason else f"  {letter}  {description}"
        )
    print_note("Which? (Enter changes nothing) ", end="")
    try:
        answer = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        print_note("")
        return None
    return next((keep for letter, keep, _, reason in offers if letter == answer and not reason), None)


@contextmanager
def interruptible(wait: float) -> Iterator[Step]:
    """Yield a step that shows progress on a terminal and stops the act, whole entries done, at an interrupt.

    Once an act puts something back, it goes to its end, which is said at the first interrupt. ``wait`` is for how many
    seconds another dtui may go on writing into the same container first.
    """
    meter = Meter(_Line().show)

    def stop(number: int) -> None:
        del number
        if meter.final and not meter.stopping:
            _write_to_terminal(
                f"{_CLEAR if sys.stderr.isatty() else ''}dtui: this goes to its end, half of it would be no use\n"
            )
        meter.stop()

    with meter.watching(), _interrupts(stop), patience(wait, lambda: meter.stopping):
        yield meter.step


@contextmanager
def _interrupts(stop: Callable[[int], None]) -> Iterator[None]:
    """Tell of interrupts.

    Once there was one, others change nothing any more, until this process has told how the act ended.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        stop(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, _ignore_signal if received else handler)
        if sys.stderr.isatty():
            _write_to_terminal(_CLEAR)


def _ignore_signal(number: int, frame: FrameType | None) -> None:
    """Change nothing; SIG_IGN would keep the signal from who looks whether this process hangs."""
    del number, frame


class _Line:
    """Progress on the last line of a terminal: seldom enough for a thin line, and only of what takes long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY
        self._terminal = sys.stderr.isatty()

    def show(self, meter: Meter) -> None:
        """Show how far an act is, if it is time for it."""
        current_time = time.monotonic()
        if not self._terminal or current_time < self._next:
            return
        self._next = current_time + _EVERY
        width = shutil.get_terminal_size().columns - 1
        _write_to_terminal(f"{_CLEAR}{f'{meter.numbers}  {meter.path}'[:width]}")


def _write_to_terminal(text: str) -> None:
    """Write to standard error whoever is just writing to it, and though the terminal may be gone."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding, "backslashreplace"))


def print_result(options: Namespace, outcome: ChangeResult, verb: str, *, old: bytes = b"") -> int:
    """Print what an act did; ``old`` is the path that the entry had before, where it has another one now."""
    if options.json:
        print_json(
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
    count_text = f" ({count_of(outcome.count, 'entry', 'entries')})" if outcome.count != 1 else ""
    notes = "".join(f"; {printable(text)}" for text in outcome.notes)
    print_note(f"{printable(old or outcome.path)}: {verb}{count_text}{notes}")
    return 0
