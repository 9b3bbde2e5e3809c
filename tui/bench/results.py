"""The numbers of a run as records, and the interface that stores them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tui.bench.cow_suite import CowSample
from tui.bench.iozone import Cell
from tui.bench.plan import Mode, Plan, Trial


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of one repeat (counted from 1) on one target."""

    repeat: int
    cell: Cell
    target: str = ""
    mode: Mode = Mode.CACHED


@dataclass(frozen=True, slots=True)
class Output:
    """IOzone's output in one trial, its command, and why it failed; ``problem`` is empty if it succeeded."""

    trial: Trial
    argv: tuple[str, ...]
    text: str
    seconds: float
    problem: str


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a run produced. ``problem`` is empty if it completed; ``facts`` are the host's."""

    plan: Plan
    started: datetime
    facts: dict[str, str]
    targets: dict[str, dict[str, str]]
    samples: tuple[Sample, ...]
    outputs: tuple[Output, ...]
    problem: str
    notices: tuple[str, ...] = ()
    id: int = 0
    name: str = ""
    cow: tuple[CowSample, ...] = ()

    @property
    def raw(self) -> tuple[str, ...]:
        """IOzone's output, one text per trial."""
        return tuple(output.text for output in self.outputs)

    @property
    def controls(self) -> tuple[str, ...]:
        """The targets that only serve to judge the others."""
        return tuple(name for name, facts in self.targets.items() if facts.get("control"))

    def as_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return {
            "id": self.id or None,
            "name": self.name or None,
            "preset": self.plan.preset.value,
            "modes": [mode.value for mode in self.plan.modes],
            "repeats": self.plan.repeats,
            "argv": list(self.plan.argv("FILE", self.plan.modes[0])),
            "started": self.started.isoformat(),
            "complete": not self.problem,
            "problem": self.problem or None,
            "facts": self.facts,
            "targets": self.targets,
            "notices": list(self.notices),
            "samples": [
                {
                    "target": s.target,
                    "mode": s.mode.value,
                    "repeat": s.repeat,
                    "test": s.cell.test.value,
                    "file_kb": s.cell.file_kb,
                    "record_kb": s.cell.record_kb,
                    "kb_per_s": s.cell.kb_per_s,
                    "unsure": s.cell.unsure,
                }
                for s in self.samples
            ],
            "copy_on_write": [
                {
                    "target": s.target,
                    "repeat": s.repeat,
                    "measure": s.test.title,
                    "over": s.test.axis or None,
                    "x": s.x,
                    "value": s.value,
                    "unit": s.test.unit,
                }
                for s in self.cow
            ],
        }


class Recorder(Protocol):
    """Stores a run while it goes on, so that nothing finished is lost. ``number`` is its number in the store."""

    number: int

    def begin(self, plan: Plan, started: datetime, facts: dict[str, str]) -> None:
        """Store that a run has begun."""
        ...

    def target(self, name: str, facts: dict[str, str]) -> None:
        """Store a prepared target."""
        ...

    def sample(self, sample: Sample) -> None:
        """Store a number."""
        ...

    def cow(self, sample: CowSample) -> None:
        """Store a number of the copy-on-write suite."""
        ...

    def output(self, output: Output) -> None:
        """Store the output of a trial."""
        ...

    def end(self, problem: str, notices: tuple[str, ...], facts: dict[str, str]) -> None:
        """Store how the run ended, with everything known about the host by then."""
        ...


class NoRecorder:
    """Stores nothing."""

    number = 0

    def begin(self, plan: Plan, started: datetime, facts: dict[str, str]) -> None:
        """Nothing is kept."""

    def target(self, name: str, facts: dict[str, str]) -> None:
        """Nothing is kept."""

    def sample(self, sample: Sample) -> None:
        """Nothing is kept."""

    def cow(self, sample: CowSample) -> None:
        """Nothing is kept."""

    def output(self, output: Output) -> None:
        """Nothing is kept."""

    def end(self, problem: str, notices: tuple[str, ...], facts: dict[str, str]) -> None:
        """Nothing is kept."""
