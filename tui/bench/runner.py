"""Runs a plan in containers and tells, number by number, how far it is."""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tui.bench.image import LABEL, REPOSITORY, make_image
from tui.bench.iozone import Cell, Parser
from tui.bench.plan import TESTS, Plan
from tui.bench.workshop import Job, Workshop
from tui.core.errors import BenchError, DtuiError
from tui.core.process import owner_lives, owner_mark
from tui.core.text import human_size

OWNER = "org.dtui.bench.owner"
"""Label of every container of a run; its value tells which dtui made it."""

_ROW_COST = 2048
"""What a row costs besides its bytes, in kB, for the estimate of the time left."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number of one repeat (counted from 1)."""

    repeat: int
    cell: Cell


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. ``sample`` is the newest number, if this is about one; seconds_left is None until known."""

    phase: str
    done: int
    total: int
    seconds_left: float | None = None
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """All that a run gave; ``raw`` is IOzone's own text of each repeat, ``problem`` is empty for a whole run."""

    plan: Plan
    started: datetime
    facts: dict[str, str]
    samples: tuple[Sample, ...]
    raw: tuple[str, ...]
    problem: str
    notices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return {
            "preset": self.plan.preset.value,
            "argv": list(self.plan.argv("FILE")),
            "started": self.started.isoformat(),
            "complete": not self.problem,
            "problem": self.problem or None,
            "facts": self.facts,
            "notices": list(self.notices),
            "samples": [
                {
                    "repeat": s.repeat,
                    "test": s.cell.test.value,
                    "file_kb": s.cell.file_kb,
                    "record_kb": s.cell.record_kb,
                    "kb_per_s": s.cell.kb_per_s,
                    "unsure": s.cell.unsure,
                }
                for s in self.samples
            ],
        }


def host_facts() -> dict[str, str]:
    """Return what of this host may matter to the numbers."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) * 1024
    load = os.getloadavg()[0]
    return {
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "memory": human_size(memory),
        "load": f"{load:.2f}",
    }


@dataclass(slots=True)
class Run:
    """One run: iterate over it in a thread of its own; :meth:`abort` ends it from another."""

    plan: Plan
    workshop: Workshop
    result: Result | None = None
    _aborted: threading.Event = field(default_factory=threading.Event)
    _job: Job | None = None
    _samples: list[Sample] = field(default_factory=list)
    _raw: list[str] = field(default_factory=list)
    _notices: list[str] = field(default_factory=list)
    _began: float = 0.0
    _done_cost: float = 0.0

    def abort(self) -> None:
        """End the run; finished numbers are kept."""
        self._aborted.set()
        if self._job:
            self._job.stop()

    def __iter__(self) -> Iterator[Progress]:
        started = datetime.now(UTC)
        facts: dict[str, str] = {}
        problem = ""
        try:
            yield Progress("looking at the host", 0, self.plan.cells)
            facts = {**self.workshop.describe(), **host_facts()}
            self._check_space()
            image = make_image()
            facts |= {"iozone": image.version, "image": image.name}
            if not self.workshop.has_image(image.name):
                yield Progress("putting iozone into an image", 0, self.plan.cells)
                self.workshop.import_image(REPOSITORY, image.tag, image.tar, {LABEL: "iozone"})
            self._began = time.monotonic()
            for repeat in range(1, self.plan.repeats + 1):
                if self._aborted.is_set():
                    break
                yield from self._repeat(repeat, image.name)
        except DtuiError as error:
            problem = str(error)
        if self._aborted.is_set():
            problem = "aborted"
        self.result = Result(
            self.plan,
            started,
            facts,
            tuple(self._samples),
            tuple(self._raw),
            problem,
            tuple(dict.fromkeys(self._notices)),
        )

    def _check_space(self) -> None:
        free = self.workshop.free_bytes()
        if free is not None and free < self.plan.space:
            raise BenchError(
                f"only {human_size(free)} are free where containers write, {human_size(self.plan.space)} are needed",
                "free some, or take the quick preset",
            )

    def _repeat(self, repeat: int, image: str) -> Iterator[Progress]:
        parser = Parser()
        raw = bytearray()
        file = f"/work/dtui-{secrets.token_hex(6)}.tmp"
        job = self.workshop.start(image, self.plan.argv(file), {OWNER: owner_mark()})
        self._job = job
        try:
            if self._aborted.is_set():
                job.stop()
            for chunk in job.output():
                raw += chunk
                for cell in parser.feed(chunk):
                    yield self._count(Sample(repeat, cell))
            code = job.wait()
            self._notices += parser.notices
            failure = parser.failure(code, len(self.plan.rows))
            if failure and not self._aborted.is_set():
                raise BenchError(failure, "its own words are in the result")
        finally:
            self._raw.append(raw.decode("ascii", "replace"))
            self._job = None
            job.remove()

    def _count(self, sample: Sample) -> Progress:
        self._samples.append(sample)
        self._done_cost += (sample.cell.file_kb + _ROW_COST) / len(TESTS)
        whole = sum(kb + _ROW_COST for kb, _ in self.plan.rows) * self.plan.repeats
        spent = time.monotonic() - self._began
        left = spent * (whole - self._done_cost) / self._done_cost
        phase = f"repeat {sample.repeat}/{self.plan.repeats} · {sample.cell.test.value} {human_kb(sample.cell.file_kb)}"
        return Progress(phase, len(self._samples), self.plan.cells, max(0.0, left), sample)


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
