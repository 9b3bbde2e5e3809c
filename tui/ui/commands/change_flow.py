"""Runs changes of a layer: shows progress, asks if the backup would be too large, and reports the outcome."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from tui.core.errors import DtuiError
from tui.core.progress import Meter
from tui.core.text import count_of, human_size, printable
from tui.files import BackupMode, ChangeResult, ContainerFiles, Step, TooLarge, UndoKind
from tui.services.while_stopped import change_while_stopped, must_be_stopped
from tui.ui.commands.base import Surface
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.commands.stop_first import ask_to_stop
from tui.ui.dialogs.choose import Choice, ChooseDialog

Act = Callable[[ContainerFiles, Step, BackupMode], ChangeResult]
"""A change, called in a thread with the container's files, a progress callback, and what to do with replaced bytes."""

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
        keep, stops = BackupMode.USUAL, False
        while True:
            try:
                outcome = await self._run(title, act, keep, stops=stops, go_to=go_to)
                break
            except TooLarge as refused:
                chosen = await self._ask_backup_mode(title, refused)
                if chosen is None:
                    return
                keep = chosen
            except DtuiError as error:
                if stops or not await self._offers_stop(error):
                    raise
                if not await ask_to_stop(self._surface, self._layer.open_details, "change it"):
                    return
                stops = True
        count_text = f" · {count_of(outcome.count, 'entry', 'entries')}" if outcome.count != 1 else ""
        notes = "".join(f" · {note}" for note in outcome.notes)
        back = " · z undoes this" if outcome.act and outcome.act.kind is not UndoKind.UNDO else ""
        self._surface.tell(f"{printable(outcome.path)} {done}{count_text}{back}{notes}", "good")

    async def _offers_stop(self, error: DtuiError) -> bool:
        """Return whether the change would succeed if the container, which keeps restarting, were stopped first."""
        details, endpoint = self._layer.details, self._layer.endpoint
        return details is not None and await self._surface.call(
            "Looking at the container", lambda: must_be_stopped(endpoint, details, error), _PATIENCE
        )

    async def _run(self, title: str, act: Act, keep: BackupMode, *, stops: bool, go_to: bool) -> ChangeResult:
        """Run an act, with its progress if it takes long, and open the layer again; ``stops`` stops its container."""
        meter = Meter()

        def watched() -> ChangeResult:
            with meter.watching():
                if not stops:
                    return act(self._layer.files, meter.step, keep)
                return change_while_stopped(
                    self._layer.endpoint,
                    self._layer.open_details,
                    lambda files: act(files, meter.step, keep),
                    lambda: meter.step(0, b""),
                )

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
