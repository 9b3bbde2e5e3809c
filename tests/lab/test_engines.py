"""Throwaway engines on real storage drivers: compared, kept, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.waiting import until
from tui.bench.plan import TESTS, IoTest, Mode
from tui.bench.results import Result, Sample
from tui.bench.store import Store
from tui.core.errors import BenchError
from tui.lab.engines import LAB_DRIVERS, LabDaemon, LabDriver

pytestmark = [pytest.mark.engine, pytest.mark.iozone]

DRIVERS = ("overlay2", "overlay", "btrfs", "vfs", "fuse-overlayfs", "volume")


def traces(state: Path) -> list[str]:
    """Return what labs left: directories, mounts, loop devices, processes."""
    found = [str(path) for path in (state / "lab").glob("*")]
    for path in Path("/run/dtui-lab").glob("*/home"):
        with suppress(FileNotFoundError):  # of another test, which clears it away just now
            if os.readlink(path).startswith(f"{state}/"):
                found.append(str(path.parent))
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(state) in line]
    loops = subprocess.run(["/sbin/losetup", "-a"], capture_output=True, text=True, check=True).stdout
    found += [line for line in loops.splitlines() if str(state) in line]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(state).encode() in arguments and b"pytest" not in arguments:
            found.append(arguments.decode(errors="replace"))
    return found


def table_in(text: str) -> list[list[int]]:
    """Read IOzone's table in the plainest way there is."""
    rows = [[int(word) for word in line.split()] for line in text.splitlines() if line.replace(" ", "").isdigit()]
    return [row for row in rows if len(row) >= 4]


def table_of(text: str) -> dict[tuple[int, int], list[int]]:
    return {(row[0], row[1]): row[2:] for row in table_in(text)}


def test_lab_run_matches_iozone_output(private_state: Path) -> None:
    arguments = [word for driver in DRIVERS for word in ("--driver", driver)]
    run = json.loads(dtui("bench", "run", *arguments, "--repeat", "2", "--name", "all", "--json"))
    assert run["complete"], run["problem"]
    assert list(run["targets"]) == [*DRIVERS, "overlay2 again", "host"]
    assert {name: told["driver"] for name, told in run["targets"].items()} == {
        **{name: name for name in DRIVERS},
        "overlay2 again": "overlay2",
        "host": "host",
    }
    assert run["targets"]["btrfs"]["backing"] == "btrfs"
    assert len(run["samples"]) == 8 * 2 * 4 * 6
    result = Store(private_state / "bench" / "runs.sqlite").load(run["id"] or 1)
    for output in result.outputs:
        mine = [s for s in result.samples if (s.target, s.repeat) == (output.trial.target, output.trial.repeat)]
        found = {(s.cell.file_kb, s.cell.record_kb, s.cell.test): s.cell.kb_per_s for s in mine}
        assert found == {
            (*size, test): value
            for size, row in table_of(output.text).items()
            for test, value in zip(TESTS, row, strict=True)
        }
    order = [output.trial.target for output in result.outputs]
    assert sorted(order[:8]) == sorted(order[8:])
    assert traces(private_state) == []
    assert b"one target measured twice differs from itself" in dtui("bench", "show", "all")
    assert dtui_json("bench", "list")[0]["numbers"] == 384


def test_cold_reads_match_iozone_output(private_state: Path) -> None:
    plan = [
        "--size",
        "1m",
        "--size",
        "64m",
        "--test",
        "read",
        "--test",
        "random read",
        "--mode",
        "cached",
        "--mode",
        "cold",
    ]
    arguments = ["bench", "run", "--driver", "overlay2", "--driver", "volume", "--repeat", "2", *plan, "--json"]
    run = json.loads(dtui(*arguments))
    assert run["complete"], run["problem"]
    cold = [one for one in run["samples"] if one["mode"] == "COLD"]
    assert {one["test"] for one in cold} == {"read", "random read"}
    assert len(cold) == 4 * 2 * 2 * 2
    result = Store(private_state / "bench" / "runs.sqlite").load(run["id"])
    said = [row for output in result.outputs if output.trial.mode is Mode.COLD for row in table_in(output.text)]
    assert len(said) == 4 * 2 * 2 * 3
    values = {value for row in said for value in row[2:]}
    assert {one["kb_per_s"] for one in cold} <= values
    for target in run["targets"]:
        fastest = {mode: max(s.cell.kb_per_s for s in large_reads(result, target, mode)) for mode in result.plan.modes}
        assert fastest[Mode.COLD] < fastest[Mode.CACHED]
    assert {"load", "load_after", "available_after", "io_pressure_after", "steal"} <= run["facts"].keys()
    assert traces(private_state) == []


