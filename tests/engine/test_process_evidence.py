"""Processes that only look like a container's, or like what watches one, change nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.hostile_roots import CONTAINER, LAYER, Prepared, docker_root, podman_root, record_of
from tests.support.images import FILES, IMAGE
from tui.core.errors import NotReachable
from tui.core.records import State
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.podman import PodmanRoot
from tui.files.verbs.opening import running_root

pytestmark = pytest.mark.root  # starts processes of other users

NOBODY = ("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
CALLED_ROOT = (*NOBODY, "/usr/bin/unshare", "--user", "--map-root-user")
ELSEWHERE = ("/usr/bin/unshare", "--mount", "--propagation=private", "/bin/sh", "-c", '"$@"; :', "sh")
"""In another mount namespace, its parent too, as in a container."""

WATCHER = """
sleep 60 & first=$!
echo ${NUMBER:-$first} > "$4"
echo on; wait
"""


@dataclass
class Stage:
    """podman's storage with one container that has exited, a run root, and programs to start."""

    prepared: Prepared
    folder: Path

    @property
    def bundle(self) -> Path:
        return self.prepared.root / "overlay-containers" / CONTAINER / "userdata"

    @property
    def pidfile(self) -> Path:
        return self.folder / "run" / "overlay-containers" / CONTAINER / "userdata" / "pidfile"

    @property
    def state(self) -> State:
        (container,) = PodmanRoot("root", self.prepared.root).snapshot()
        return container.state

    @contextmanager
    def watched(
        self, *before: str, program: str = "conmon", bundle: Path | None = None, number: int = 0
    ) -> Iterator[None]:
        """Run what is called conmon, and writes the number of its child, or another, into the pid file."""
        own = f"-c {CONTAINER} -p {self.pidfile} -b {bundle or self.bundle}"
        arguments = [*before, "/bin/bash", "-c", f"exec -a conmon {self.folder}/{program} {self.folder}/watch {own}"]
        surroundings = {"PATH": "/usr/bin:/bin", **({"NUMBER": str(number)} if number else {})}
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=surroundings, start_new_session=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"on\n"
                yield
            finally:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="dtui-conmon-", dir="/var/tmp"))
    folder.chmod(0o755)
    found = Stage(podman_root(folder), folder)
    found.pidfile.parent.mkdir(parents=True)
    (folder / "watch").write_text(WATCHER)
    for name in ("conmon", "other"):
        shutil.copy("/bin/bash", folder / name)
    yield found
    shutil.rmtree(folder)


def give_to_nobody(path: Path) -> None:
    for one in (path, *path.rglob("*")):
        os.chown(one, 65534, 65534, follow_symlinks=False)


@pytest.mark.promise("monitor-proof")
def test_roots_own_monitor_is_believed(stage: Stage) -> None:
    assert stage.state is State.EXITED
    with stage.watched():
        assert stage.state is State.RUNNING


@pytest.mark.promise("monitor-proof")
@pytest.mark.parametrize("before", [NOBODY, CALLED_ROOT], ids=["user", "root of a namespace"])
def test_user_conmon_is_ignored(stage: Stage, before: tuple[str, ...]) -> None:
    give_to_nobody(stage.folder / "run")
    with stage.watched(*before):
        assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof")
def test_user_command_line_is_not_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def spied(path: str, mode: str) -> IO[bytes]:
        opened.append(path)
        return Path(path).open("rb")

    monkeypatch.setattr("tui.engine.at_rest.monitors.open", spied, raising=False)
    with stage.watched(*NOBODY):
        assert stage.state is State.EXITED
        users = {int(entry) for entry in filter(str.isdigit, os.listdir("/proc")) if process_user(entry) == 65534}
        assert users
        assert not {f"/proc/{pid}/cmdline" for pid in users} & set(opened)


def process_user(pid: str) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


@pytest.mark.promise("monitor-proof")
def test_monitor_in_other_mounts_is_ignored(stage: Stage) -> None:
    with stage.watched(*ELSEWHERE):
        assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof")
