"""Start, stop, restart, pause or kill the current container, and report the outcome."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import Container, Details, Event, State
from tui.core.text import printable
from tui.engine.endpoint import Endpoint, Verb
from tui.render.endings import ending_question, ending_text, is_ending
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.dialogs.choose import ChooseDialog, confirm

VERBS = ("start", "start_again", "stop", "stop_loop", "restart", "pause", "kill")
"""The actions that change the state of a container."""

_DONE = {
    Verb.START: "started",
    Verb.STOP: "stopped",
    Verb.RESTART: "restarted",
    Verb.PAUSE: "paused",
    Verb.UNPAUSE: "unpaused",
    Verb.KILL: "killed",
    Verb.REMOVE: "removed",
}
_CAUSED_EVENTS = {
    Verb.START: ("start",),
    Verb.STOP: ("die",),
    Verb.RESTART: ("die", "start"),
    Verb.PAUSE: ("pause",),
    Verb.UNPAUSE: ("unpause",),
    Verb.KILL: ("die",),
    Verb.REMOVE: ("die", "destroy"),
}
"""Events that each verb causes; they race with the verb's outcome, and only the outcome is reported."""

_EVENT_WORDS = {"start": "started", "pause": "was paused", "unpause": "goes on", "destroy": "was removed"}
"""Descriptions of what somebody else did, by event."""

_DOING = {
    Verb.STOP: "stopping {}: it has 10 s to exit…",
    Verb.RESTART: "restarting {}: it has 10 s to exit…",
}

_PATIENCE = 0.5
"""Seconds after which reading a container's settings before a question shows its progress."""


class ActionEnded(Message):
    """A verb was carried out on a container, or failed with ``error``."""

    def __init__(self, container: Container, verb: Verb, error: DtuiError | None = None) -> None:
        super().__init__()
        self.container = container
        self.verb = verb
        self.error = error


def why_no_verb(container: Container | None, action: str, *, live: bool) -> str:
    """Return why an action on a container is not possible now; empty if it is."""
    if container is None:
        return "no container is selected"
    if container.hidden:
        return "the daemon runs another storage driver and does not know this container"
    if not live:
        return "a data-root is read without its daemon: start dockerd, then open dtui on it"
    name, state = printable(container.name), container.state
    if action == "pause" and state is State.RESTARTING:
        return f"{name} keeps restarting, and cannot be paused: S stops it"
    if action in ("stop", "stop_loop", "kill", "pause") and not _is_ended_by_verbs(state):
        return f"{name} is not running ({state})"
    if action == "restart" and not _is_ended_by_verbs(state):
        return f"{name} is not running: s starts it"
    return ""


def _is_ended_by_verbs(state: State) -> bool:
    """Return whether there is something to stop: a process, or restarting again and again."""
    return state.alive or state is State.RESTARTING


