"""Runs changes of a layer: shows progress, asks if the backup would be too large, and reports the outcome."""

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
"""A change, called in a thread with a progress callback and what to do with the bytes it replaces."""

_PATIENCE = 0.3
"""Seconds after which a change shows its progress."""


class ChangeFlow:
    """Runs changes for commands; ``go_to`` is called with the path where the cursor should go afterwards."""

    def __init__(self, surface: Surface, layer: OpenLayer, go_to: Callable[[bytes], None]) -> None:
        self._surface = surface
        self._layer = layer
        self._go_to = go_to

    async def perform_or_tell(self, title: str, act: Act, done: str) -> None:
        """Perform an act and report its outcome, or why it was refused."""
        try:
            await self.perform(title, act, done)
        except DtuiError as error:
            self._surface.tell_error(error)

    async def perform(self, title: str, act: Act, done: str, *, go_to: bool = False) -> None:
        """Perform an act and report its outcome; ask what to do if it exceeds the backup limit. Raises DtuiError."""
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
        """Run an act, with its progress if it takes long, and open the layer again."""
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
        """Ask what to do with replaced contents beyond the backup limit; return None if cancelled."""
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