def test_user_writable_pid_file_is_ignored(stage: Stage) -> None:
    stage.pidfile.parent.chmod(0o777)
    with stage.watched():
        assert stage.state is State.EXITED
    stage.pidfile.parent.chmod(0o755)
    os.chown(stage.pidfile.parent.parent, 65534, 65534)
    with stage.watched():
        assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof")
def test_user_mapped_monitor_is_believed(stage: Stage) -> None:
    os.chown(stage.pidfile.parent, 100000, 100000)
    with stage.watched():
        assert stage.state is State.EXITED
    users = [{"container_id": 0, "host_id": 100000, "size": 65536}]
    container = {"id": CONTAINER, "names": ["web"], "layer": LAYER, "uidmap": users}
    stage.prepared.put("overlay-containers/containers.json", json.dumps([container]))
    with stage.watched():
        assert stage.state is State.RUNNING


@pytest.mark.promise("monitor-proof")
def test_user_owned_pid_file_is_ignored(stage: Stage) -> None:
    stage.pidfile.touch()
    os.chown(stage.pidfile, 65534, 65534)
    with stage.watched():
        assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof")
def test_pid_not_child_of_monitor_is_ignored(stage: Stage) -> None:
    for number in (1, os.getpid(), 2**22 + 1):
        with stage.watched(number=number):
            assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof")
def test_other_program_as_conmon_is_ignored(stage: Stage) -> None:
    with stage.watched(program="other"):
        assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof")
def test_monitor_of_other_storage_is_ignored(stage: Stage) -> None:
    other = stage.folder / "other-storage"
    other.mkdir()
    with stage.watched(bundle=other):
        assert stage.state is State.EXITED


@pytest.mark.promise("monitor-proof", "process-proof-at-rest")
def test_user_storage_process_is_not_entered(stage: Stage) -> None:
    give_to_nobody(stage.folder)
    with stage.watched(*NOBODY):
        details = PodmanRoot("root", stage.prepared.root).inspect(CONTAINER)
        assert (details.container.state, details.pid) == (State.RUNNING, 0)
        with pytest.raises(NotReachable, match="user 65534"):
            running_root(details)


# Docker's record of a process -------------------------------------------------------------------------------


@contextmanager
def in_a_cgroup(name: str, *arguments: str) -> Iterator[int]:
    """Run a process in a control group of a name, as a user can in a slice that is delegated to them."""
    unified = Path("/sys/fs/cgroup/cgroup.procs").exists()
    group = Path("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/pids", name)
    group.mkdir()
    process = subprocess.Popen(arguments)
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        assert name in Path(f"/proc/{process.pid}/cgroup").read_text()
        yield process.pid
    finally:
        process.kill()
        process.wait()
        group.rmdir()


@pytest.mark.promise("process-proof-at-rest")
@pytest.mark.parametrize("before", [NOBODY, CALLED_ROOT, ()], ids=["user", "root of a namespace", "root"])
def test_a_cgroups_name_alone_proves_nothing(tmp_path: Path, before: tuple[str, ...]) -> None:
    prepared = docker_root(tmp_path)
    with in_a_cgroup(CONTAINER, *before, "/bin/sleep", "60") as pid:
        state = {"Running": True, "Pid": pid, "StartedAt": "2026-01-01T00:00:00Z"}
        prepared.put(f"containers/{CONTAINER}/config.v2.json", json.dumps(record_of("overlay2", State=state)))
        details = OfflineEndpoint("root", prepared.root).inspect(CONTAINER)
        assert (details.container.state, details.pid) == (State.EXITED, 0)


@pytest.mark.engine
@pytest.mark.promise("process-proof-at-rest")
def test_container_outlives_its_daemon() -> None:
    daemon = Dockerd()
    try:
        daemon.start()
        daemon.import_image(IMAGE, FILES)
        daemon.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sleep", "1000")
        daemon.die()
        (container,) = dtui_json("--root", str(daemon.root), "ls")
        assert container["state"] == "running"
        dtui("--root", str(daemon.root), "write", "--create", "web:/new", stdin=b"new\n")
        assert dtui("--root", str(daemon.root), "cat", "web:/new") == b"new\n"
        daemon.start()
    finally:
        daemon.close()
