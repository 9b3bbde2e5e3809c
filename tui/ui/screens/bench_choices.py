"""What is chosen on the benchmark screen: targets, preset, suite, the way numbers are shown, and runs of the past."""

from __future__ import annotations

import asyncio

from textual import work
from textual.reactive import reactive

from tui.bench.compare import compare_runs
from tui.bench.copyup import CowSample
from tui.bench.plan import Preset
from tui.bench.results import Result, Sample
from tui.bench.runner import Progress
from tui.bench.store import Store
from tui.core.errors import DtuiError
from tui.editing.state import state_dir
from tui.engine.installed import abilities
from tui.ui.dialogs.choose import Choice, Choose
from tui.ui.dialogs.history import History
from tui.ui.dialogs.show import Show
from tui.ui.dialogs.targets import ChooseTargets, Offer
from tui.ui.lab import VOLUME
from tui.ui.present_bench import compared_text
from tui.ui.screens.base import Frame


class ChoosingBench(Frame):
    """The benchmark screen's state and its choices; drawing and running are the screen's own."""

    preset: reactive[Preset] = reactive(Preset.QUICK, init=False)
    suite: reactive[str] = reactive("iozone", init=False)
    relative: reactive[bool] = reactive(False, init=False)
    tables: reactive[bool] = reactive(False, init=False)

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.shown: Result | None = None
        self.samples: list[Sample] = []
        self.cow_samples: list[CowSample] = []

    def show_result(self, result: Result) -> None:
        """Show a run that ended, just now or long ago."""
        raise NotImplementedError

    def show_plan(self, progress: Progress | None = None) -> None:
        """Write the plan, who takes part, and how far it is."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw charts and tables of what is shown."""
        raise NotImplementedError

    def forget(self) -> None:
        """Show no run any more, but what would be run."""
        self.shown, self.samples, self.cow_samples = None, [], []
        self.draw()

    def action_preset(self) -> None:
        """Choose the next preset."""
        presets = (Preset.QUICK, Preset.STANDARD, Preset.ARTICLE)
        self.forget()
        self.preset = presets[(presets.index(self.preset) + 1) % len(presets)]

    def action_suite(self) -> None:
        """Choose IOzone, the copy-on-write suite, or both."""
        suites = ("iozone", "copy-on-write", "both")
        self.forget()
        self.suite = suites[(suites.index(self.suite) + 1) % len(suites)]

    def action_relative(self) -> None:
        """Numbers as they are, or beside the host's."""
        self.relative = not self.relative

    def action_table(self) -> None:
        """The tables alone, or the charts with them."""
        self.tables = not self.tables

    @work(exclusive=True, group="flow")
    async def action_targets(self) -> None:
        """Choose what is compared."""
        able = await asyncio.to_thread(abilities)
        engines = [Offer(e.name, "a running engine, as it is") for e in self.dtui.endpoints if e.live]
        labs = [Offer(one.driver.name, "an engine of its own, gone afterwards", one.missing) for one in able]
        more = (Offer(VOLUME, "a directory of the host, mounted into containers"),)
        answer = await self.app.push_screen_wait(ChooseTargets((*engines, *labs, *more), self.names))
        if answer:
            self.names = answer
            self.forget()
            self.show_plan()
            self.refresh_bindings()

    @work(exclusive=True, group="flow")
    async def action_history(self) -> None:
        """Open a run, lay one beside the one that is shown, or delete one."""
        try:
            store = await asyncio.to_thread(Store, state_dir("bench") / "runs.sqlite")
            runs = await asyncio.to_thread(store.runs)
            if not runs:
                self.tell("no run yet: enter makes one")
                return
            answer = await self.app.push_screen_wait(History(runs))
            if answer is None:
                return
            what, number = answer
            if what == "delete":
                await self._delete(store, number)
                return
            result = await asyncio.to_thread(store.load, number)
            if what == "compare" and self.shown is not None:
                found = compare_runs(self.shown, result)
                title = f"run {result.id} beside run {self.shown.id}"
                self.app.push_screen(Show(title, compared_text(found, self.shown, result)))
                return
            self.names = tuple(name for name, told in result.targets.items() if not told.get("control")) or self.names
            self.show_result(result)
        except DtuiError as error:
            self.tell_error(error)

    async def _delete(self, store: Store, number: int) -> None:
        question = f"Delete run {number} and all its numbers?"
        if await self.app.push_screen_wait(Choose(question, (Choice("X", "delete", "delete it"),))) == "delete":
            await asyncio.to_thread(store.delete, number)
            if self.shown and self.shown.id == number:
                self.forget()
            self.tell(f"run {number} is deleted", "good")
