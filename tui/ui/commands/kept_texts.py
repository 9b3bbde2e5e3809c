"""Offers text that an earlier dtui kept of a file when that file is opened again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from rich.text import Text

from tui.core.errors import Stopped
from tui.core.text import human_size, printable, time_text
from tui.files import Keepsake, OpenedFile, Unanswered, answered, diff_lines, texts_on_offer
from tui.render.entries import diff_text
from tui.ui.commands.base import Surface
from tui.ui.commands.edit_and_save import EditAndSave
from tui.ui.commands.open_layer import OpenLayer
from tui.ui.dialogs.choose import Choice, ChooseDialog, confirm
from tui.ui.widgets.file_pane import FilePane

Result = TypeVar("Result")

_PATIENCE = 1.0
"""Seconds after which the directory of kept texts is passed over, or shows that it takes long."""

KeptTextsOf = Sequence[tuple[Keepsake, bytes]]

_SEE = Choice("d", "diff", "see the difference")
_TAKE = Choice("t", "take", "load it into the editor")
_THROW_AWAY = Choice("x", "throw away", "delete it")


class KeptTexts:
    """Asks what to do with kept texts, and loads the chosen one into the editor."""

    def __init__(self, surface: Surface, layer: OpenLayer, pane: FilePane, editing: EditAndSave) -> None:
        self.is_asking = False
        """Whether a question is open; until it is answered, the file is neither shown again nor edited."""
        self._surface = surface
        self._layer = layer
        self._pane = pane
        self._editing = editing

    def on_offer(self, opened: OpenedFile) -> KeptTextsOf:
        """Return the kept texts of a file that differ from it, none if their directory does not answer; blocks."""
        container = self._layer.held.record.id
        with suppress(Unanswered):
            return answered(
                lambda: texts_on_offer(container, opened.path, opened.document.data), _PATIENCE, "the state directory"
            )
        return ()

    async def edit(self, opened: OpenedFile, kept: KeptTextsOf) -> None:
        """Ask about kept texts of a file, then edit the file, with the chosen text if there is one."""
        self.is_asking = True
        try:
            chosen = await self._ask(opened, kept)
        finally:
            self.is_asking = False
        if self._layer.opened is not opened or self._pane.editing:
            return
        if chosen:
            await self._take(opened, *chosen)
        else:
            self._editing.begin()

    async def take_one(self, opened: OpenedFile) -> bool:
        """Offer the kept texts of a file; return whether one of them was chosen."""
        kept = await self._call(partial(self.on_offer, opened))
        chosen = await self._ask(opened, kept) if kept else None
        if chosen:
            await self._take(opened, *chosen)
        return chosen is not None

    async def _ask(self, opened: OpenedFile, kept: KeptTextsOf) -> tuple[Keepsake, bytes] | None:
        """Ask what to do with each kept text in turn; return the one to load, or None."""
        for number, (keepsake, data) in enumerate(kept, 1):
            since = time_text(await self._call(keepsake.time_ns))
            about = f"{human_size(len(data))}, written {since}\n{printable(str(keepsake.place))}\n"
            count = f" ({number} of {len(kept)})" if kept[1:] else ""
            question = f"Text of {printable(opened.path)} was kept that is not saved{count}."
            body = Text(f"{about}\nesc leaves it there, and the file as it is.")
            while (answer := await self._answer(question, body)) == "diff":
                difference = diff_text(diff_lines(opened.document.data, data))
                body = Text.assemble(about, "the file (-) and the kept text (+)\n\n", difference)
            if answer == "take":
                return keepsake, data
            if answer != "throw away":
                return None
            try:
                await self._call(keepsake.throw_away)
            except (OSError, Stopped) as error:
                reason = error.message if isinstance(error, Stopped) else (error.strerror or str(error)).lower()
                self._surface.tell(f"{keepsake.place} is not deleted: {reason}", "bad")
        return None

    async def _answer(self, question: str, body: Text) -> str | None:
        """Ask what to do with one text; confirm its deletion, and return "diff" if that is not confirmed."""
        answer = await self._surface.choose(ChooseDialog(question, (_SEE, _TAKE, _THROW_AWAY), body))
        if answer != "throw away":
            return answer
        sure = ChooseDialog("Delete the kept text? This cannot be undone.", (confirm("delete it"),))
        return answer if await self._surface.choose(sure) == "yes" else "diff"

    async def _call(self, work: Callable[[], Result]) -> Result:
        """Read or delete kept texts in a thread; raises Stopped if the user leaves a directory that does not answer."""
        return await self._surface.call("Looking at the kept texts", work, _PATIENCE)

    async def _take(self, opened: OpenedFile, keepsake: Keepsake, data: bytes) -> None:
        """Load a kept text into the editor; it stays on this host until it is saved."""
        self._layer.taken_text = keepsake, opened.path
        await self._editing.take_edited(opened, opened.document.data, data, ask=False)
