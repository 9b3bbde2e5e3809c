"""Runs of the past on the benchmark screen: opened, laid beside one another, renamed, deleted, written to a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tui.bench.compare_runs import compare_runs
from tui.bench.results import Result
from tui.bench.store import Store
from tui.core.errors import DtuiError
from tui.core.state import state_dir
from tui.core.text import count_of
from tui.render.bench import run_comparison_text
from tui.render.export_run import FORMATS, write_run
from tui.ui.dialogs.ask import AskDialog
from tui.ui.dialogs.choose import ChooseDialog, confirm
from tui.ui.dialogs.history import History
from tui.ui.dialogs.show import TextDialog
from tui.ui.screens.base import flow
from tui.ui.screens.bench_choices import BenchChoices


class BenchHistory(BenchChoices):
    """What is done with runs that were made."""

    def show_result(self, result: Result) -> None:
        """Show a run that ended, just now or long ago."""
        raise NotImplementedError

    @flow
    async def action_history(self) -> None:
        """Open a run, lay one beside the one that is shown, rename or delete one."""
        try:
            store = await asyncio.to_thread(Store, state_dir("bench") / "runs.sqlite")
            if not await asyncio.to_thread(store.runs):
                self.tell("no run yet: enter makes one")
            while (answer := await self._choose(store)) is not None:
                action, number = answer
                if action == "rename":
                    await self._rename(store, number)
                elif action == "delete":
                    await self._delete(store, number)
                else:
                    await self._open(store, number, beside=action == "compare")
                    return
        except DtuiError as error:
            self.tell_error(error)

    async def _choose(self, store: Store) -> tuple[str, int] | None:
        runs = await asyncio.to_thread(store.runs)
        if not runs:
            return None
        return await self.app.push_screen_wait(History(runs))

    async def _open(self, store: Store, number: int, *, beside: bool) -> None:
        result = await asyncio.to_thread(store.load, number)
        if beside and self.shown_result is None:
            self.tell("open a run first: the other is laid beside it", "bad")
        elif beside and self.shown_result is not None:
            comparisons = compare_runs(self.shown_result, result)
            title = f"run {result.id} beside run {self.shown_result.id}"
            self.app.push_screen(TextDialog(title, run_comparison_text(comparisons, self.shown_result, result)))
        else:
            self.show_result(result)

    async def _rename(self, store: Store, number: int) -> None:
        name = await self.app.push_screen_wait(AskDialog(f"What is run {number} called?"))
        if name:
            await asyncio.to_thread(store.rename, number, name)
            self.tell(f"run {number} is called {name}", "good")

    async def _delete(self, store: Store, number: int) -> None:
        question = f"Delete run {number} and all its numbers?"
        if await self.app.push_screen_wait(ChooseDialog(question, (confirm("delete it"),))) == "yes":
            await asyncio.to_thread(store.delete, number)
            if self.shown_result and self.shown_result.id == number:
                self.forget()
            self.tell(f"run {number} is deleted", "good")

    @flow
    async def action_export(self) -> None:
        """Write the run that is shown to a file, in the format that its ending names."""
        result = self.shown_result
        if result is None:
            return
        question = f"Write run {result.id} to which file? Its ending says how: {', '.join(FORMATS)}"
        name = await self.app.push_screen_wait(AskDialog(question, value=f"dtui-run-{result.id}.csv"))
        if not name:
            return
        try:
            size = await asyncio.to_thread(write_run, result, Path(name), replace=False)
        except DtuiError as error:
            self.tell_error(error)
        else:
            self.tell(f"{name}: {count_of(size, 'byte')}", "good")
