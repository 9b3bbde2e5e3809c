"""The one choice for a container that keeps restarting: stop it, make the change, start it again."""

from __future__ import annotations

from rich.text import Text

from tui.core.records import Details
from tui.core.text import printable
from tui.services.while_stopped import stopped_first_words
from tui.ui.commands.base import Surface
from tui.ui.dialogs.choose import Choice, ChooseDialog


def stop_first(verb: str) -> Choice:
    """Return the choice that stops the container, does something, and starts it again."""
    return Choice("y", "stop first", f"stop it, {verb}, start it again")


async def ask_to_stop(surface: Surface, details: Details, verb: str) -> bool:
    """Ask whether to stop a container that keeps restarting, so that a change is possible."""
    question = f"{printable(details.container.name)} keeps restarting. Stop it to {verb}?"
    body = Text(f"{stopped_first_words(details)}.")
    return await surface.choose(ChooseDialog(question, (stop_first(verb),), body)) == "stop first"
