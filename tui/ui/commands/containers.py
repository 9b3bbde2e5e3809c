"""Start, stop, restart, pause, kill: what keys do to the container in hand, and how the outcome is told."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.message import Message
from textual.worker import get_current_worker

from tui.core.errors import DtuiError
from tui.core.records import Container, Event, State
from tui.core.text import printable
from tui.engine.endpoint import Endpoint, Verb
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.dialogs.choose import ChooseDialog, confirm

VERBS = ("start", "start_again", "stop", "restart", "pause", "kill")
"""The actions that change what a container does."""

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
"""Events that each verb brings about: they and its own outcome race, and the outcome is what is told."""

_EVENT_WORDS = {"start": "started", "pause": "was paused", "unpause": "goes on", "destroy": "was removed"}
"""What somebody else did, by the event that tells it."""

_DOING = {
    Verb.STOP: "stopping {}: it has 10 s to exit…",
    Verb.RESTART: "restarting {}: it has 10 s to exit…",
}

_ENDS = {
    Verb.STOP: "it has 10 s to exit, then it is killed",
    Verb.RESTART: "it has 10 s to exit, then it is killed and started again",
    Verb.KILL: "its main process is killed at once",
}
"""What becomes of a running container; none of it can be undone."""


class ActionEnded(Message):
    """A verb was carried out on a container, or failed with ``error``."""

    def __init__(self, container: Container, verb: Verb, error: DtuiError | None = None) -> None:
        super().__init__()
        self.container = container
        self.verb = verb
        self.error = error


def why_no_verb(container: Container | None, action: str, *, live: bool) -> str:
    """Say why an action of the keys s S R p K X cannot be done to a container now; empty when it can."""
    if container is None:
        return "no container is selected"
    if container.hidden:
        return "the daemon runs another storage driver and does not know this container"
    if not live:
        return "a data-root is read without its daemon: start dockerd, then open dtui on it"
    name, state = printable(container.name), container.state
    if action in ("stop", "kill", "pause") and not state.alive and state is not State.RESTARTING:
        return f"{name} is not running ({state})"
    if action == "restart" and not state.alive:
        return f"{name} is not running: s starts it"
    return ""


class ContainerCommands(Commands):
    """Does what ``VERBS`` name to the container that ``current`` returns, unless ``why_gone`` gives a reason."""

    def __init__(
        self, surface: Surface, current: Callable[[], Container | None], why_gone: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__(surface)
        self._current = current
        self._why_gone = why_gone
        self.acted_on: set[str] = set()
        """Ids of the containers that something was done to: what becomes of them is news."""
        self._awaited: dict[str, set[str]] = {}
        self._ended: set[str] = set()

    def disabled_reason(self, action: str) -> str:
        """Say why a verb cannot be carried out on the container in hand."""
        return self.verb_reason(action) if action in VERBS else ""

    def verb_reason(self, action: str) -> str:
        """Say why an act cannot be done to the container in hand."""
        container = self._current()
        live = container is not None and self.surface.host.endpoint(container.endpoint).live
        return self._why_gone() or why_no_verb(container, action, live=live)

    def hides(self, action: str) -> bool:
        """Show one of the two things that ``s`` does: start, or restart what runs."""
        if action in ("start", "start_again"):
            return (self.start_verb() is Verb.START) is (action == "start_again")
        return False

    def start_verb(self) -> Verb:
        """Return what starting means now: a running container is restarted."""
        container = self._current()
        return Verb.RESTART if container is not None and container.state.alive else Verb.START

    def act(self, verb: Verb, target: Container | None) -> None:
        """Do it in a worker to the container that was asked about; the outcome comes as :class:`ActionEnded`.

        The list goes on while a question is open: what is in hand afterwards may be another one.
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
        """Tell how a verb ended."""
        container = event.container
        if event.error:
            self._awaited.pop(container.id, None)
            self.surface.tell_error(event.error)
        elif container.id not in self._ended:  # it started and has exited already: that is the news
            self.surface.tell(f"{container.name} {_DONE[event.verb]}", "good")

    def tell_event(self, event: Event, name: str) -> None:
        """Tell what happened to a container, unless an act of ours brought it about and tells it."""
        awaited = self._awaited.get(event.id, set())
        if event.action in awaited:
            awaited.discard(event.action)
        elif event.action == "die" and "start" in awaited:
            pass  # it ended before we started it: its start is still to be announced, and this is no news
        elif event.action == "die":
            self._ended.add(event.id)
            self.surface.tell(f"{name} exited with code {event.exit_code}", "bad" if event.exit_code else "")
        elif event.action in _EVENT_WORDS:
            self.surface.tell(f"{name} {_EVENT_WORDS[event.action]}")

    async def confirm_verb(self, verb: Verb, container: Container | None) -> bool:
        """Ask before a verb ends what runs; there is nothing to ask about a container that does not."""
        if container is None or verb not in _ENDS or not container.state.alive:
            return container is not None
        question = f"{verb.capitalize()} {printable(container.name)}?"
        body = Text(f"It is {container.state}: {_ENDS[verb]}.")
        return await self.surface.choose(ChooseDialog(question, (confirm(f"{verb} it"),), body)) == "yes"

    @flow
    async def _ask_and_act(self, verb: Verb) -> None:
        container = self._current()
        if await self.confirm_verb(verb, container):
            self.act(verb, container)

    def action_start(self) -> None:
        """Start the container."""
        self._ask_and_act(Verb.START)

    def action_start_again(self) -> None:
        """Restart the container, after a question."""
        self._ask_and_act(Verb.RESTART)

    def action_stop(self) -> None:
        """Stop the container, after a question."""
        self._ask_and_act(Verb.STOP)

    def action_restart(self) -> None:
        """Restart the container, after a question."""
        self._ask_and_act(Verb.RESTART)

    def action_kill(self) -> None:
        """Kill the container's main process, after a question."""
        self._ask_and_act(Verb.KILL)

    def action_pause(self) -> None:
        """Pause it, or let it go on."""
        container = self._current()
        paused = container is not None and container.state is State.PAUSED
        self.act(Verb.UNPAUSE if paused else Verb.PAUSE, container)
