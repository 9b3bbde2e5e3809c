"""Carrying a change of the layer out: with its progress, a question where more goes than is kept, and its outcome."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from tui.core.errors import DtuiError
from tui.core.progress import Meter
from tui.core.text import count_of, human_size, printable
from tui.files import BackupMode, ChangeResult, Step, TooLarge, UndoKind
from tui.ui.commands.base import Surface
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.dialogs.choose import Choice, ChooseDialog

Act = Callable[[Step, BackupMode], ChangeResult]
"""A change, called in a thread with what follows its progress and what becomes of what it replaces."""

_PATIENCE = 0.3
"""Seconds after which a change shows its progress."""


class ChangeFlow:
    """Runs changes for commands; ``go_to`` takes where the cursor is to go when the layer is shown again."""

    def __init__(self, surface: Surface, layer: OpenLayer, go_to: Callable[[bytes], None]) -> None:
        self._surface = surface
        self._layer = layer
        self._go_to = go_to

    async def perform_or_tell(self, title: str, act: Act, done: str) -> None:
        """Carry an act out and tell how it ended, also when it was refused."""
        try:
            await self.perform(title, act, done)
        except DtuiError as error:
            self._surface.tell_error(error)

    async def perform(self, title: str, act: Act, done: str, *, go_to: bool = False) -> None:
        """Run an act, after a question where it replaces more than is kept; tell how it ended."""
        try:
            outcome = await self._run(title, act, BackupMode.USUAL, go_to=go_to)
        except TooLarge as refused:
            keep = await self._ask_backup_mode(title, refused)
            if keep is None:
                return
            outcome = await self._run(title, act, keep, go_to=go_to)
        count_text = f" · {count_of(outcome.count, 'entry', 'entries')}" if outcome.count != 1 else ""
        notes = "".join(f" · {note}" for note in outcome.notes)
        back = " · z undoes this" if outcome.act and outcome.act.kind is not UndoKind.UNDO else ""
        self._surface.tell(f"{printable(outcome.path)} {done}{count_text}{back}{notes}", "good")

    async def _run(self, title: str, act: Act, keep: BackupMode, *, go_to: bool) -> ChangeResult:
        """Run an act, with its progress when it takes long, and show the layer afresh."""
        meter = Meter()

        def watched() -> ChangeResult:
            with meter.watching():
                return act(meter.step, keep)

        try:
            outcome = await self._surface.call(title, watched, _PATIENCE, meter)
            if go_to:
                self._go_to(outcome.path)
            return outcome
        finally:
            self._layer.open()

    async def _ask_backup_mode(self, title: str, refused: TooLarge) -> BackupMode | None:
        """Ask what is to become of what an act would replace beyond what is kept."""
        choices = refused.choices
        size = human_size(choices.size)
        offers = (
            (
                Choice("k", BackupMode.COPY, "keep a copy"),
                f"copies {size} to this host; {human_size(choices.room)} are free",
            ),
            (Choice("a", BackupMode.ASIDE, "set aside"), "renames it out of the layer, without a copy"),
            (Choice("p", BackupMode.NOTHING, "permanently"), "keeps nothing: this cannot be undone"),
        )
        reasons = (choices.copy, choices.aside, choices.nothing)
        body = Text(f"{refused.message[0].upper()}{refused.message[1:]}. Nothing was changed yet.\n")
        for (choice, description), reason in zip(offers, reasons, strict=True):
            explanation = f"  not possible: {reason}" if reason else f"  {description}"
            body.append_text(Text.assemble("\n", (choice.text, "bold"), explanation))
        possible = tuple(choice for (choice, _), reason in zip(offers, reasons, strict=True) if not reason)
        answer = await self._surface.choose(
            ChooseDialog(f"{title}: what should happen to the old contents?", possible, body)
        )
        return BackupMode(answer) if answer else None
