"""Real IOzone in containers of a real dockerd."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support.dockerd import Dockerd
from tui.bench.image import LABEL
from tui.bench.plan import TESTS, Preset, make_plan
from tui.bench.runner import OWNER, BenchRun, remove_dead_runs, remove_leftovers
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab.engine_host import EndpointTarget, EngineBenchHost

pytestmark = [pytest.mark.engine, pytest.mark.iozone]


@pytest.fixture
def workshop(engine: Dockerd) -> Iterator[EngineBenchHost]:
    endpoint = LiveEndpoint("local", engine.host)
    yield EngineBenchHost(endpoint)
    endpoint.close()


def numbers(raw: str) -> list[list[int]]:
    """IOzone's table, read in the plainest way there is."""
    rows = [line.split() for line in raw.splitlines()]
    return [[int(word) for word in row] for row in rows if len(row) >= 8 and all(word.isdigit() for word in row)]


def test_quick_preset_matches_iozone_output(engine: Dockerd, workshop: EngineBenchHost) -> None:
    run = BenchRun(make_plan(Preset.QUICK, 2), [EndpointTarget(workshop.endpoint)])
    seen = [progress.sample for progress in run if progress.sample]
    result = run.result
    assert result is not None
    assert result.problem == ""
    assert tuple(seen) == result.samples
    assert len(result.samples) == 4 * 6 * 2
    assert len(result.raw) == 2
    for repeat, raw in enumerate(result.raw, 1):
        table = {(row[0], row[1]): row[2:8] for row in numbers(raw)}
        mine = [s.cell for s in result.samples if s.repeat == repeat]
        assert {(c.file_kb, c.record_kb, c.test): c.kb_per_s for c in mine} == {
            (*size, test): value for size, row in table.items() for test, value in zip(TESTS, row, strict=True)
        }
    assert result.targets["local"]["driver"] == "overlay2"
    assert engine.docker("ps", "-aq") == ""


def test_bench_image_is_built_once(engine: Dockerd, workshop: EngineBenchHost) -> None:
    phases = [p.phase for p in BenchRun(make_plan(Preset.QUICK, 1), [EndpointTarget(workshop.endpoint)])]
    again = [p.phase for p in BenchRun(make_plan(Preset.QUICK, 1), [EndpointTarget(workshop.endpoint)])]
    assert "importing the iozone image" not in again
    assert phases
    assert len(engine.docker("images", "-q", "--filter", f"label={LABEL}").split()) == 1
    assert remove_leftovers(workshop) == (0, 1)
    assert engine.docker("images", "-q", "--filter", f"label={LABEL}") == ""


def test_abort_keeps_finished_samples(engine: Dockerd, workshop: EngineBenchHost) -> None:
    run = BenchRun(make_plan(Preset.ARTICLE), [EndpointTarget(workshop.endpoint)])
    for progress in run:
        if progress.done == 30:
            run.abort()
    assert run.result is not None
    assert run.result.problem == "aborted"
    assert len(run.result.samples) >= 30
    assert engine.docker("ps", "-aq") == ""


KILLED = """
import sys
from tui.bench.plan import Preset, make_plan
from tui.bench.runner import BenchRun
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab.engine_host import EndpointTarget
for progress in BenchRun(make_plan(Preset.ARTICLE), [EndpointTarget(LiveEndpoint("local", sys.argv[1]))]):
    print(progress.done, flush=True)
"""


def test_sweep_removes_killed_run(engine: Dockerd, workshop: EngineBenchHost) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, engine.host], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and int(line) < 5:
            pass
        assert remove_dead_runs(workshop) == 0  # its dtui lives
        process.kill()
    assert len(workshop.leftovers(OWNER)) == 1
    assert remove_dead_runs(workshop) == 1
    assert engine.docker("ps", "-aq") == ""


def test_engine_loss_ends_run_with_samples(engine: Dockerd) -> None:
    endpoint = LiveEndpoint("local", engine.host)
    run = BenchRun(make_plan(Preset.ARTICLE), [EndpointTarget(endpoint)])
    try:
        for progress in run:
            if progress.done == 12:
                engine.stop()
        assert run.result is not None
        assert run.result.problem
        assert len(run.result.samples) >= 12
    finally:
        endpoint.close()
        engine.start()
        time.sleep(0.5)
