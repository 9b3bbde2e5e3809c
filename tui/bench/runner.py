"""Run a plan on its targets, trial by trial, and report progress number by number."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir

from tui.bench.archives import image_archive, image_name, space_for
from tui.bench.bare_host import drop_caches
from tui.bench.clock import Clock
from tui.bench.cow_suite import CowPlan, CowSample, measure
from tui.bench.facts import busy_facts, facts_after, host_facts, processor_ticks, warnings_of
from tui.bench.image import IDLE, LABEL, BenchImage, make_image
from tui.bench.iozone import Parser
from tui.bench.plan import Mode, Plan, Step, Trial, cow_order, human_kb, schedule
from tui.bench.protocols import BenchContainer, BenchHost, Target
from tui.bench.results import NoRecorder, Output, Recorder, Result, Sample
from tui.core.errors import BenchError, DtuiError
from tui.core.text import human_size
from tui.linux.process_marks import owned_name, owner_lives, owner_mark

OWNER = "org.dtui.bench.owner"
"""Label of every container of a run; its value identifies the dtui process that created it."""

_MAX_OUTPUT = 8 << 20
"""Most bytes of output of one IOzone process; a full sweep prints some hundred thousand."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``sample`` or ``cow`` is the newest number, if there is a new one."""

    phase: str
    done: int
    total: int
    seconds_left: float
    sample: Sample | None = None
    cow: CowSample | None = None


