"""Notices in the middle of an act that its container is being removed or has ended, so that it makes nothing more.

``docker rm`` fails with "directory not empty" where an entry is made in a layer that it is just removing. It writes
down that a container is dead before it begins, which is heard here before each change; to ask the Engine is too late.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tui.core.errors import ChangedMeanwhile, DtuiError, EngineError, NotFound, NotReachable, Stopped
from tui.core.model import Details

Check = Callable[[], None]

_ENDED = "the container has stopped or was removed"

_MOVED_TO, _DELETE, _DELETE_SELF = 0x80, 0x200, 0x400  # linux/inotify.h
_ABOVE = 4
"""How many directories above a layer the data-root is looked for."""


class ContainerGone(ChangedMeanwhile):
    """The container of an act is being removed: what was done goes with it, and nothing is taken back."""


class ContainerEnded(ChangedMeanwhile):
    """The process through which an act reached its container has ended."""


def no_check() -> None:
    """Let everything be done."""


@contextmanager
def watched(details: Details) -> Iterator[Check]:
    """Yield what raises ContainerGone or ContainerEnded once the container is removed or its process has ended."""
    with ExitStack() as held:
        checks: list[Check] = []
        record = _record_of(details)
        if record is not None:
            checks.append(_removal(record, held))
        if details.container.state.alive and details.pid:
            checks.append(_end(details.pid, held))

        def check() -> None:
            for one in checks:
                one()

        yield check


@contextmanager
def what_happened(details: Details, inspect: Callable[[str], Details]) -> Iterator[None]:
    """Let an act that fails because its container was removed, stopped or restarted say so, whatever it failed with."""
    try:
        yield
    except (ContainerGone, Stopped):
        raise
    except (DtuiError, OSError) as error:
        if being_removed(details):
            raise ContainerGone("the container is being removed", "what was done goes with it") from error
        if not isinstance(error, ContainerEnded):
            raise
        raise _named(details, inspect, error) from error


def _named(details: Details, inspect: Callable[[str], Details], error: ContainerEnded) -> ChangedMeanwhile:
    """Return what is raised instead once the Engine said what became of the container."""
    try:
        after = inspect(details.container.id)
    except NotFound:
        return ContainerGone("the container was removed", "what was done went with it")
    except EngineError:
        return error
    state = after.container.state
    if state.at_rest:
        return ContainerEnded(error.message.replace(_ENDED, "the container has stopped"), error.hint)
    if state.alive and after.session_key != details.session_key:
        return ContainerEnded(error.message.replace(_ENDED, "the container was restarted"), error.hint)
    return error


def being_removed(details: Details) -> bool:
    """Say whether the Engine's record on this host says that a container is being removed, or was there and is gone."""
    record = _record_of(details)
    return record is not None and _is_removed(record)


def _record_of(details: Details) -> Path | None:
    """Return the directory of the Engine's record of a container; None for Engines that keep none there.

    Docker's data-root has ``image`` beside ``containers``, which tells a record that is gone from one that never was.
    """
    if details.stack is None:
        return None
    for above in details.stack.writable.path.parents[:_ABOVE]:
        if (above / "containers").is_dir() and (above / "image").is_dir():
            return above / "containers" / details.container.id
    return None


def _removal(record: Path, held: ExitStack) -> Check:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:  # the limit of instances is used up: the end of the act tells of a removal
        return no_check
    held.callback(os.close, fd)
    # one that is gone by now is met below
    libc.inotify_add_watch(fd, os.fsencode(record), _MOVED_TO | _DELETE | _DELETE_SELF)

    heard = select.poll()
    heard.register(fd, select.POLLIN)

    def check() -> None:
        while heard.poll(0):  # asked before each step, so it must cost no exception
            os.read(fd, 1 << 16)
            if _is_removed(record):
                raise ContainerGone("the container is being removed", "what was done goes with it")

    if _is_removed(record):
        raise ContainerGone("the container is being removed", "nothing was changed")
    return check


def _is_removed(record: Path) -> bool:
    try:
        state = json.loads((record / "config.v2.json").read_bytes())["State"]
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False  # of a shape that this does not know: the Engine is asked at the end of the act
    return isinstance(state, dict) and bool(state.get("Dead") or state.get("RemovalInProgress"))


def _end(pid: int, held: ExitStack) -> Check:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise NotReachable("the container's process is gone", "look at its state again") from error
    held.callback(os.close, pidfd)
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)

    def check() -> None:
        if ended.poll(0):
            raise ContainerEnded(_ENDED, "look at it again")

    return check
