"""Engines that are benchmarked and lie: of the container they made, of its process, of what it prints."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.hostile_engine import ID, Answer, HostileEngine, endless, head, http, inspected
from tests.support.images import IMAGE
from tui.bench.image import make_image
from tui.bench.iozone import Parser
from tui.core.errors import DtuiError
from tui.core.ids import BadId, ContainerId
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab.engine_host import EngineBenchHost, EngineContainer

MiB = 1 << 20
Hold = Callable[[dict[str, Answer]], EngineContainer]
CREATE = "POST /containers/create"
INSPECT = f"GET /containers/{ID}/json"


def running(**state: object) -> dict[str, object]:
    """Return an inspect of a container whose first process is this one."""
    return inspected(State={"Status": "running", "Pid": os.getpid(), **state})


SCRIPT: dict[str, Answer] = {
    CREATE: http(json.dumps({"Id": ID}), "201 Created"),
    f"POST /containers/{ID}/start": head("204 No Content"),
    INSPECT: http(json.dumps(running())),
    f"POST /containers/{ID}/exec": http(json.dumps({"Id": "e"}), "201 Created"),
    "GET /exec/e/json": http(json.dumps({"ExitCode": 0, "Running": False})),
    f"DELETE /containers/{ID}": head("204 No Content"),
}


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Have an Engine at a socket of root's, with a data-root of root's, make a container; return what is held."""
    endpoints: list[LiveEndpoint] = []

    def held(script: dict[str, Answer]) -> EngineContainer:
        facts = {"Driver": "overlay2", "DriverStatus": [], "DockerRootDir": str(tmp_path)}
        engine = HostileEngine({**SCRIPT, "GET /info": http(json.dumps(facts)), **script}, tmp_path / "s")
        engine.__enter__()
        endpoints.append(LiveEndpoint("bench", engine.address))
        assert endpoints[-1].local
        return EngineBenchHost(endpoints[-1]).start_container("dtui", {})

    yield held
    for endpoint in endpoints:
        endpoint.close()


@pytest.mark.promise("trust-remote-paths")
def test_bench_enters_no_unproven_process(hold: Hold) -> None:
    assert hold({}).pid == 0


@pytest.mark.engine
@pytest.mark.promise("trust-layer-record")
def test_bench_enters_no_foreign_container(engine: Dockerd, tmp_path: Path) -> None:
    web = engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sleep", "1000").strip()
    proven = LiveEndpoint("local", engine.host)
    real = {path: json.dumps(proven.client.get(f"{proven.client.base_url}{path}").json()) for path in ("/info",)}
    inspect = json.dumps(proven.client.inspect_container(web))
    script: dict[str, Answer] = {
        key.replace(ID, web): answer
        for key, answer in {
            **SCRIPT,
            CREATE: http(json.dumps({"Id": web}), "201 Created"),
            "GET /info": http(real["/info"]),
            INSPECT: http(inspect),
        }.items()
    }
    with HostileEngine(script, tmp_path / "s") as liar:
        endpoint = LiveEndpoint("bench", liar.address)
        assert endpoint.inspect(ContainerId(web)).pid == proven.inspect(ContainerId(web)).pid > 0
        assert EngineBenchHost(endpoint).start_container("dtui", {}).pid == 0
        endpoint.close()
    proven.close()


@pytest.mark.promise("ids-checked-at-border")
def test_bench_refuses_short_container_id(hold: Hold) -> None:
    with pytest.raises(BadId):
        hold({CREATE: http(json.dumps({"Id": "s"}), "201 Created")})


@pytest.mark.promise("answers-parsed-at-border")
@pytest.mark.parametrize("state", [None, 7, {"Pid": None}, {"Pid": "1"}, {"Pid": -1}, {"Pid": 2**70}])
def test_malformed_inspect_is_handled(hold: Hold, state: object) -> None:
    with suppress(DtuiError):
        assert hold({INSPECT: http(json.dumps(inspected(State=state)))}).pid == 0


@pytest.mark.promise("answers-bounded")
@pytest.mark.skipif(not shutil.which("iozone"), reason="needs iozone")
def test_endless_output_of_a_benchmark_ends(tmp_path: Path) -> None:
    def frames() -> Iterable[bytes]:
        piece = b"\1\0\0\0\0\1\0\0" + b"x\n" * 32_768
        return itertools.chain([head("200 OK", Content_Type="application/vnd.docker.raw-stream")], endless(piece))

    image = make_image().name
    script = {**SCRIPT, f"GET /images/{image}/json": http("{}"), "POST /exec/e/start": frames}
    with HostileEngine(script) as engine:
        arguments = ["-H", engine.address, "bench", "run", "--engine", "127.0.0.1", "--no-controls", "--yes"]
        process = subprocess.run(
            [sys.executable, "-m", "tui", *arguments, "--suite", "iozone", "--repeat", "1"],
            capture_output=True,
            timeout=90,
            check=False,
            env={**os.environ, "DTUI_STATE": str(tmp_path / "state")},
        )
    assert process.returncode == 1
    assert b"printed more than" in process.stderr
    assert engine.sent < 64 * MiB


def test_iozone_parser_skips_huge_number() -> None:
    parser = Parser()
    assert parser.feed(b"   kB  reclen\n 64 4 " + b"9" * 9000 + b"\n64 4 9\n")[-1].kb_per_s == 9