@dataclass(slots=True)
class BenchRun:
    """One run. Iterate over it in a thread of its own; :meth:`abort` ends it from another."""

    plan: Plan
    targets: Sequence[Target]
    recorder: Recorder = field(default_factory=NoRecorder)
    seed: int = field(default_factory=lambda: secrets.randbelow(1 << 30))
    cow: CowPlan | None = None
    iozone: bool = True
    scratch: Path | None = None
    result: Result | None = None
    _aborted: threading.Event = field(default_factory=threading.Event)
    _container: BenchContainer | None = None
    _hosts: dict[str, BenchHost] = field(default_factory=dict)
    _target_facts: dict[str, dict[str, str]] = field(default_factory=dict)
    _samples: list[Sample] = field(default_factory=list)
    _cow: list[CowSample] = field(default_factory=list)
    _outputs: list[Output] = field(default_factory=list)
    _notices: list[str] = field(default_factory=list)
    _clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self._clock = Clock(self.seconds)

    def abort(self) -> None:
        """End the run; finished numbers are kept."""
        self._aborted.set()
        container = self._container
        if container:
            with suppress(DtuiError):  # it ended by itself, or the Engine is gone; the run notices
                container.stop()

    @property
    def total(self) -> int:
        """How many numbers the run yields."""
        cow = self.cow.numbers * self._image_targets if self.cow else 0
        return (self.plan.cells * len(self.targets) if self.iozone else 0) + cow

    @property
    def space(self) -> int:
        """Bytes that must be free."""
        measured = sum(target.has_images and not target.control for target in self.targets)
        return expected_space(self.plan if self.iozone else None, self.cow, measured)

    @property
    def seconds(self) -> float:
        """Expected seconds on a fast disk."""
        return expected_seconds(self.plan if self.iozone else None, self.cow, len(self.targets), self._image_targets)

    @property
    def _image_targets(self) -> int:
        return sum(target.has_images for target in self.targets)

    @property
    def _done_count(self) -> int:
        return len(self._samples) + len(self._cow)

    def __iter__(self) -> Iterator[Progress]:
        started = datetime.now(UTC)
        ticks_before = processor_ticks()
        facts: dict[str, str] = {}
        problem = ""
        try:
            yield self._progress("checking the host")
            image = make_image()
            facts = host_facts() | busy_facts()
            facts |= {"iozone": image.version, "image": image.name, "seed": str(self.seed)}
            self.recorder.begin(self.plan, started, facts)
            yield from self._prepare(image)
            if self.cow:
                yield from self._copy_on_write(self.cow)
            for trial in schedule(self.plan, tuple(self._hosts), self.seed) if self.iozone else ():
                if self._aborted.is_set():
                    break
                yield from self._run_trial(trial, image.name)
        except DtuiError as error:
            problem = str(error)
        except BaseException:
            for _ in self._clean_up():
                pass
            raise
        facts |= facts_after(ticks_before)
        yield from self._clean_up()
        if self._aborted.is_set():
            problem = "aborted"
        notices = tuple(dict.fromkeys((*warnings_of(facts), *self._notices)))
        self.recorder.end(problem, notices, facts)
        self.result = Result(
            self.plan,
            started,
            facts,
            self._target_facts,
            tuple(self._samples),
            tuple(self._outputs),
            problem,
            notices,
            id=self.recorder.number,
            cow=tuple(self._cow),
        )

    def _progress(self, phase: str) -> Progress:
        return Progress(phase, self._done_count, self.total, self._clock.seconds_left)

    def _prepare(self, image: BenchImage) -> Iterator[Progress]:
        for target in self.targets:
            if self._aborted.is_set():
                return
            yield self._progress(f"preparing {target.name}")
            bench_host = target.open()
            if Mode.COLD in self.plan.modes and not bench_host.local:
                raise BenchError(f"COLD drops a host's caches, but {target.name} is on another host", "run dtui there")
            self._check_space(target.name, bench_host.free_bytes(), self.plan.space)
            facts = {**bench_host.describe(), **({"control": "yes"} if target.control else {})}
            self._target_facts[target.name] = facts
            self.recorder.target(target.name, facts)
            if not bench_host.has_image(image.name):
                yield self._progress(f"importing the iozone image into {target.name}")
                bench_host.import_image(image.name, image.tar, {LABEL: "iozone"}, IDLE)
            self._hosts[target.name] = bench_host

    def _clean_up(self) -> Iterator[Progress]:
        for target in reversed(self.targets):
            yield self._progress(f"cleaning up {target.name}")
            try:
                target.close()
            except DtuiError as error:
                self._notices.append(f"{target.name} could not be cleaned up: {error}")

    @staticmethod
    def _check_space(name: str, free: int | None, needed: int) -> None:
        if free is not None and free < needed:
            raise BenchError(
                f"{name} has only {human_size(free)} of free space and needs {human_size(needed)}",
                "free some space, or use the quick preset",
            )

    def _copy_on_write(self, plan: CowPlan) -> Iterator[Progress]:
        """Run the copy-on-write suite on the targets with images, in a different order in each repeat."""
        names = [target.name for target in self.targets if target.has_images and target.name in self._hosts]
        for name in names:
            self._check_space(name, self._hosts[name].free_bytes(), space_for(plan.sizes, plan.depths))
        if self.scratch:  # the throwaway engines' disks are sparse files on the same file system
            self._check_space(str(self.scratch), shutil.disk_usage(self.scratch).free, self.space)
        with self._scratch_directory() as directory:
            for depth in plan.depths:
                yield self._progress(f"making an image of {depth} layers")
                sizes = plan.sizes if depth == plan.depths[0] else ()
                with image_archive(depth, sizes, directory) as archive:
                    for name in names:
                        if not self._hosts[name].has_image(image_name(depth, sizes)):
                            yield self._progress(f"loading an image of {depth} layers into {name}")
                            archive.seek(0)
                            self._hosts[name].load_image(archive)
        for repeat, name in cow_order(plan.repeats, names, self.seed):
            bench_host = self._hosts[name]

            def start(depth: int, host: BenchHost = bench_host) -> BenchContainer:
                sizes = plan.sizes if depth == plan.depths[0] else ()
                return host.start_container(image_name(depth, sizes), {OWNER: owner_mark()})

            self._clock.begin()
            with closing(measure(plan, start, name, repeat)) as numbers:
                for sample in numbers:
                    self._cow.append(sample)
                    self.recorder.cow(sample)
                    self._clock.add_done(plan.seconds / plan.numbers)
                    phase = f"repeat {repeat}/{plan.repeats} · {name} · {sample.test.title}"
                    yield Progress(phase, self._done_count, self.total, self._clock.seconds_left, cow=sample)
                    if self._aborted.is_set():
                        return

    @contextmanager
    def _scratch_directory(self) -> Iterator[Path]:
        """Create a directory for the images, named so that it is swept with the labs if dtui is killed."""
        directory = (self.scratch or Path(gettempdir())) / owned_name()
        directory.mkdir(mode=0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    def _run_trial(self, trial: Trial, image: str) -> Iterator[Progress]:
        """Run one trial in a new container. A failure ends the run; an aborted one keeps its numbers."""
        bench_host = self._hosts[trial.target]
        file = f"{bench_host.work_directory()}/dtui-{secrets.token_hex(6)}.tmp"
        self._clock.begin()
        container = bench_host.start_container(image, {OWNER: owner_mark()})
        self._container = container
        try:
            for step in self.plan.steps(file, trial.mode):
                if step.cold:
                    drop_caches()
                if self._aborted.is_set():
                    return
                yield from self._run_step(trial, step, container)
        finally:
            self._container = None
            container.remove()

    def _run_step(self, trial: Trial, step: Step, container: BenchContainer) -> Iterator[Progress]:
        """Run IOzone once and yield its numbers."""
        parser = Parser(step.printed)
        raw = bytearray()
        started_at = time.monotonic()
        failure = "aborted"
        try:
            process = container.run(step.argv)
            if self._aborted.is_set():
                container.stop()
            for chunk in process.output():
                raw += chunk
                if len(raw) > _MAX_OUTPUT:
                    failure = f"IOzone printed more than {human_size(_MAX_OUTPUT)}"
                    raise BenchError(
                        f"{trial.target}: {failure}", "that is not IOzone's output; check that it is the right Engine"
                    )
                for cell in parser.feed(chunk):
                    if cell.test in step.counted:
                        yield self._record(Sample(trial.repeat, cell, trial.target, trial.mode))
            code = process.wait()
            self._notices += parser.notices
            failure = parser.failure(code, step.rows)
        finally:
            problem = "aborted" if failure and self._aborted.is_set() else failure
            output = Output(trial, step.argv, raw.decode("ascii", "replace"), time.monotonic() - started_at, problem)
            self._outputs.append(output)
            self.recorder.output(output)
        if failure and not self._aborted.is_set():
            raise BenchError(f"{trial.target}: {failure}", "its output is in the result")

    def _record(self, sample: Sample) -> Progress:
        self._samples.append(sample)
        self.recorder.sample(sample)
        self._clock.add_done(self.plan.seconds_of(sample.mode, sample.cell.file_kb))
        cell_words = f"{sample.target} · {sample.cell.test.value} {human_kb(sample.cell.file_kb)}"
        phase = f"repeat {sample.repeat}/{self.plan.repeats} · {cell_words}"
        return Progress(phase, self._done_count, self.total, self._clock.seconds_left, sample)


def expected_seconds(plan: Plan | None, cow: CowPlan | None, targets: int, with_images: int) -> float:
    """Return the expected seconds on a fast disk: IOzone on all targets, the copy-on-write suite on those with
    images."""
    return (plan.seconds * targets if plan else 0.0) + (cow.seconds * with_images if cow else 0.0)


def expected_space(plan: Plan | None, cow: CowPlan | None, with_images: int) -> int:
    """Return the bytes that must be free: IOzone's files exist one at a time, images in all targets at once."""
    return max(plan.space if plan else 0, space_for(cow.sizes, cow.depths) * with_images if cow else 0)


def remove_dead_runs(bench_host: BenchHost) -> int:
    """Remove the containers of runs whose dtui was killed; return how many there were."""
    dead = [container for container, owner in bench_host.leftovers(OWNER) if not owner_lives(owner)]
    for container in dead:
        bench_host.remove_container(container)
    return len(dead)


def remove_leftovers(bench_host: BenchHost) -> tuple[int, int]:
    """Remove what benchmarks left in an Engine: containers of dead runs, and the images. Return how many of each."""
    return remove_dead_runs(bench_host), bench_host.remove_images(LABEL)
