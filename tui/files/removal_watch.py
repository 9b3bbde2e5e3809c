"""Notices in the middle of an act that its container is being removed or has ended, so that it makes nothing more.

``docker rm`` fails with "directory not empty" where an entry is made in a layer that it is just removing. It writes
down that a container is dead before it begins, which is heard here before each change; to ask the Engine is too late.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tui.core.errors import (
    ChangedMeanwhile,
    DtuiError,
    NotFound,
    NotReachable,
    OwnPlaceFailed,
    Stopped,
    TooManyOpen,
    UsageError,
)
from tui.core.records import Details, State
from tui.files.removal_records import RemovalRecord, removal_record
from tui.layers.private_mounts import Check, no_check

_ENDED = "the container has stopped or was removed"

_MOVED_TO, _DELETE, _DELETE_SELF = 0x80, 0x200, 0x400  # linux/inotify.h

_LOOKS, _BETWEEN = 20, 0.05
"""How often the Engine is asked, and every how many seconds, until it knows of an end that was seen here."""


class ContainerGone(ChangedMeanwhile):
    """The container of an act is being removed: what was done goes with it, and nothing is taken back."""


class ContainerEnded(ChangedMeanwhile):
    """The container of an act was started, stopped or restarted; or the process through which it was reached ended."""


@contextmanager
def removal_check(details: Details) -> Iterator[Check]:
    """Yield what raises ContainerGone or ContainerEnded once the container is removed or its process has ended."""
    with ExitStack() as exit_stack:
        checks: list[Check] = []
        record = removal_record(details)
        if record is not None:
            checks.append(_removal(record, exit_stack))
        if details.container.state.alive and details.pid:
            checks.append(_end_check(details.pid, exit_stack))

        def check() -> None:
            for single_check in checks:
                single_check()

        yield check


@contextmanager
def explain_removal(details: Details, inspect: Callable[[str], Details]) -> Iterator[None]:
    """Let an act that fails since its container was removed, started or stopped say so, whatever it failed with.

    Without the container its layer is gone, and the reasons that the file system gives are no reasons.
    """
    try:
        yield
    except (ContainerGone, Stopped, UsageError, OwnPlaceFailed, TooManyOpen):
        raise
    except (DtuiError, OSError) as error:
        became = _what_became(details, inspect, error)
        if became is None:
            raise
        raise became from error


def _what_became(
    details: Details, inspect: Callable[[str], Details], error: DtuiError | OSError
) -> ChangedMeanwhile | None:
    """Return what is raised instead of an error, None where the container is what it was."""
    if being_removed(details):
        return ContainerGone("the container is being removed", "what was done goes with it")
    gone = ContainerGone("the container was removed meanwhile", "what was done went with it")
    for _ in range(_LOOKS):
        try:
            after = inspect(details.container.id)
        except NotFound:
            return gone
        except (DtuiError, OSError):
            return None
        state = after.container.state
        if state in (State.REMOVING, State.DEAD):
            return ContainerGone("the container is being removed", "what was done goes with it")
        if after.session_key != details.session_key or not (state.alive or state.at_rest):
            break
        if not isinstance(error, ContainerEnded):
            return None
        time.sleep(_BETWEEN)  # the Engine has not noticed the end yet
    else:
        return None
    if isinstance(error, DtuiError) and error.tells_outcome:
        return None
    hint = (*getattr(error, "__notes__", ()), "look at it again")[0]
    told = f"the container {_change_of(details.container.state, state)}"
    if isinstance(error, ContainerEnded):
        return ContainerEnded(error.message.replace(_ENDED, told), error.hint)
    return ContainerEnded(told, hint)


def _change_of(before: State, after: State) -> str:
    if not (after.alive or after.at_rest):
        return f"is {after} now"
    if before.alive:
        return "was restarted" if after.alive else "has stopped"
    return "was started meanwhile" if after.alive else "was started meanwhile, and has stopped"


def being_removed(details: Details) -> bool:
    """Say whether the Engine's record on this host says that a container is being removed, or was there and is gone."""
    record = removal_record(details)
    return record is not None and record.is_removed()


def _removal(record: RemovalRecord, exit_stack: ExitStack) -> Check:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:  # the limit of instances is used up: the end of the act tells of a removal
        return no_check
    exit_stack.callback(os.close, fd)
    for directory in record.directories:  # one that is gone by now is met below
        libc.inotify_add_watch(fd, os.fsencode(directory), _MOVED_TO | _DELETE | _DELETE_SELF)

    heard = select.poll()
    heard.register(fd, select.POLLIN)

    def check() -> None:
        while heard.poll(0):  # asked before each step, so it must cost no exception
            os.read(fd, 1 << 16)
            if record.is_removed():
                raise ContainerGone("the container is being removed", "what was done goes with it")

    if record.is_removed():
        raise ContainerGone("the container is being removed", "nothing was changed")
    return check


def _end_check(pid: int, exit_stack: ExitStack) -> Check:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    exit_stack.callback(os.close, pidfd)
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)

    def check() -> None:
        if ended.poll(0):
            raise ContainerEnded(_ENDED, "look at it again")

    return check
