"""What the verbs that change files share: finding the container, recovery, progress, backup choice, and the result."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import TypeVar

from tui.cli.lookup import ContainerFinder, open_finder
from tui.cli.output import print_json, print_note
from tui.core.progress import Meter
from tui.core.records import Details
from tui.core.state import lock_wait, mode_warning
from tui.core.text import count_of, human_size, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live.archive import archive_of
from tui.files import BackupMode, ChangeResult, ContainerFiles, SaveResult, Step, TooLarge, recover, stack_of
from tui.services.files_of import files_of
from tui.services.while_stopped import change_while_stopped

Result = TypeVar("Result")
Changed = TypeVar("Changed", SaveResult, ChangeResult)

_UPDATE_INTERVAL = 0.5
"""Seconds between two updates of the progress line."""

_CLEAR = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class ContainerPath:
    """A path in a container, and how to inspect that container."""

    endpoint: Endpoint
    details: Details
    path: bytes
    files: ContainerFiles


def find_container_path(finder: ContainerFinder, ref: str, *, through: bool = True) -> ContainerPath:
    """Find REF:PATH, and finish or roll back what an earlier run left unfinished there.

    Raises NotReachable where there is no way to the container's files.
    """
    endpoint, details, path = finder.find_file(ref, through=through)
    files = files_of(endpoint, details)
    recover_and_report(endpoint)
    return ContainerPath(endpoint, details, os.fsencode(path), files)


def change(
    options: Namespace,
    target: ContainerPath,
    step: Step,
    make_change: Callable[[ContainerPath], Changed],
) -> Changed:
    """Make a change; with ``--restart`` while the container is stopped, which is then started again."""
    if not options.restart:
        return make_change(target)
    if options.verb not in ("write", "undo"):
        stack_of(target.details)  # only those work through the engine alone: nothing is stopped for the others
    return change_while_stopped(
        target.endpoint,
        target.details,
        lambda files: make_change(replace(target, files=files)),
        lambda: step(0, target.path),
    )


def recover_and_report(*endpoints: Endpoint) -> None:
    """Finish or roll back what an earlier run left unfinished and report it, with a warning about loose permissions."""
    lines = [line for endpoint in endpoints for line in recover(endpoint.inspect, partial(archive_of, endpoint))]
    for line in filter(None, (mode_warning(), *lines)):
        print_note(f"dtui: {line}")


def run_change(
    options: Namespace,
    ref: str,
    make_change: Callable[[ContainerPath, Step, BackupMode], ChangeResult],
    done_words: str,
    *,
    undo_hint: str = "",
    through: bool = True,
) -> int:
    """Make a change at REF:PATH and print the result, with how to undo it. Ctrl+C stops between two entries."""
    with open_finder(options) as finder:
        target = find_container_path(finder, ref, through=through)
        outcome = with_backup_choice(
            options, lambda step, keep: change(options, target, step, lambda target: make_change(target, step, keep))
        )
    return print_result(options, outcome, done_words + (undo_hint if outcome.act else ""))


def with_backup_choice(options: Namespace, make_change: Callable[[Step, BackupMode], Result]) -> Result:
    """Make a change. If it replaces more than the backup limit, ask on a terminal what to do, and do that."""
    keep = backup_mode_of(options)
    try:
        with interruptible(options.wait) as step:
            return make_change(step, keep)
    except TooLarge as too_large:
        choice = _ask_backup_mode(too_large) if not options.json and _on_terminal() else None
        if choice is None:
            raise
    with interruptible(options.wait) as step:
        return make_change(step, choice)


def backup_mode_of(options: Namespace) -> BackupMode:
    """Return the BackupMode that the options ask for."""
    for word, keep in (("keep", BackupMode.COPY), ("set_aside", BackupMode.ASIDE), ("no_backup", BackupMode.NOTHING)):
        if getattr(options, word, False):
            return keep
    return BackupMode.USUAL


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask_backup_mode(too_large: TooLarge) -> BackupMode | None:
    """Ask what to do with what a change replaces; anything but an offered letter means to change nothing."""
    choices = too_large.choices
    size = human_size(choices.size)
    offers = (
        ("k", BackupMode.COPY, f"keep a copy of {size} ({human_size(choices.room)} free)", choices.copy),
        ("a", BackupMode.ASIDE, "set it aside with a rename, without a copy", choices.aside),
        ("p", BackupMode.NOTHING, "keep nothing: this cannot be undone", choices.nothing),
    )
    print_note(f"dtui: {too_large.message}. Nothing was changed yet.")
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
    """Yield a step function that shows progress on a terminal and stops the change on an interrupt, between entries.

    Once a change is being rolled back it runs to its end, and the first interrupt says so. ``wait`` is how many seconds
    to wait for another dtui that is changing the same container.
    """
    meter = Meter(_ProgressLine().show)

    def stop(number: int) -> None:
        del number
        if meter.final and not meter.stopping:
            clear = _CLEAR if sys.stderr.isatty() else ""
            _write_to_terminal(f"{clear}dtui: finishing this first: stopping half-way would leave it inconsistent\n")
        meter.stop()

    with meter.watching(), _interrupts(stop), lock_wait(wait, lambda: meter.stopping):
        yield meter.step


@contextmanager
def _interrupts(stop: Callable[[int], None]) -> Iterator[None]:
    """Call ``stop`` on interrupts.

    After the first one, further interrupts are ignored until this process has reported how the change ended.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        stop(number)

    old_handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, _ignore_signal if received else handler)
        if sys.stderr.isatty():
            _write_to_terminal(_CLEAR)


def _ignore_signal(number: int, frame: FrameType | None) -> None:
    """Do nothing. With SIG_IGN the thread that watches for a hanging process would not see the signal."""
    del number, frame


class _ProgressLine:
    """A progress line on the terminal, updated rarely enough for a slow connection, and only for long changes."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _UPDATE_INTERVAL
        self._terminal = sys.stderr.isatty()

    def show(self, meter: Meter) -> None:
        """Show the progress if it is time for an update."""
        current_time = time.monotonic()
        if not self._terminal or current_time < self._next:
            return
        self._next = current_time + _UPDATE_INTERVAL
        width = shutil.get_terminal_size().columns - 1
        _write_to_terminal(f"{_CLEAR}{f'{meter.numbers}  {meter.path}'[:width]}")


def _write_to_terminal(text: str) -> None:
    """Write to standard error directly: other code may be in the middle of writing, or the terminal gone."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding, "backslashreplace"))


def print_result(options: Namespace, outcome: ChangeResult, verb: str, *, old: bytes = b"") -> int:
    """Print what a change did; ``old`` is the entry's former path if it was renamed."""
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
