"""All runs of this host in one SQLite file, written number by number, so that an interrupted run keeps what it has."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tui.bench.cow_suite import CowSample, CowTest
from tui.bench.iozone import Cell
from tui.bench.plan import IoTest, Mode, Plan, Preset, Trial
from tui.bench.results import Output, Result, Sample
from tui.core.errors import BenchError, NotFound
from tui.linux.process_marks import owner_lives, owner_mark

_VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, started TEXT NOT NULL, plan TEXT NOT NULL, facts TEXT NOT NULL,
    owner TEXT NOT NULL, ended INTEGER NOT NULL DEFAULT 0, problem TEXT NOT NULL DEFAULT '',
    notices TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE IF NOT EXISTS target (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, name TEXT NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (run, name)
);
CREATE TABLE IF NOT EXISTS sample (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, target TEXT NOT NULL, mode TEXT NOT NULL,
    repeat INTEGER NOT NULL, test TEXT NOT NULL, file_kb INTEGER NOT NULL, record_kb INTEGER NOT NULL,
    kb_per_s INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS sample_of_run ON sample (run);
CREATE TABLE IF NOT EXISTS cow (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, target TEXT NOT NULL, repeat INTEGER NOT NULL,
    test TEXT NOT NULL, x INTEGER NOT NULL, value REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS cow_of_run ON cow (run);
CREATE TABLE IF NOT EXISTS output (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, target TEXT NOT NULL, mode TEXT NOT NULL,
    repeat INTEGER NOT NULL, argv TEXT NOT NULL, text TEXT NOT NULL, seconds REAL NOT NULL, problem TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS output_of_run ON output (run);
"""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A line of the history."""

    id: int
    name: str
    started: datetime
    preset: Preset
    targets: tuple[str, ...]
    numbers: int
    problem: str


class Store:
    """The file with all runs; raises BenchError if it is damaged or written by a newer dtui."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise BenchError(
                    f"{path} was written by a newer dtui (version {version}; this one supports {_VERSION})",
                    "update dtui",
                )
            if version == 0:  # another dtui may be creating the tables at the same moment
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        path.chmod(0o600)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
                connection.execute("PRAGMA foreign_keys = ON")
                yield connection
        except sqlite3.Error as error:
            raise BenchError(f"{self.path}: {error}", "move the file away to begin with a new one") from error

    def record(self, name: str = "") -> RunRecorder:
        """Return a recorder for a new run."""
        return RunRecorder(self.path, name)

    def runs(self) -> tuple[RunSummary, ...]:
        """Return all runs, newest first."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT id, name, started, plan, problem, ended, owner,"
                " (SELECT count(*) FROM sample WHERE run = id) + (SELECT count(*) FROM cow WHERE run = id),"
                " (SELECT json_group_array(name) FROM (SELECT name FROM target WHERE run = r.id ORDER BY rowid))"
                " FROM run AS r ORDER BY id DESC"
            ).fetchall()
        return tuple(
            RunSummary(
                id=number,
                name=name,
                started=datetime.fromisoformat(started),
                preset=Preset(json.loads(plan)["preset"]),
                targets=tuple(json.loads(targets)),
                numbers=numbers,
                problem=problem or _ending(bool(ended), owner),
            )
            for number, name, started, plan, problem, ended, owner, numbers, targets in rows
        )

    def find(self, reference: str) -> int:
        """Return the number of a run by number or name (``last`` is the newest); raises NotFound."""
        runs = self.runs()
        for run in runs:
            if reference in (str(run.id), run.name) or (reference == "last" and run is runs[0]):
                return run.id
        raise NotFound(f"there is no run {reference}", "dtui bench list shows all runs")

    def load(self, number: int) -> Result:
        """Return a run; raises NotFound."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT name, started, plan, facts, problem, notices, ended, owner FROM run WHERE id = ?", (number,)
            ).fetchone()
            if row is None:
                raise NotFound(f"there is no run {number}", "dtui bench list shows all runs")
            targets = connection.execute(
                "SELECT name, facts FROM target WHERE run = ? ORDER BY rowid", (number,)
            ).fetchall()
            samples = connection.execute(
                "SELECT repeat, file_kb, record_kb, test, kb_per_s, target, mode FROM sample WHERE run = ?"
                " ORDER BY rowid",
                (number,),
            ).fetchall()
            cow = connection.execute(
                "SELECT target, repeat, test, x, value FROM cow WHERE run = ? ORDER BY rowid", (number,)
            ).fetchall()
            outputs = connection.execute(
                "SELECT repeat, target, mode, argv, text, seconds, problem FROM output WHERE run = ? ORDER BY rowid",
                (number,),
            ).fetchall()
        name, started, plan, facts, problem, notices, ended, owner = row
        return Result(
            plan=_plan(json.loads(plan)),
            started=datetime.fromisoformat(started),
            facts=json.loads(facts),
            targets={target: json.loads(target_facts) for target, target_facts in targets},
            samples=tuple(
                Sample(repeat, Cell(file_kb, record_kb, IoTest(test), kb_per_s), target, Mode(mode))
                for repeat, file_kb, record_kb, test, kb_per_s, target, mode in samples
            ),
            outputs=tuple(
                Output(Trial(repeat, target, Mode(mode)), tuple(json.loads(argv)), text, seconds, output_problem)
                for repeat, target, mode, argv, text, seconds, output_problem in outputs
            ),
            problem=problem or _ending(bool(ended), owner),
            notices=tuple(json.loads(notices)),
            cow=tuple(CowSample(target, repeat, CowTest[test], x, value) for target, repeat, test, x, value in cow),
            id=number,
            name=name,
        )

    def rename(self, number: int, name: str) -> None:
        """Rename a run; raises BenchError if the name is taken."""
        if any(run.name == name and run.id != number for run in self.runs() if name):
            raise BenchError(f"there is already a run named {name}", "choose another name")
        with self._open() as connection:
            connection.execute("UPDATE run SET name = ? WHERE id = ?", (name, number))

    def delete(self, number: int) -> None:
        """Delete a run with all its numbers."""
        with self._open() as connection:
            connection.execute("DELETE FROM run WHERE id = ?", (number,))

    def add(self, result: Result) -> int:
        """Store a run that was made elsewhere; return its number."""
        recorder = self.record(result.name)
        recorder.begin(result.plan, result.started, result.facts)
        for name, facts in result.targets.items():
            recorder.target(name, facts)
        for sample in result.samples:
            recorder.sample(sample)
        for cow_sample in result.cow:
            recorder.cow(cow_sample)
        for output in result.outputs:
            recorder.output(output)
        recorder.end(result.problem, result.notices, result.facts)
        return recorder.number