def large_reads(result: Result, target: str, mode: Mode) -> list[Sample]:
    """Return the samples of the largest file's first read."""
    found = [s for s in result.samples if (s.target, s.mode, s.cell.test) == (target, mode, IoTest.READ)]
    return [s for s in found if s.cell.file_kb == 65536]


def test_unusable_driver_is_refused(private_state: Path) -> None:
    able = {row["name"]: row for row in dtui_json("drivers")}
    assert set(able) == {driver.name for driver in LAB_DRIVERS}
    for name, row in able.items():
        if not row["runs"]:
            output = dtui("bench", "run", "--driver", name, code=3).decode()
            assert row["missing"] in output
            assert row["mend"] in output
    assert b"is not a target" in dtui("bench", "run", "--driver", "ext5", code=2)


def test_failed_daemon_leaves_no_traces(private_state: Path) -> None:
    lab = LabDaemon(LabDriver("nonsense", "nonsense"), private_state / "lab", 1 << 30)
    with pytest.raises(BenchError, match=r"does not start: .*driver not supported"):
        lab.start()
    lab.close()
    assert traces(private_state) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signalled_run_keeps_samples(private_state: Path, number: int) -> None:
    with start() as process:
        until_numbers(private_state, 30)
        process.send_signal(number)
        assert process.wait(60) == 1
    kept = dtui_json("bench", "show", "last")
    assert kept["problem"] == "aborted"
    assert len(kept["samples"]) >= 30
    assert traces(private_state) == []


PHASES = {
    "daemon": b"preparing overlay2",
    "image": b"iozone image into btrfs",
    "layers": b"loading an image of 20 layers into btrfs",
}


@pytest.mark.parametrize("phase", [*PHASES, "numbers"])
def test_doctor_removes_killed_run(private_state: Path, phase: str) -> None:
    with start("all" if phase == "layers" else "iozone") as process:
        if phase == "numbers":
            until_numbers(private_state, 20)
        else:
            assert process.stderr is not None
            while PHASES[phase] not in process.stderr.readline():
                pass
        process.kill()
    assert traces(private_state)
    output = subprocess.run([sys.executable, "-m", "tui", "doctor"], capture_output=True, check=False).stdout
    assert b"removed the throwaway engine of a killed benchmark" in output
    assert traces(private_state) == []
    if phase == "numbers":
        kept = dtui_json("bench", "show", "last")
        assert kept["problem"] == "interrupted: dtui was killed"
        assert len(kept["samples"]) >= 20


def test_concurrent_run_is_refused(private_state: Path) -> None:
    with start() as process:
        until_numbers(private_state, 1)
        assert b"another benchmark runs on this host: dtui" in dtui("bench", "run", "--driver", "vfs", code=1)
        process.send_signal(signal.SIGINT)
        process.wait(60)


def start(suite: str = "iozone") -> subprocess.Popen[bytes]:
    arguments = [
        "bench",
        "run",
        "--driver",
        "btrfs",
        "--driver",
        "overlay2",
        "--repeat",
        "40",
        "--suite",
        suite,
        "--yes",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "tui", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )


def until_numbers(state: Path, count: int) -> None:
    """Wait until a run has written so many numbers down."""
    database = state / "bench" / "runs.sqlite"
    until(database.exists, f"no {database}", seconds=60)
    store = Store(database)
    until(lambda: any(run.numbers >= count for run in store.runs()[:1]), "too few numbers", seconds=60, pause=0.1)
