"""What every test can rely on: private state directories, and engines that are there or named as missing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tests.support.checksums import tree_checksum
from tests.support.dockerd import BUSYBOX, Dockerd, docker_cli
from tests.support.forward import pump
from tests.support.images import FILES, IMAGE, PREPARE

_ROOT = ("root", lambda: os.geteuid() == 0, "run the tests as root")
_NEEDS = {
    "engine": (
        _ROOT,
        ("dockerd", lambda: os.path.exists("/usr/sbin/dockerd") and docker_cli(), "apt-get install docker.io"),
        ("busybox", BUSYBOX.exists, "apt-get install busybox-static"),
    ),
    "root": (_ROOT,),
    "ssh": (("sshd", lambda: os.path.exists("/usr/sbin/sshd"), "apt-get install openssh-server"),),
    "png": (("rsvg-convert", lambda: shutil.which("rsvg-convert"), "apt-get install librsvg2-bin"),),
    "iozone": (("iozone", lambda: shutil.which("iozone"), "apt-get install iozone3 (Debian non-free)"),),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here and say why; in CI nothing is skipped."""
    for mark, needs in _NEEDS.items():
        for name, there, mend in needs:
            if item.get_closest_marker(mark) and not there():
                message = f"{name} is missing: {mend}"
                if os.environ.get("CI"):
                    pytest.fail(message)
                pytest.skip(message)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what a test proved of a storage driver, for the README's table."""
    report = yield
    mark, cells = item.get_closest_marker("cell"), os.environ.get("DTUI_CELLS")
    if mark and cells and report.when == "call":
        row, engine = mark.kwargs.get("row") or item.funcargs["daemon"].row  # type: ignore[attr-defined]
        with open(cells, "a") as file:
            cell = {"row": row, "engine": engine, "column": mark.args[0], "passed": report.passed}
            file.write(json.dumps(cell) + "\n")
    return report


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep backups, journals and locks of the tests out of the host's."""
    state = tmp_path / "state"
    monkeypatch.setenv("DTUI_STATE", str(state))
    monkeypatch.setattr("tui.core.state.LOCKS", tmp_path / "locks")  # captured containers have one id in every test
    monkeypatch.setattr("tui.linux.supervise._is_stuck", False)  # what one test leaves behind ends no other's processes
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return state


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """One private dockerd for all tests of a worker, with an image of three layers."""
    daemon = Dockerd()
    try:
        daemon.start()
        daemon.import_image("shop/base:1", FILES)
        daemon.layered_image(IMAGE, "shop/base:1", "echo two > /app/layer2.txt", "echo three > /app/layer3.txt")
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def engine(dockerd: Dockerd) -> Iterator[Dockerd]:
    """The running dockerd; afterwards its containers are gone and no mount or work directory of ours is left."""
    yield dockerd
    for container in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", container)
    assert not list(dockerd.root.glob("overlay2/*/dtui-work"))
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    assert not [line for line in mounts if "dtui-work" in line]


@pytest.fixture(scope="session", params=["overlay2", "vfs"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    found = Dockerd(request.param)
    try:
        found.start()
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", PREPARE, "echo three > /app/layer3.txt")
        yield found
    finally:
        found.close()


@pytest.fixture
def boxes(daemon: Dockerd) -> Iterator[Boxes]:
    daemon.docker("create", "--network=none", "--name=probe", IMAGE, "true")
    found = Boxes(daemon)
    stack = found.endpoint.inspect(daemon.docker("inspect", "--format", "{{.Id}}", "probe").strip()).stack
    assert stack is not None
    images = [layer.path for layer in stack.images]
    before = tree_checksum(images)
    yield found
    found.endpoint.close()
    assert tree_checksum(images) == before
    for container in daemon.docker("ps", "-aq").split():
        daemon.docker("rm", "-f", container)
    assert not [path for path in daemon.root.rglob("*dtui*") if "rootfs" not in path.parts]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    assert not [line for line in mounts if "dtui-work" in line and str(daemon.root) in line]


@pytest.fixture
def listening() -> Iterator[Callable[[Dockerd], str]]:
    """Give an engine an address over tcp, as if it were another host's."""
    with ExitStack() as listeners:

        def listen(engine: Dockerd) -> str:
            listener = listeners.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=_serve, args=(listener, engine.socket), daemon=True).start()
            return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

        yield listen


def _serve(listener: socket.socket, path: Path) -> None:
    while True:
        try:
            outer, _ = listener.accept()
        except OSError:
            return
        inner = socket.socket(socket.AF_UNIX)
        inner.connect(str(path))
        threading.Thread(target=pump, args=(outer, inner), daemon=True).start()
        threading.Thread(target=pump, args=(inner, outer), daemon=True).start()


@pytest.fixture
def far(engine: Dockerd, listening: Callable[[Dockerd], str]) -> str:
    """The address of the engine over tcp."""
    return listening(engine)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of faults and acts, with what the user saw and what was there afterwards."""
    rows = [
        value
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, value in report.user_properties
        if name == "matrix"
    ]
    if rows:
        terminalreporter.section("faults, acts, what is there afterwards, what was told")
        for row in sorted(rows):
            terminalreporter.line(row)
