"""Stored benchmark runs: open, compare, rename, delete and export them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from tui.bench.compare_runs import compare_runs
from tui.bench.results import Result
from tui.bench.store import Store
from tui.core.errors import DtuiError
from tui.core.state import state_dir
from tui.core.text import count_of
from tui.render.benchmarks import run_comparison_text
from tui.render.export_run import FORMATS, write_run
from tui.ui.bench_state import BenchState
from tui.ui.commands.base import Commands, Surface, flow
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.choose import ChooseDialog, confirm
from tui.ui.dialogs.history import History
from tui.ui.dialogs.show import TextDialog

Answer = TypeVar("Answer")

_PATIENCE = 2.0
"""Seconds after which work on stored runs shows that it takes long."""


class BenchRuns(Commands):
    """Manages stored runs; ``show`` is called with the run to show."""

    def __init__(self, surface: Surface, state: BenchState, show: Callable[[Result], None]) -> None:
        super().__init__(surface)
        self._state = state
        self._show = show

    def disabled_reason(self, action: str) -> str:
        if action == "history" and self._state.run is not None:
            return "a run is under way: esc aborts it"
        if action == "export" and self._state.shown_result is None:
            return "no run is shown: enter starts one, h opens one"
        return ""

    @flow
    async def action_history(self) -> None:
        """List the stored runs, to open, rename, delete or compare one with the run that is shown."""
        try:
            store = await self._call(lambda: Store(state_dir("bench") / "runs.sqlite"))
            if not await self._call(store.runs):
                self.surface.tell("no run yet: enter starts one")
            while (answer := await self._choose(store)) is not None:
                action, number = answer
                if action == "rename":
                    await self._rename(store, number)
                elif action == "delete":
                    await self._delete(store, number)
                else:
                    await self._open(store, number, compare=action == "compare")
                    return
        except DtuiError as error:
            self.surface.tell_error(error)

    async def _call(self, work: Callable[[], Answer]) -> Answer:
        """Read or write files in a thread; raises Stopped if the user leaves a directory that does not answer."""
        return await self.surface.call("Looking at the stored runs", work, _PATIENCE)

    async def _choose(self, store: Store) -> tuple[str, int] | None:
        runs = await self._call(store.runs)
        if not runs:
            return None
        return await self.surface.choose(History(runs))

    async def _open(self, store: Store, number: int, *, compare: bool) -> None:
        result = await self._call(partial(store.load, number))
        shown = self._state.shown_result
        if not compare:
            self._show(result)
        elif shown is None:
            self.surface.tell("open a run first, to compare the other with it", "bad")
        else:
            text = run_comparison_text(compare_runs(shown, result), shown, result)
            self.surface.host.push_screen(TextDialog(f"run {result.id} compared with run {shown.id}", text))

    async def _rename(self, store: Store, number: int) -> None:
        name = await self.surface.choose(AskDialog(f"Name for run {number}", verb="rename"))
        if name:
            await self._call(partial(store.rename, number, name))
            self.surface.tell(f"run {number} renamed to {name}", "good")

    async def _delete(self, store: Store, number: int) -> None:
        question = f"Delete run {number} and all its numbers?"
        if await self.surface.choose(ChooseDialog(question, (confirm("delete it"),))) == "yes":
            await self._call(partial(store.delete, number))
            if self._state.shown_result and self._state.shown_result.id == number:
                self._state.forget()
            self.surface.tell(f"run {number} deleted", "good")

    @flow
    async def action_export(self) -> None:
        """Export the run that is shown to a file, in the format of its extension."""
        result = self._state.shown_result
        if result is None:
            return
        question = f"Write run {result.id} to which file? The extension sets the format: {', '.join(FORMATS)}"
        name = await self.surface.choose(AskDialog(question, verb="write", value=f"dtui-run-{result.id}.csv"))
        if not name:
            return
        try:
            size = await self._call(partial(write_run, result, Path(name), replace=False))
        except DtuiError as error:
            self.surface.tell_error(error)
        else:
            self.surface.tell(f"{name}: {count_of(size, 'byte')}", "good")
