"""Change the files of a container that keeps restarting: stop it, make the change, start it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotFound, NotReachable
from tui.core.lifecycle import keep_commands, shortened
from tui.core.records import Details, DriverKind, State
from tui.core.text import printable
from tui.engine.endpoint import Endpoint, Verb
from tui.files import (
    ChangeResult,
    ContainerEnded,
    ContainerFiles,
    ContainerGone,
    KeepsRestarting,
    LayerInUse,
    SavePlan,
    SaveResult,
)
from tui.services.files_of import files_of

Result = TypeVar("Result", SaveResult, ChangeResult)

_STOPS = 20
"""How often to stop a container that is started again at once."""

_TRIES = 5
"""How often to try a change while podman starts the container again, or has not unmounted its layer yet."""

_MOMENT, _BETWEEN = 1.0, 0.02
"""How long a stopped container is watched, and how often, in seconds: podman starts one again within that."""


class NotStarted(DtuiError):
    """The change was made, but the container could not be started again; ``result`` is that of the change."""

    tells_outcome = True

    def __init__(self, message: str, hint: str, result: SaveResult | ChangeResult) -> None:
        super().__init__(message, hint)
        self.result = result


def must_be_stopped(endpoint: Endpoint, details: Details, error: DtuiError) -> bool:
    """Return whether a change failed only because the engine keeps restarting the container.

    The engine may have done so since ``details`` were read, whose process is then gone.
    """
    if not endpoint.live or isinstance(error, ContainerGone):
        return False
    if isinstance(error, KeepsRestarting):
        return True
    if not isinstance(error, (ContainerEnded, LayerInUse, NotReachable)):
        return False
    if isinstance(error, LayerInUse):
        return details.lifecycle.restarts
    try:
        current = endpoint.inspect(details.container.id)
    except DtuiError:
        return False
    restarted = current.lifecycle.restarts and current.session_key != details.session_key
    return restarted or current.container.state is State.RESTARTING


def refuse_stop(endpoint: Endpoint, details: Details) -> None:
    """Raise EditRefused or NotReachable if stopping the container would not help, or would lose something."""
    container, lifecycle = details.container, details.lifecycle
    name = printable(container.name)
    if not endpoint.live or container.hidden:
        raise NotReachable(f"{name} cannot be stopped: no daemon knows it", "start dockerd, or leave out --restart")
    if container.state.at_rest and not lifecycle.restarts:
        return
    if container.state in (State.REMOVING, State.DEAD, State.UNKNOWN):
        raise EditRefused(f"{name} is {container.state}", "leave out --restart to see what is possible")
    if lifecycle.auto_remove:
        kept = keep_commands(container.name, container.command_line)
        raise EditRefused(
            f"stopping {name} would remove it and all its changes (it was started with --rm)",
            f"leave out --restart; {kept} keeps them",
        )
    if lifecycle.group.swarm_service:
        raise EditRefused(
            f"{name} is a task of {lifecycle.owner}: once it is stopped, Swarm starts another one in its place",
            "leave out --restart, or change the service: docker service update",
        )
    if container.state is State.PAUSED:
        raise EditRefused(f"{name} is paused", f"{container.command_line} unpause {name} first, or leave out --restart")


def stopped_first_words(details: Details) -> str:
    """Return what :func:`change_while_stopped` does, as the beginning of a sentence."""
    policy = details.lifecycle.restart_policy
    kept = f"; its restart policy {shortened(policy)} stays as it is" if policy not in ("", "no") else ""
    return f"It is stopped, which takes up to 10 s, and then started again{kept}"


def plan_while_stopped(endpoint: Endpoint, details: Details, path: bytes) -> SavePlan:
    """Describe what a save would do once the container is stopped; raises what the save would raise."""
    refuse_stop(endpoint, details)
    stopped = replace(details, container=replace(details.container, state=State.EXITED), pid=0)
    return files_of(endpoint, stopped).plan(path)


def change_while_stopped(
    endpoint: Endpoint, details: Details, change: Callable[[ContainerFiles], Result], check: Callable[[], None]
) -> Result:
    """Stop a container, make a change, and start it again, whether or not the change succeeds.

    Its restart policy stays as it is, and one that was not running is not started. ``check`` raises if the user has
    stopped the change meanwhile. Raises what the change raises, with the container's state in the hint, and
    :class:`NotStarted`.
    """
    refuse_stop(endpoint, details)
    result: Result
    stopped, result = _changed(endpoint, details, change, check)
    outcome = _start(endpoint, stopped)
    if outcome.error:
        message = f"{printable(result.path)} is changed, but {printable(details.container.name)} was not started"
        raise NotStarted(f"{message}: {outcome.error}", f"{outcome.words}; dtui undo takes the change back", result)
    return replace(result, notes=(outcome.words, *result.notes))


def _changed(
    endpoint: Endpoint,
    details: Details,
    change: Callable[[ContainerFiles], Result],
    check: Callable[[], None],
) -> tuple[_Stopped, Result]:
    """Stop a container and make a change; if it fails, start the container again and say so."""
    ran = False
    for tries_left in reversed(range(_TRIES if _restarts_unseen(details) else 1)):
        stopped = _stop(endpoint, details, ran=ran)
        try:
            check()
            files = replace(files_of(endpoint, stopped.details), inspect=_only_while_stopped(endpoint, stopped))
            return stopped, change(files)
        except DtuiError as error:
            if not tries_left or not _can_be_retried(error):
                outcome = _start(endpoint, stopped)
                failure = f"starting it failed: {outcome.error}" if outcome.error else ""
                hint = "try again in a moment" if isinstance(error, LayerInUse) else error.hint
                error.hint = "; ".join(filter(None, (hint, failure, outcome.words)))
                raise
        except BaseException:
            _start(endpoint, stopped)
            raise
        ran = stopped.ran
    raise AssertionError("unreachable: the last try returns or raises")


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A stopped container, and whether it ran before."""

    details: Details
    ran: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How starting a container again ended: what state it is in, in words, and why it was not started."""

    words: str
    error: str = ""


def _can_be_retried(error: DtuiError) -> bool:
    return isinstance(error, LayerInUse) or (isinstance(error, ContainerEnded) and error.can_be_retried)


def _restarts_unseen(details: Details) -> bool:
    """Return whether a container that seems to be at rest may be between two runs, as podman lists it."""
    return details.lifecycle.restarts and details.container.driver.kind is DriverKind.STORAGE


def _stop(endpoint: Endpoint, details: Details, *, ran: bool) -> _Stopped:
    """Stop a container for good; ``ran`` says that it was seen running before.

    podman stops nothing if the container is just between two runs, and then starts it again. So there one that was
    stopped is watched for a moment, and stopped once more if it was started.
    """
    ran = ran or not details.container.state.at_rest
    if not ran and not _restarts_unseen(details):
        return _Stopped(details, ran)
    for _ in range(_STOPS):
        endpoint.act(details.container.id, Verb.STOP)
        try:
            current = endpoint.inspect(details.container.id)
            stays = current.container.state.at_rest and _stays_stopped(endpoint, current)
        except DtuiError as error:
            error.hint = "; ".join(filter(None, (error.hint, _state_words(endpoint, details))))
            raise
        ran = ran or current.session_key[:3] != details.session_key[:3]
        if stays:
            return _Stopped(current, ran)
        ran = True
    name, owner = printable(details.container.name), details.lifecycle.owner
    hint = f": it belongs to {owner}" if owner else ""
    raise ChangedMeanwhile(
        f"{name} was stopped {_STOPS} times and was started again each time",
        f"nothing was changed; find out what starts it{hint}",
    )


def _stays_stopped(endpoint: Endpoint, stopped: Details) -> bool:
    """Return whether a container is still at rest after a moment in which podman would have started it again."""
    end = time.monotonic() + _MOMENT
    while _restarts_unseen(stopped) and time.monotonic() < end:
        time.sleep(_BETWEEN)
        current = endpoint.inspect(stopped.container.id)
        if not current.container.state.at_rest or current.session_key != stopped.session_key:
            return False
    return True


def _only_while_stopped(endpoint: Endpoint, stopped: _Stopped) -> Callable[[str], Details]:
    """Return an ``inspect`` that raises ContainerEnded once the container was started again by somebody else."""
    has_begun = False

    def inspect(container_id: str) -> Details:
        nonlocal has_begun
        current = endpoint.inspect(container_id)
        if not current.container.state.at_rest or current.session_key != stopped.details.session_key:
            name = printable(current.container.name)
            error = ContainerEnded(f"{name} was started by somebody else", "stop what starts it, then try again")
            error.can_be_retried = not has_begun
            raise error
        has_begun = True
        return current

    return inspect


def _start(endpoint: Endpoint, stopped: _Stopped) -> _Outcome:
    """Start a container that was stopped here, and say what state it is in. Raises nothing."""
    container = stopped.details.container
    name, by_hand = printable(container.name), f"{container.command_line} start {printable(container.name)}"
    if not stopped.ran:
        return _Outcome(f"{name} was not running and was not started: {by_hand} starts it")
    try:
        endpoint.act(container.id, Verb.START)
    except DtuiError as error:
        return _Outcome(_state_words(endpoint, stopped.details), error.message)
    words = f"{name} was stopped and started again"
    before = stopped.details.lifecycle.restart_policy
    if before in ("", "no"):
        return _Outcome(words)
    try:
        policy = endpoint.inspect(container.id).lifecycle.restart_policy
    except DtuiError as error:
        return _Outcome(f"{words}; it cannot be looked at again: {error.message}")
    kept = "unchanged" if policy == before else f"now {printable(policy)}"
    return _Outcome(f"{words}, its restart policy {printable(before)} {kept}")


def _state_words(endpoint: Endpoint, details: Details) -> str:
    """Say what state a container is in that was stopped here, and which command starts it."""
    name = printable(details.container.name)
    by_hand = f"{details.container.command_line} start {name}"
    try:
        container = endpoint.inspect(details.container.id).container
    except NotFound:
        return f"{name} does not exist any more"
    except DtuiError:
        return f"{name} was stopped, and nobody answers now: {by_hand} starts it"
    return f"{name} is {container.status}, its restart policy unchanged: {by_hand} starts it"
