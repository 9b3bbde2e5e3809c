"""What runs gave, number by number: the records, and the file on this host that keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tui.bench.cow_suite import CowSample
from tui.bench.iozone import Cell
from tui.bench.plan import Mode, Plan, Trial


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number of one repeat (counted from 1) on one target."""

    repeat: int
    cell: Cell
    target: str = ""
    mode: Mode = Mode.CACHED


@dataclass(frozen=True, slots=True)
class Output:
    """IOzone's own words in one turn, the command, and how it ended: empty ``problem`` for a whole one."""

    trial: Trial
    argv: tuple[str, ...]
    text: str
    seconds: float
    problem: str


@dataclass(frozen=True, slots=True)
class Result:
    """All that a run gave; an empty ``problem`` for a whole one, the host's ``facts``, and those of each target."""

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
        """IOzone's own words, a text a turn."""
        return tuple(output.text for output in self.outputs)

    @property
    def controls(self) -> tuple[str, ...]:
        """The targets by which the others are judged."""
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
                    "over": s.test.over or None,
                    "x": s.x,
                    "value": s.value,
                    "unit": s.test.unit,
                }
                for s in self.cow
            ],
        }


class Recorder(Protocol):
    """Takes a run down as it goes, so that nothing finished is lost with it; ``number`` is its own for the run."""

    number: int

    def begin(self, plan: Plan, started: datetime, facts: dict[str, str]) -> None:
        """A run has begun."""
        ...

    def target(self, name: str, facts: dict[str, str]) -> None:
        """A target is ready."""
        ...

    def sample(self, sample: Sample) -> None:
        """A number came."""
        ...

    def cow(self, sample: CowSample) -> None:
        """A number of the copy-on-write suite came."""
        ...

    def output(self, output: Output) -> None:
        """A turn ended."""
        ...

    def end(self, problem: str, notices: tuple[str, ...], facts: dict[str, str]) -> None:
        """The run ended; ``facts`` are all that is known of the host by now."""
        ...


class NoRecorder:
    """Takes nothing down."""

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
