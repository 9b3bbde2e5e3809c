"""Notice during an act that its container is being removed or has ended, and stop before the next change.

``docker rm`` fails with "directory not empty" if an entry is created in a layer that it is just removing. It records
that a container is dead before it begins; inotify reports that, and each change checks it first. Asking the engine
would be too late.
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
    StateFileError,
    Stopped,
    TooManyOpen,
    UsageError,
)
from tui.core.records import Details, State
from tui.files.removal_records import RemovalRecord, removal_record
from tui.layers.private_mounts import Check, no_check

_ENDED = "the container has stopped or was removed"
_LOOK = "look at it again"

STOP_FIRST = "--restart stops it, makes the change and starts it again"
"""What works on a container that keeps restarting."""

_MOVED_TO, _DELETE, _DELETE_SELF = 0x80, 0x200, 0x400  # linux/inotify.h

_LOOKS, _BETWEEN = 20, 0.05
"""How often, and at intervals of how many seconds, to ask the engine until it knows of an end noticed here."""


class ContainerGone(ChangedMeanwhile):
    """The container is being removed: the change goes with it, and is not rolled back."""


class ContainerEnded(ChangedMeanwhile):
    """The container was started, stopped or restarted, or the process through which it was reached has ended."""

    can_be_retried = False
    """Whether the change had not begun yet."""


class LayerInUse(ChangedMeanwhile):
    """An overlay mount uses the writable layer of a container that is said to be at rest. Nothing was changed."""


@contextmanager
def removal_check(details: Details) -> Iterator[Check]:
    """Yield a check that raises ContainerGone or ContainerEnded once the container is removed or its process ends."""
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
    """If an act fails because its container was removed, started or stopped, raise that instead of the actual error.

    Without the container its layer is gone, and the file system's errors are misleading.
    """
    try:
        yield
    except (ContainerGone, Stopped, UsageError, StateFileError, TooManyOpen):
        raise
    except (DtuiError, OSError) as error:
        became = _what_became(details, inspect, error)
        if became is None:
            raise
        raise became from error


def _what_became(
    details: Details, inspect: Callable[[str], Details], error: DtuiError | OSError
) -> ChangedMeanwhile | None:
    """Return the exception to raise instead of ``error``, None if the container is unchanged."""
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
        if isinstance(error, LayerInUse) and details.lifecycle.restarts:
            return LayerInUse(error.message, STOP_FIRST)  # podman is just about to start it again, or has done so
        if after.session_key != details.session_key or not (state.alive or state.at_rest):
            break
        if not isinstance(error, ContainerEnded):
            return None
        time.sleep(_BETWEEN)  # the engine has not noticed the end yet
    else:
        return None
    if isinstance(error, DtuiError) and error.states_outcome:
        return None
    usual_hint = STOP_FIRST if details.lifecycle.restarts else _LOOK
    hint = (*getattr(error, "__notes__", ()), usual_hint)[0]
    told = f"the container {_change_of(details.container.state, state)}"
    if isinstance(error, (ContainerEnded, LayerInUse)):
        return ContainerEnded(error.message.replace(_ENDED, told), hint if error.hint == _LOOK else error.hint)
    return ContainerEnded(told, hint)


def state_words(state: State) -> str:
    """Return what a container is doing now, as a predicate: ``is being removed``, ``is running now``."""
    return "is being removed" if state is State.REMOVING else f"is {state} now"


def _change_of(before: State, after: State) -> str:
    if not (after.alive or after.at_rest):
        return state_words(after)
    if before.alive:
        return "was restarted" if after.alive else "has stopped"
    return "was started meanwhile" if after.alive else "was started meanwhile, and has stopped"


def being_removed(details: Details) -> bool:
    """Return whether the engine's record says that a container is being removed, or the record is gone."""
    record = removal_record(details)
    return record is not None and record.is_removed()


def _removal(record: RemovalRecord, exit_stack: ExitStack) -> Check:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:  # the limit of inotify instances is reached: a removal is noticed at the end of the act
        return no_check
    exit_stack.callback(os.close, fd)
    for directory in record.directories:  # if one is gone by now, the check below notices
        libc.inotify_add_watch(fd, os.fsencode(directory), _MOVED_TO | _DELETE | _DELETE_SELF)

    heard = select.poll()
    heard.register(fd, select.POLLIN)

    def check() -> None:
        while heard.poll(0):  # runs before each step, so it must not cost an exception
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
            raise ContainerEnded(_ENDED, _LOOK)

    return check