def _ending(ended: bool, owner: str) -> str:
    if ended:
        return ""
    return "still running" if owner_lives(owner) else "interrupted: dtui was killed"


class RunRecorder:
    """Records one run. Fulfils :class:`tui.bench.results.Recorder`.

    Each number is committed at once but not synced, because syncing would be measured along with the drivers. If dtui
    is killed the file is intact; a power cut may lose the last seconds.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._connection: sqlite3.Connection | None = None
        self.number = 0

    def _do(self, statement: str, values: tuple[object, ...]) -> int:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    self._path, timeout=10, isolation_level=None, check_same_thread=False
                )
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = OFF")
            return self._connection.execute(statement, values).lastrowid or 0
        except sqlite3.Error as error:
            raise BenchError(f"{self._path}: {error}", "free some space, or move the file away") from error

    def begin(self, plan: Plan, started: datetime, facts: dict[str, str]) -> None:
        self.number = self._do(
            "INSERT INTO run (name, started, plan, facts, owner) VALUES (?, ?, ?, ?, ?)",
            (self._name, started.isoformat(), json.dumps(_plan_fields(plan)), json.dumps(facts), owner_mark()),
        )

    def target(self, name: str, facts: dict[str, str]) -> None:
        self._do("INSERT INTO target VALUES (?, ?, ?)", (self.number, name, json.dumps(facts)))

    def sample(self, sample: Sample) -> None:
        cell = sample.cell
        self._do(
            "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.number,
                sample.target,
                sample.mode.value,
                sample.repeat,
                cell.test.value,
                cell.file_kb,
                cell.record_kb,
                cell.kb_per_s,
            ),
        )

    def cow(self, sample: CowSample) -> None:
        self._do(
            "INSERT INTO cow VALUES (?, ?, ?, ?, ?, ?)",
            (self.number, sample.target, sample.repeat, sample.test.name, sample.x, sample.value),
        )

    def output(self, output: Output) -> None:
        trial = output.trial
        self._do(
            "INSERT INTO output VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.number,
                trial.target,
                trial.mode.value,
                trial.repeat,
                json.dumps(output.argv),
                output.text,
                output.seconds,
                output.problem,
            ),
        )

    def end(self, problem: str, notices: tuple[str, ...], facts: dict[str, str]) -> None:
        """Store how the run ended, and sync everything."""
        if self.number:
            self._do(
                "UPDATE run SET ended = 1, problem = ?, notices = ?, facts = ? WHERE id = ?",
                (problem, json.dumps(notices), json.dumps(facts), self.number),
            )
        if self._connection is not None:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            self._connection = None


def _plan_fields(plan: Plan) -> dict[str, object]:
    return {
        "preset": plan.preset.value,
        "options": plan.options,
        "rows": plan.rows,
        "repeats": plan.repeats,
        "modes": [mode.value for mode in plan.modes],
        "tests": [test.value for test in plan.tests],
    }


def _plan(stored: dict[str, Any]) -> Plan:
    return Plan(
        preset=Preset(stored["preset"]),
        options=tuple(str(word) for word in stored["options"]),
        rows=tuple((int(kb), int(record)) for kb, record in stored["rows"]),
        repeats=int(stored["repeats"]),
        modes=tuple(Mode(mode) for mode in stored["modes"]),
        tests=tuple(IoTest(test) for test in stored["tests"]),
    )