class ContainerCommands(Commands):
    """Performs ``VERBS`` on the container that ``current`` returns, unless ``why_gone`` returns a reason not to."""

    def __init__(
        self, surface: Surface, current: Callable[[], Container | None], why_gone: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__(surface)
        self._current = current
        self._why_gone = why_gone
        self.acted_on: set[str] = set()
        """Ids of the containers that were acted on, so that their events are reported too."""
        self._awaited: dict[str, set[str]] = {}
        self._ended: set[str] = set()

    def disabled_reason(self, action: str) -> str:
        return self.verb_reason(action) if action in VERBS else ""

    def verb_reason(self, action: str) -> str:
        """Return why an action on the current container is not possible; empty if it is."""
        container = self._current()
        live = container is not None and self.surface.host.endpoint(container.endpoint).live
        return self._why_gone() or why_no_verb(container, action, live=live)

    def hides(self, action: str) -> bool:
        """Hide whichever of start and restart ``s`` does not do now, and the footer's stop unless it matters most."""
        if action in ("start", "start_again"):
            return (self.start_verb() is Verb.START) is (action == "start_again")
        if action in ("stop", "stop_loop"):
            container = self._current()
            keeps_restarting = container is not None and container.state is State.RESTARTING
            return keeps_restarting is (action == "stop")
        return False

    def start_verb(self) -> Verb:
        """Return what ``s`` does now: restart a running container, start any other."""
        container = self._current()
        return Verb.RESTART if container is not None and _is_ended_by_verbs(container.state) else Verb.START

    def act(self, verb: Verb, target: Container | None) -> None:
        """Perform a verb in a worker, which posts :class:`ActionEnded`.

        ``target`` is the container that the question was about; another one may be current by the time it is answered.
        """
        if target is None:
            return
        host = self.surface.host
        container = host.feed.find((target.endpoint, target.id))
        if container is None:
            self.surface.tell(f"{target.name} is gone: nothing was done", "bad")
            return
        self.surface.tell(_DOING.get(verb, f"{verb}: {{}}…").format(container.name))
        self.acted_on.add(container.id)
        self._awaited[container.id] = set(_CAUSED_EVENTS[verb])
        self._ended.discard(container.id)
        endpoint = host.endpoint(container.endpoint)
        self.surface.run_worker(lambda: self._carry_out(endpoint, container, verb), thread=True, group="acts")

    def _carry_out(self, endpoint: Endpoint, container: Container, verb: Verb) -> None:
        worker = get_current_worker()
        error: DtuiError | None = None
        try:
            endpoint.act(container.id, verb)
        except DtuiError as caught:
            error = caught
        if not worker.is_cancelled:
            self.surface.post_message(ActionEnded(container, verb, error))

    def tell_outcome(self, event: ActionEnded) -> None:
        """Report how a verb ended."""
        container = event.container
        if event.error:
            self._awaited.pop(container.id, None)
            self.surface.tell_error(event.error)
        elif container.id not in self._ended:  # if it has exited since, that was reported already
            self.surface.tell(f"{container.name} {_DONE[event.verb]}", "good")

    def tell_event(self, event: Event, name: str) -> None:
        """Report an event of a container, unless one of our own acts caused it and reports it."""
        awaited = self._awaited.get(event.id, set())
        if event.action in awaited:
            awaited.discard(event.action)
        elif event.action == "die" and "start" in awaited:
            pass  # it ended before our start, whose event has not come yet
        elif event.action == "die":
            self._ended.add(event.id)
            self.surface.tell(f"{name} exited with code {event.exit_code}", "bad" if event.exit_code else "")
        elif event.action in _EVENT_WORDS:
            self.surface.tell(f"{name} {_EVENT_WORDS[event.action]}")

    async def confirm_verb(self, verb: Verb, container: Container | None) -> bool:
        """Ask before a verb ends a running container; return whether to go on."""
        if container is None or not is_ending(verb) or not _is_ended_by_verbs(container.state):
            return container is not None
        try:
            details = await self.settings_of(container)
        except DtuiError as error:
            self.surface.tell_error(error)
            return False
        question, answer = ending_question(verb, details, container.name)
        body = ending_text(verb, container.state, details)
        return await self.surface.choose(ChooseDialog(question, (confirm(answer),), body)) == "yes"

    async def settings_of(self, container: Container) -> Details:
        """Inspect a container, because its settings decide what a verb really does; raises DtuiError."""
        endpoint = self.surface.host.endpoint(container.endpoint)
        title = f"Looking at {printable(container.name)}"
        return await self.surface.call(title, lambda: endpoint.inspect(container.id), _PATIENCE)

    @flow
    async def _ask_and_act(self, verb: Verb) -> None:
        container = self._current()
        if await self.confirm_verb(verb, container):
            self.act(verb, container)

    def action_start(self) -> None:
        self._ask_and_act(Verb.START)

    def action_start_again(self) -> None:
        """Ask, then restart the container."""
        self._ask_and_act(Verb.RESTART)

    def action_stop(self) -> None:
        """Ask, then stop the container."""
        self._ask_and_act(Verb.STOP)

    def action_stop_loop(self) -> None:
        """Ask, then stop the container that keeps restarting."""
        self._ask_and_act(Verb.STOP)

    def action_restart(self) -> None:
        """Ask, then restart the container."""
        self._ask_and_act(Verb.RESTART)

    def action_kill(self) -> None:
        """Ask, then kill the container's main process."""
        self._ask_and_act(Verb.KILL)

    def action_pause(self) -> None:
        """Pause or unpause the container."""
        container = self._current()
        paused = container is not None and container.state is State.PAUSED
        self.act(Verb.UNPAUSE if paused else Verb.PAUSE, container)
