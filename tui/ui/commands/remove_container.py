"""Removes a container after a question that says what is deleted with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rich.text import Text

from tui.core.errors import DtuiError
from tui.core.records import Container, State
from tui.core.text import human_size, printable
from tui.engine.endpoint import Verb
from tui.render.endings import ending_warnings
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.commands.containers import ContainerCommands
from tui.ui.commands.details import ContainerDetails
from tui.ui.dialogs.choose import Choice, ChooseDialog

_WOULD_BE_KILLED = (State.RUNNING, State.PAUSED, State.RESTARTING)


class RemoveContainer(Commands):
    """Asks for confirmation, and removes the container that the question was about."""

    def __init__(
        self,
        surface: Surface,
        acts: ContainerCommands,
        details: ContainerDetails,
        current: Callable[[], Container | None],
    ) -> None:
        super().__init__(surface)
        self._acts = acts
        self._details = details
        self._current = current

    def disabled_reason(self, action: str) -> str:
        return self._acts.verb_reason(action) if action == "remove" else ""

    @flow
    async def action_remove(self) -> None:
        """Ask, then remove the container; ask again if it was started meanwhile."""
        container = self._current()
        kill_confirmed = False
        key = "y"
        while container and await self._is_confirmed(container, key):
            kill_confirmed = kill_confirmed or container.state in _WOULD_BE_KILLED
            current = self.surface.host.feed.find((container.endpoint, container.id))
            if kill_confirmed or current is None or current.state not in _WOULD_BE_KILLED:
                self._acts.act(Verb.REMOVE, container)
                return
            container, key = current, "k"  # another key, because this does more than what was confirmed

    async def _is_confirmed(self, container: Container, key: str) -> bool:
        size = self._details.size_of(container)
        question = f"Remove {printable(container.name)}? Its writable layer is deleted too. This cannot be undone."
        body = Text(f"{printable(container.image)} · layer {human_size(size)} · volumes are kept")
        with suppress(DtuiError):  # a damaged container is removed as well; its settings only add to the question
            for warning in ending_warnings(Verb.REMOVE, await self._acts.settings_of(container)):
                body.append(f"\n! {warning}", style="yellow")
        if container.state in _WOULD_BE_KILLED:
            body = Text.assemble((f"It is {container.state.upper()} and will be killed.\n", "bold red"), body)
        verb = "kill and remove it" if container.state in _WOULD_BE_KILLED else "remove it"
        return await self.surface.choose(ChooseDialog(question, (Choice(key, "remove", verb),), body)) == "remove"
