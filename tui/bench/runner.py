"""Runs a plan on its targets, turn by turn, and tells number by number how far it is."""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tui.bench.archives import free_for, image_archive, image_name
from tui.bench.copyup import CowPlan, CowSample, measure
from tui.bench.image import LABEL, REPOSITORY, BenchImage, make_image
from tui.bench.iozone import Parser
from tui.bench.plan import Plan, Turn, cow_order, schedule
from tui.bench.results import NoRecorder, Output, Recorder, Result, Sample
from tui.bench.workshop import Holder, Job, Target, Workshop
from tui.core.errors import BenchError, DtuiError
from tui.core.process import owner_lives, owner_mark
from tui.core.text import human_size

OWNER = "org.dtui.bench.owner"
"""Label of every container of a run; its value tells which dtui made it."""

_ROW_COST = 2048
"""What a row costs besides its bytes, in kB, for the estimate of the time left."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. ``sample`` is the newest number, if this is about one; seconds_left is None until known."""

    phase: str
    done: int
    total: int
    seconds_left: float | None = None
    sample: Sample | None = None
    cow: CowSample | None = None


def host_facts() -> dict[str, str]:
    """Return what of this host may matter to the numbers."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) * 1024
    facts = {
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "memory": human_size(memory),
        "load": f"{os.getloadavg()[0]:.2f}",
    }
    with suppress(OSError), open("/proc/sys/vm/dirty_ratio", encoding="ascii") as file:
        facts["dirty_ratio"] = file.read().strip()
    return facts | pressure()


def pressure() -> dict[str, str]:
    """Return the percent of the last ten seconds in which somebody waited for the disk (kernel doc: accounting/psi)."""
    with suppress(OSError, IndexError), open("/proc/pressure/io", encoding="ascii") as file:
        return {"io_pressure": file.readline().split()[1].partition("=")[2]}
    return {}


def warnings_of(facts: dict[str, str]) -> tuple[str, ...]:
    """Return what on this host will spread the numbers."""
    found = []
    if float(facts["load"]) > int(facts["cpus"]):
        found.append(f"the load was {facts['load']} on {facts['cpus']} cores when it began")
    if float(facts.get("io_pressure", "0")) > _BUSY:
        found.append(f"others waited for the disk {facts['io_pressure']} % of the time when it began")
    return tuple(found)


_BUSY = 5.0


@dataclass(slots=True)
class Run:
    """One run: iterate over it in a thread of its own; :meth:`abort` ends it from another."""

    plan: Plan
    targets: Sequence[Target]
    recorder: Recorder = field(default_factory=NoRecorder)
    seed: int = field(default_factory=lambda: secrets.randbelow(1 << 30))
    cow: CowPlan | None = None
    iozone: bool = True
    scratch: Path | None = None
    result: Result | None = None
    _aborted: threading.Event = field(default_factory=threading.Event)
    _job: Job | None = None
    _open: dict[str, Workshop] = field(default_factory=dict)
    _described: dict[str, dict[str, str]] = field(default_factory=dict)
    _samples: list[Sample] = field(default_factory=list)
    _cow: list[CowSample] = field(default_factory=list)
    _outputs: list[Output] = field(default_factory=list)
    _notices: list[str] = field(default_factory=list)
    _began: float = 0.0
    _done_cost: float = 0.0

    def abort(self) -> None:
        """End the run; finished numbers are kept."""
        self._aborted.set()
        job = self._job
        if job:
            job.stop()

    @property
    def total(self) -> int:
        """How many numbers there will be."""
        cow = self.cow.numbers * sum(target.has_images for target in self.targets) if self.cow else 0
        return (self.plan.cells * len(self.targets) if self.iozone else 0) + cow

    @property
    def _done(self) -> int:
        return len(self._samples) + len(self._cow)

    def __iter__(self) -> Iterator[Progress]:
        started = datetime.now(UTC)
        facts: dict[str, str] = {}
        problem = ""
        try:
            yield self._at("looking at the host")
            image = make_image()
            facts = {**host_facts(), "iozone": image.version, "image": image.name, "seed": str(self.seed)}
            self._notices += warnings_of(facts)
            self.recorder.begin(self.plan, started, facts)
            yield from self._make_ready(image)
            if self.cow:
                yield from self._copy_on_write(self.cow)
            self._began = time.monotonic()
            for turn in schedule(self.plan, tuple(self._open), self.seed) if self.iozone else ():
                if self._aborted.is_set():
                    break
                yield from self._take(turn, image.name)
        except DtuiError as error:
            problem = str(error)
        except BaseException:
            for _ in self._clear_away():
                pass
            raise
        yield from self._clear_away()
        if self._aborted.is_set():
            problem = "aborted"
        notices = tuple(dict.fromkeys(self._notices))
        self.recorder.end(problem, notices)
        self.result = Result(
            self.plan,
            started,
            facts,
            self._described,
            tuple(self._samples),
            tuple(self._outputs),
            problem,
            notices,
            id=self.recorder.number,
            cow=tuple(self._cow),
        )

    def _at(self, phase: str) -> Progress:
        return Progress(phase, self._done, self.total)

    def _make_ready(self, image: BenchImage) -> Iterator[Progress]:
        for target in self.targets:
            if self._aborted.is_set():
                return
            yield self._at(f"making {target.name} ready")
            workshop = target.open()
            self._check_space(target.name, workshop, self.plan.space)
            facts = {**workshop.describe(), **({"control": "yes"} if target.control else {})}
            self._described[target.name] = facts
            self.recorder.target(target.name, facts)
            if not workshop.has_image(image.name):
                yield self._at(f"putting iozone into an image for {target.name}")
                workshop.import_image(REPOSITORY, image.tag, image.tar, {LABEL: "iozone"})
            self._open[target.name] = workshop

    def _clear_away(self) -> Iterator[Progress]:
        for target in reversed(self.targets):
            yield self._at(f"clearing {target.name} away")
            try:
                target.close()
            except DtuiError as error:
                self._notices.append(f"{target.name} is not cleared away: {error}")

    def _check_space(self, name: str, workshop: Workshop, needed: int) -> None:
        free = workshop.free_bytes()
        if free is not None and free < needed:
            raise BenchError(
                f"only {human_size(free)} are free where {name} writes, {human_size(needed)} are needed",
                "free some, or take the quick preset",
            )

    def _copy_on_write(self, plan: CowPlan) -> Iterator[Progress]:
        """Run the copy-on-write suite on the targets that have images, in another order in each repeat."""
        able = [target.name for target in self.targets if target.has_images and target.name in self._open]
        for name in able:
            self._check_space(name, self._open[name], free_for(plan.sizes, plan.depths))
        with TemporaryDirectory(prefix="dtui-bench-", dir=self.scratch) as folder:
            for depth in plan.depths:
                yield self._at(f"making an image of {depth} layers")
                sizes = plan.sizes if depth == plan.depths[0] else ()
                with image_archive(depth, sizes, Path(folder)) as archive:
                    for name in able:
                        if not self._open[name].has_image(image_name(depth, sizes)):
                            yield self._at(f"loading an image of {depth} layers into {name}")
                            archive.seek(0)
                            self._open[name].load_image(archive)
        for repeat, name in cow_order(plan.repeats, able, self.seed):
            workshop = self._open[name]

            def hold(depth: int, workshop: Workshop = workshop) -> Holder:
                sizes = plan.sizes if depth == plan.depths[0] else ()
                return workshop.hold(image_name(depth, sizes), {OWNER: owner_mark()})

            for sample in measure(plan, hold, name, repeat):
                self._cow.append(sample)
                self.recorder.cow(sample)
                phase = f"repeat {repeat}/{plan.repeats} · {name} · {sample.test.title}"
                yield Progress(phase, self._done, self.total, cow=sample)
            if self._aborted.is_set():
                return

    def _take(self, turn: Turn, image: str) -> Iterator[Progress]:
        """Run IOzone once; a turn that fails ends its run, one that was aborted keeps its numbers."""
        parser = Parser(self.plan.tests)
        raw = bytearray()
        workshop = self._open[turn.target]
        argv = self.plan.argv(f"{workshop.place()}/dtui-{secrets.token_hex(6)}.tmp", turn.mode)
        began = time.monotonic()
        failure = "aborted"
        job = workshop.start(image, argv, {OWNER: owner_mark()})
        self._job = job
        try:
            if self._aborted.is_set():
                job.stop()
            for chunk in job.output():
                raw += chunk
                for cell in parser.feed(chunk):
                    yield self._count(Sample(turn.repeat, cell, turn.target, turn.mode))
            code = job.wait()
            self._notices += parser.notices
            failure = parser.failure(code, len(self.plan.rows))
        finally:
            self._job = None
            job.remove()
            problem = "aborted" if failure and self._aborted.is_set() else failure
            output = Output(turn, argv, raw.decode("ascii", "replace"), time.monotonic() - began, problem)
            self._outputs.append(output)
            self.recorder.output(output)
        if failure and not self._aborted.is_set():
            raise BenchError(f"{turn.target}: {failure}", "its own words are in the result")

    def _count(self, sample: Sample) -> Progress:
        self._samples.append(sample)
        self.recorder.sample(sample)
        self._done_cost += (sample.cell.file_kb + _ROW_COST) / len(self.plan.tests)
        turns = self.plan.repeats * len(self._open) * len(self.plan.modes)
        whole = sum(kb + _ROW_COST for kb, _ in self.plan.rows) * turns
        spent = time.monotonic() - self._began
        left = spent * (whole - self._done_cost) / self._done_cost
        where = f"{sample.target} · {sample.cell.test.value} {human_kb(sample.cell.file_kb)}"
        phase = f"repeat {sample.repeat}/{self.plan.repeats} · {where}"
        return Progress(phase, self._done, self.total, max(0.0, left), sample)


def human_kb(kb: int) -> str:
    """Return a size in IOzone's own steps: ``64K``, ``16M``, ``1G``."""
    for limit, unit in ((1 << 20, "G"), (1 << 10, "M")):
        if kb >= limit:
            return f"{kb // limit}{unit}"
    return f"{kb}K"


def sweep(workshop: Workshop) -> int:
    """Remove the containers of runs whose dtui was killed; return how many there were."""
    dead = [container for container, owner in workshop.leftovers(OWNER) if not owner_lives(owner)]
    for container in dead:
        workshop.remove_container(container)
    return len(dead)


def clean(workshop: Workshop) -> tuple[int, int]:
    """Remove everything that benchmarks left in an Engine: dead runs' containers, and the images."""
    return sweep(workshop), workshop.remove_images(LABEL)
