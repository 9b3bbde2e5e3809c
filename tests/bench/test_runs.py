"""What is told of runs: verdicts, spreads, schedules, the store, exports and imports."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.bench import export
from tui.bench.clock import Clock
from tui.bench.compare_runs import compare_runs
from tui.bench.cow_suite import QUICK, CowPlan, CowSample, CowTest, custom_cow
from tui.bench.findings import FindingOutcome, findings
from tui.bench.import_text import parse_iozone_run
from tui.bench.iozone import Cell
from tui.bench.lock import benchmark_lock
from tui.bench.plan import TESTS, IoTest, Mode, Preset, Trial, custom_plan, make_plan, schedule
from tui.bench.results import Output, Result, Sample
from tui.bench.stats import Verdict, by_target, compare_targets, not_direct, spread_in
from tui.bench.store import Store
from tui.bench.tables import comparison_rows, cow_rows, spread_words
from tui.core.errors import BenchError, NotFound, UsageError
from tui.render.benchmarks import heat_maps
from tui.render.chart_files import chart_file
from tui.render.export_run import write_run

FIXTURES = Path(__file__).parents[1] / "fixtures" / "iozone"
SIZE = 65536
FAST = SIZE * 1000  # kB/s at which a file of 64 MiB takes a millisecond


def run(values: dict[str, list[int]], mode: Mode = Mode.CACHED, size: int = SIZE) -> Result:
    """Return a run in which each target gave these numbers, one a repeat."""
    samples = tuple(
        Sample(repeat, Cell(size, 64, IoTest.READ, value), target, mode)
        for target, found in values.items()
        for repeat, value in enumerate(found, 1)
    )
    plan = replace(custom_plan((size,), (64,), repeats=3), modes=(mode,))
    targets = {name: {"driver": name, "backing": "ext4"} for name in values}
    facts = {"kernel": "6.18", "iozone": "3.489", "load": "0.1", "cpus": "2"}
    return Result(plan, datetime(2026, 1, 2, 3, 4, tzinfo=UTC), facts, targets, samples, (), "")


def verdict(result: Result, target: str) -> Verdict:
    found = by_target(result.samples, result.plan.modes[0], result.targets)
    key = (IoTest.READ, result.plan.rows[0][0], 64)
    spread = spread_in(result, result.plan.modes[0])
    return compare_targets(found[target][key], found["host"][key], spread.get(key[1])).verdict


def test_difference_within_spread_is_same() -> None:
    twice = {"overlay2": [FAST] * 3, "overlay2 again": [int(FAST * 1.3)] * 3, "host": [FAST] * 3}
    assert verdict(run({**twice, "vfs": [int(FAST * 1.25)] * 3}), "vfs") is Verdict.SAME
    assert verdict(run({**twice, "vfs": [int(FAST * 1.35)] * 3}), "vfs") is Verdict.FASTER
    assert verdict(run({**twice, "vfs": [int(FAST * 0.7)] * 3}), "vfs") is Verdict.SLOWER


def test_ten_percent_is_the_least_difference() -> None:
    twice = {"overlay2": [FAST] * 3, "overlay2 again": [FAST] * 3, "host": [FAST] * 3}
    assert verdict(run({**twice, "vfs": [int(FAST * 1.09)] * 3}), "vfs") is Verdict.SAME
    assert verdict(run({**twice, "vfs": [int(FAST * 1.12)] * 3}), "vfs") is Verdict.FASTER


def test_verdict_needs_repeats_and_control() -> None:
    assert verdict(run({"vfs": [FAST * 9] * 2, "vfs again": [FAST] * 2, "host": [FAST] * 2}), "vfs") is Verdict.UNKNOWN
    alone = run({"vfs": [FAST * 9] * 3, "host": [FAST] * 3})
    assert verdict(alone, "vfs") is Verdict.UNKNOWN
    assert "the spread is unknown" in spread_words(alone, Mode.CACHED)


def test_too_short_samples_are_not_compared() -> None:
    twice = {"vfs": [64 * 20_000] * 3, "vfs again": [64 * 20_000] * 3, "host": [64 * 5_000] * 3}
    assert verdict(run(twice, size=64), "vfs") is Verdict.SHORT


def test_cached_direct_target_is_flagged() -> None:
    result = run({"fuse-overlayfs": [FAST * 2] * 3, "overlay2": [FAST] * 3, "host": [FAST] * 3}, Mode.DIRECT)
    assert not_direct(result) == ("fuse-overlayfs",)


@given(st.integers(1, 6), st.lists(st.sampled_from("abcdef"), min_size=1, unique=True), st.integers())
def test_schedule_has_each_turn_once(repeats: int, targets: list[str], seed: int) -> None:
    plan = replace(make_plan(Preset.STANDARD), repeats=repeats)
    turns = schedule(plan, tuple(targets), seed)
    assert turns == schedule(plan, tuple(targets), seed)
    assert sorted(turns, key=str) == sorted(
        (Trial(r, t, m) for r in range(1, repeats + 1) for t in targets for m in plan.modes), key=str
    )
    assert [turn.repeat for turn in turns] == sorted(turn.repeat for turn in turns)


def test_read_plan_writes_its_file_first() -> None:
    plan = custom_plan((64,), (4,), (IoTest.RANDOM_READ,))
    assert plan.tests == (*TESTS[0:2], *TESTS[4:6])
    assert plan.argv("F")[1:] == ("-i", "0", "-i", "2", "-s", "64k", "-r", "4k", "-f", "F")


def test_cold_mode_measures_large_reads() -> None:
    plan = custom_plan((64, 1024, 65536), (64, 1024), modes=(Mode.CACHED, Mode.COLD), repeats=2)
    assert plan.tests_of(Mode.COLD) == (IoTest.READ, IoTest.RANDOM_READ)
    assert plan.rows_of(Mode.COLD) == ((1024, 64), (65536, 64), (65536, 1024))
    steps = plan.steps("F", Mode.COLD)
    assert [(step.argv[2], step.cold, "-w" in step.argv) for step in steps[:3]] == [
        ("0", False, True),  # the file is written and kept
        ("1", True, True),
        ("2", True, False),  # IOzone removes it
    ]
    assert plan.drops == 2 * 2 * 3
    assert plan.cells == 2 * (5 * 6 + 3 * 2)
    (whole,) = plan.steps("F", Mode.CACHED)
    assert (whole.rows, whole.counted, whole.cold) == (5, TESTS, False)
    for sizes, tests in (((64,), TESTS), ((65536,), TESTS[:2])):
        with pytest.raises(UsageError, match="COLD"):
            custom_plan(sizes, (64,), tests, (Mode.COLD,))


def test_time_left_follows_measured_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    clock = Clock(60)
    assert clock.seconds_left == 60
    clock.begin()
    now, _ = 120.0, clock.add_done(10)
    assert clock.seconds_left == 100  # twice as slow as guessed
    clock.add_done(50)
    assert clock.seconds_left == 0


def test_estimate_is_sum_of_its_measurements() -> None:
    for plan in (make_plan(Preset.QUICK), make_plan(Preset.STANDARD), make_plan(Preset.ARTICLE)):
        numbers = [
            plan.seconds_of(mode, kb)
            for mode in plan.modes
            for kb, _ in plan.rows_of(mode)
            for _ in plan.tests_of(mode)
        ]
        assert sum(numbers) * plan.repeats == pytest.approx(plan.seconds)


@pytest.mark.parametrize(
    ("sizes", "records"), [((0,), (4,)), ((1 << 30,), (4,)), ((4,), (64,)), ((), (4,)), ((64,), ())]
)
def test_invalid_plan_is_refused(sizes: tuple[int, ...], records: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        custom_plan(sizes, records)


def test_custom_cow_plan_defaults_to_preset() -> None:
    assert custom_cow(QUICK, (), (), None) == QUICK
    assert custom_cow(QUICK, (16384, 64, 64), (5, 1), 1) == CowPlan((64, 16384), (1, 5), 1)
    assert custom_cow(QUICK, (), (3,), None) == CowPlan(QUICK.sizes, (3,), QUICK.repeats)


@pytest.mark.parametrize(("sizes", "depths"), [((0,), ()), ((1 << 30,), ()), ((), (0,)), ((), (101,))])
def test_invalid_cow_plan_is_refused(sizes: tuple[int, ...], depths: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        custom_cow(QUICK, sizes, depths, None)


def whole_run() -> Result:
    result = run({"overlay2": [FAST, FAST * 2], "host": [FAST]})
    output = Output(Trial(1, "overlay2", Mode.CACHED), ("iozone", "-f", "x"), "its own words", 1.5, "")
    cow = (CowSample("overlay2", 1, CowTest.APPEND, 1024, 2.5), CowSample("overlay2", 2, CowTest.APPEND, 1024, 3.5))
    return replace(result, outputs=(output,), cow=cow, notices=("a note",), name="mine")


def test_store_returns_run_unchanged(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs.sqlite")
    number = store.add(whole_run())
    assert store.load(number) == replace(whole_run(), id=number)
    (line,) = store.runs()
    assert (line.name, line.targets, line.numbers, line.problem) == ("mine", ("overlay2", "host"), 5, "")
    assert store.find("mine") == store.find("last") == store.find(str(number)) == number
    assert (tmp_path / "runs.sqlite").stat().st_mode & 0o777 == 0o600
    store.rename(number, "other")
    with pytest.raises(NotFound, match="dtui bench list"):
        store.find("mine")
    store.delete(number)
    assert store.runs() == ()
    with sqlite3.connect(tmp_path / "runs.sqlite") as line_:
        assert line_.execute("SELECT (SELECT count(*) FROM sample) + (SELECT count(*) FROM cow)").fetchone() == (0,)


def test_concurrent_store_creation_succeeds(tmp_path: Path) -> None:
    def made(path: Path) -> int:
        ready.wait()
        return len(Store(path).runs())

    ready = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            assert list(threads.map(made, [tmp_path / f"{number}.sqlite"] * 8)) == [0] * 8


def test_unreadable_store_is_left_unchanged(tmp_path: Path) -> None:
    newer, broken = tmp_path / "newer.sqlite", tmp_path / "broken.sqlite"
    with sqlite3.connect(newer) as line:
        line.execute("PRAGMA user_version = 99")
    broken.write_bytes(b"no database" * 1000)
    before = newer.read_bytes()
    with pytest.raises(BenchError, match="newer dtui"):
        Store(newer)
    assert newer.read_bytes() == before
    with pytest.raises(BenchError, match="not a database"):
        Store(broken)
    assert broken.read_bytes() == b"no database" * 1000


def test_second_benchmark_names_the_first(tmp_path: Path) -> None:
    refused = pytest.raises(BenchError, match=r"another benchmark runs on this host: dtui \d+ since")
    with benchmark_lock(tmp_path), refused, benchmark_lock(tmp_path):
        pass
    with benchmark_lock(tmp_path):
        pass


def test_compare_runs_uses_wider_spread() -> None:
    old = run({"overlay2": [FAST] * 3, "overlay2 again": [int(FAST * 1.05)] * 3})
    new = run({"overlay2": [int(FAST * 0.8)] * 3, "overlay2 again": [int(FAST * 0.6)] * 3})
    (row, _) = compare_runs(old, new)
    assert (row.target, row.verdict) == ("overlay2", Verdict.SAME)
    assert row.spread == pytest.approx(1 / 3)
    quiet = run({"overlay2": [int(FAST * 0.8)] * 3, "overlay2 again": [int(FAST * 0.8)] * 3})
    assert compare_runs(old, quiet)[0].verdict is Verdict.SLOWER
    assert compare_runs(old, quiet, ("overlay2", "overlay2 again"))[0].target == "overlay2 : overlay2 again"


def test_exports_hold_every_number() -> None:
    result = whole_run()
    rows = list(csv.DictReader(io.StringIO(export.as_csv(result).decode())))
    numbers = [float(s.cell.kb_per_s) for s in result.samples] + [one.value for one in result.cow]
    assert [float(row["value"]) for row in rows] == numbers
    assert [row["unit"] for row in rows] == ["kB/s"] * len(result.samples) + ["ms"] * len(result.cow)
    told = json.loads(export.as_json(result))
    assert told["copy_on_write"][0] == {
        "target": "overlay2",
        "repeat": 1,
        "measure": "first append",
        "over": "file",
        "x": 1024,
        "value": 2.5,
        "unit": "ms",
    }
    with zipfile.ZipFile(io.BytesIO(export.as_xlsx(result))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert all(f"<v>{s.cell.kb_per_s}</v>" in sheet for s in result.samples)
    svg = chart_file(result, "svg").decode()
    assert svg.startswith("<svg")
    assert "overlay2" in svg
    assert "copy-on-write" in svg.replace("&#160;", " ")


@pytest.mark.png
def test_charts_are_exported_as_png(tmp_path: Path) -> None:
    assert chart_file(whole_run(), "png").startswith(b"\x89PNG")
    target = tmp_path / "run.png"
    assert write_run(whole_run(), target, replace=False) == target.stat().st_size
    with pytest.raises(BenchError, match="exists already"):
        write_run(whole_run(), target, replace=False)
    with pytest.raises(BenchError, match="no suffix"):
        write_run(whole_run(), tmp_path / "run.gif", replace=False)


def test_iozone_output_is_imported_as_run() -> None:
    data = (FIXTURES / "host-article-4k-1g.txt").read_bytes()
    result = parse_iozone_run(data, "elsewhere", "article")
    assert result.problem == ""
    assert {(s.cell.file_kb, s.cell.record_kb) for s in result.samples} == set(make_plan(Preset.ARTICLE).rows)
    two = parse_iozone_run((FIXTURES / "v510-1-i02.txt").read_bytes(), "elsewhere", "two")
    assert {s.cell.test for s in two.samples} == {*TESTS[0:2], *TESTS[4:6]}
    assert parse_iozone_run((FIXTURES / "interrupted-INT.txt").read_bytes(), "x", "cut").problem
    for bad in (b"", b"garbage" * 500, (FIXTURES / "s16m-r4-O.txt").read_bytes()):
        with pytest.raises(BenchError, match="not IOzone output in kB/s"):
            parse_iozone_run(bad, "x", "y")


def test_tables_show_measured_values() -> None:
    result = whole_run()
    assert comparison_rows(result, Mode.CACHED)[0] == ("test", "file", "overlay2", "host")
    partly = replace(result, samples=result.samples[:2])
    assert "–" not in comparison_rows(partly, Mode.CACHED)[1]
    assert cow_rows(result) == [("measure", "over", "overlay2"), ("first append, ms", "1M", "3.00")]


def driver_run(size: int, **medians: int) -> Result:
    """Return a run of all six tests on drivers, each with one speed throughout."""
    samples = tuple(
        Sample(repeat, Cell(size, 64, test, speed), target)
        for target, speed in medians.items()
        for test in TESTS
        for repeat in (1, 2, 3)
    )
    plan = custom_plan((size,), (64,), repeats=3)
    targets = {name: {"driver": name} for name in medians}
    return Result(plan, datetime(2026, 1, 1, tzinfo=UTC), {}, targets, samples, (), "")


def outcomes(result: Result) -> dict[str, FindingOutcome]:
    return {finding.claim.split()[0]: finding.outcome for finding in findings(result)}


def test_findings_follow_measured_numbers() -> None:
    large, small = 1 << 20, 16384
    slow = outcomes(driver_run(large, overlay2=1000, vfs=1000, devicemapper=300, zfs=500))
    assert slow["devicemapper"] is FindingOutcome.HOLDS
    assert slow["zfs"] is FindingOutcome.HOLDS
    assert slow["aufs"] is slow["btrfs"] is FindingOutcome.NOT_MEASURABLE
    fine = outcomes(driver_run(large, overlay2=1000, vfs=1000, devicemapper=900, zfs=1000))
    assert fine["devicemapper"] is fine["zfs"] is FindingOutcome.DOES_NOT_HOLD
    both = driver_run(large, overlay2=1000, btrfs=2000)
    below = driver_run(small, overlay2=1000, btrfs=300)
    mixed = replace(both, samples=(*both.samples, *below.samples))
    assert outcomes(mixed)["btrfs"] is FindingOutcome.HOLDS
    assert outcomes(both)["btrfs"] is FindingOutcome.NOT_MEASURABLE
    assert outcomes(driver_run(large, overlay2=1000))["zfs"] is FindingOutcome.NOT_MEASURABLE


def test_heat_map_marks_unsure_values() -> None:
    result = parse_iozone_run((FIXTURES / "host-article-4k-1g.txt").read_bytes(), "host", "article")
    lines = heat_maps(result, Mode.CACHED, IoTest.READ).plain.splitlines()
    rows = {line.split()[0]: line for line in lines[3:]}
    assert len(rows) == 13
    assert "~" in rows["64K"]
    assert "█" in "".join(lines)
    assert heat_maps(whole_run(), Mode.CACHED, IoTest.READ).plain == ""
