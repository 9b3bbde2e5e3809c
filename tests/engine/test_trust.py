"""What an Engine says of paths and processes of this host is proven before it is used, or never used."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.activated import activated
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.lying_engine import VERSION, lying
from tui.core.errors import DtuiError, NotFound, NotReachable
from tui.core.ids import ContainerId
from tui.core.records import AccessKind, Details, Trust
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.engine.live.trust import peer_of

pytestmark = pytest.mark.engine

INSPECT = "/containers/[^/]+/json"
STRANGER = 1000


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of this host that looks like a layer and must not be written to."""
    layer = tmp_path / "victim"
    (layer / "etc").mkdir(parents=True)
    (layer / "etc/motd").write_bytes(b"the host's own\n")
    return layer


@pytest.fixture
def web(engine: Dockerd) -> str:
    return engine.docker("create", "--network=none", "--name=web", IMAGE, "sleep", "1000").strip()


@pytest.fixture
def asked() -> Iterator[Callable[..., Details]]:
    """Ask an Engine about a container, on a connection that is closed afterwards."""
    with ExitStack() as endpoints:

        def inspect(address: str, container_id: str) -> Details:
            endpoint = LiveEndpoint("local", address)
            endpoints.callback(endpoint.close)
            return endpoint.inspect(container_id)

        yield inspect


def upper_of(layer: Path) -> dict[str, Any]:
    return {INSPECT: {"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": str(layer), "LowerDir": str(layer)}}}}


def refuses_and_writes_by_the_engine(engine: Dockerd, address: str, victim: Path, why: str) -> None:
    """Write through a lying endpoint: the host's file stays, and the Engine itself puts the text into the container."""
    container = dtui_json("-H", address, "ls")[0]
    assert (container["trust"], container["layer"]["reach"], container["layer"]["path"]) == ("unproven", "engine", None)
    assert re.search(why, container["layer"]["reason"]), container["layer"]["reason"]
    assert "\n" not in container["layer"]["reason"]
    dtui("-H", address, "write", "web:/etc/motd", stdin=b"new\n")
    assert (victim / "etc/motd").read_bytes() == b"the host's own\n"
    assert engine.docker("cp", "web:/etc/motd", "-").count("new\n") == 1


@pytest.mark.promise("trust-peer")
def test_upper_dir_of_other_user_is_unused(engine: Dockerd, web: str, victim: Path) -> None:
    with lying(upper_of(victim), engine.socket, user=STRANGER) as address:
        refuses_and_writes_by_the_engine(engine, address, victim, "user 1000 listens at the socket, not root")


@pytest.mark.promise("trust-peer")
def test_other_users_true_answers_unproven(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    with lying({}, engine.socket, user=STRANGER) as address:
        details = asked(address, web)
    assert (details.proof.trust, details.stack, details.pid) == (Trust.UNPROVEN, None, 0)
    assert asked(engine.host, web).access.kind is AccessKind.DIRECT


@pytest.mark.promise("trust-layer-record")
def test_upper_dir_from_root_proxy_is_unused(engine: Dockerd, web: str, victim: Path) -> None:
    with lying(upper_of(victim), engine.socket) as address:
        refuses_and_writes_by_the_engine(
            engine, address, victim, "the Engine names .*victim as its layer, but the records "
        )


@pytest.mark.promise("trust-layer-record")
def test_lie_leaves_other_containers_proven(engine: Dockerd, web: str, victim: Path) -> None:
    engine.docker("create", "--network=none", "--name=db", IMAGE, "true")
    lie = {INSPECT.replace("[^/]+", web): upper_of(victim)[INSPECT]}
    with lying(lie, engine.socket) as address:
        containers = {container["name"]: container for container in dtui_json("-H", address, "ls")}
    assert (containers["web"]["trust"], containers["db"]["trust"]) == ("unproven", "proven")
    assert containers["db"]["layer"]["reach"] == "direct"


@pytest.mark.promise("trust-layer-record")
def test_layer_of_another_container_unused(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    other = engine.docker("create", "--network=none", "--name=db", IMAGE, "true").strip()
    layer = asked(engine.host, other).access.path
    assert layer is not None
    with lying(upper_of(layer), engine.socket) as address:
        assert asked(address, web).proof.trust is Trust.UNPROVEN


@pytest.mark.promise("trust-layer-record")
def test_container_of_another_name_unproven(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    with lying({INSPECT: {"Name": "/dtui-bench-1"}}, engine.socket) as address:
        details = asked(address, web)
    assert (details.proof.trust, details.stack) == (Trust.UNPROVEN, None)
    assert "calls the container dtui-bench-1, but the records here web" in details.access.reason


@pytest.mark.promise("trust-mount-namespace")
def test_other_mounts_prove_same_directory(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    with lying({}, engine.socket, unshared=("-m", "--propagation=slave")) as address:
        details = asked(address, web)
        assert (details.proof.trust, details.access.kind) == (Trust.PROVEN, AccessKind.DIRECT)
        assert "another mount namespace" in details.proof.reason
    hide = f'mount -t tmpfs none {engine.root} && exec "$0" "$@"'
    with lying({}, engine.socket, unshared=("-m", "--propagation=slave", "sh", "-c", hide)) as address:
        details = asked(address, web)
        assert (details.proof.trust, details.stack) == (Trust.UNPROVEN, None)
        assert "another mount namespace" in details.access.reason


@pytest.mark.promise("trust-mount-namespace")
def test_peer_in_other_user_ns_is_unproven(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    with lying({}, engine.socket, unshared=("-U", "-r")) as address:
        assert "another user namespace" in asked(address, web).access.reason


@pytest.mark.promise("trust-owner")
def test_data_root_of_a_user_unproven(engine: Dockerd, web: str, tmp_path: Path) -> None:
    root = tmp_path / "docker"
    shutil.copytree(engine.root / "image", root / "image")
    layer = Path(dtui("-H", engine.host, "path", "web").decode().strip())
    fake = root / layer.relative_to(engine.root)
    (fake / "etc").mkdir(parents=True)
    (fake / "etc/motd").write_bytes(b"the host's own\n")
    lies = {"/info": {"DockerRootDir": str(root)}, **upper_of(fake)}
    os.chown(root, STRANGER, STRANGER)
    with lying(lies, engine.socket) as address:
        refuses_and_writes_by_the_engine(engine, address, fake, "belongs to user 1000, but root runs the Engine")
    os.chown(root, 0, 0)
    os.chown(fake.parent, STRANGER, STRANGER)
    with lying(lies, engine.socket) as address:
        reason = dtui_json("-H", address, "ls")[0]["layer"]["reason"]
    assert f"{fake.parent} belongs to user 1000" in reason


@pytest.mark.promise("trust-remote-paths")
def test_engine_hidden_containers_stay_hidden(engine: Dockerd, web: str, listening: Any) -> None:
    hidden = {"/containers/json": [], "/info": {"Driver": "vfs"}}
    with lying(hidden, engine.socket) as address:
        assert dtui_json("-H", address, "ls") == []
    with lying(hidden, engine.socket, user=STRANGER) as address:
        assert dtui_json("-H", address, "ls") == []
    containers = dtui_json("-H", listening(engine), "ls")
    assert [(container["name"], container["trust"], container["layer"]["path"]) for container in containers] == [
        ("web", "remote", None)
    ]


@pytest.mark.promise("trust-remote-paths")
def test_untrusted_paths_are_not_opened(engine: Dockerd, web: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    lies: dict[str, Any] = {
        INSPECT: {
            "State": {"Status": "running", "Running": True, "Pid": os.getpid()},
            "GraphDriver": {"Data": {key: f"{trap}/{key}" for key in ("UpperDir", "LowerDir", "MergedDir", "WorkDir")}},
            "LogPath": f"{trap}/log",
            "HostsPath": f"{trap}/hosts",
            "Mounts": [{"Type": "bind", "Source": f"{trap}/source", "Destination": "/data"}],
        },
        "/containers/json": {"State": "running"},
        "/info": {"DockerRootDir": f"{trap}/root", "Containerd": {"Address": f"{trap}/containerd.sock"}},
    }
    with lying(lies, engine.socket, user=STRANGER) as address:
        for arguments in (("ls", "--json"), ("path", "-v", "web"), ("cat", "web:/etc/motd"), ("changes", "web")):
            record = tmp_path / "strace"
            command = ["strace", "-f", "-qq", "-o", str(record), "-e", "trace=file,network"]
            subprocess.run(
                [*command, sys.executable, "-m", "tui", "-H", address, *arguments],
                capture_output=True,
                check=False,
                timeout=120,
            )
            calls = record.read_text(errors="replace")
            assert "d.sock" in calls
            assert str(trap) not in calls, arguments
            assert f"/proc/{os.getpid()}" not in calls, arguments


@pytest.mark.promise("trust-remote-paths")
def test_untrusted_pid_is_not_entered(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    engine.docker("start", "web")
    with lying({}, engine.socket, user=STRANGER) as address:
        details = asked(address, web)
        assert details.pid == 0
        assert ("pid on its host", str(asked(engine.host, web).pid)) in details.settings
        assert dtui("-H", address, "cat", "web:/etc/motd") == b"hello\n"


@pytest.mark.promise("trust-remote-paths")
def test_containerd_of_other_user_is_unused(tmp_path: Path) -> None:
    from tui.engine.live import containerd

    with (
        lying({}, user=STRANGER) as address,
        pytest.raises(NotReachable, match="user 1000"),
    ):
        containerd.snapshotter_root(address, "moby", "overlayfs")


@pytest.mark.promise("answer-about-what-was-asked")
@pytest.mark.parametrize("told", ["f" * 64, "../../x"])
def test_answer_for_other_container_is_error(
    engine: Dockerd, web: str, asked: Callable[..., Details], told: str
) -> None:
    with lying({INSPECT: {"Id": told}}, engine.socket) as address:
        with pytest.raises(DtuiError, match=r"answered about|is not a container id"):
            asked(address, web)
        dtui("-H", address, "write", "web:/etc/motd", stdin=b"new\n", code=1)


@pytest.mark.promise("answer-about-what-was-asked")
def test_size_of_other_container_is_hidden(engine: Dockerd, web: str) -> None:
    endpoint = LiveEndpoint("local", engine.host)
    with lying({"/containers/json": {"Id": "f" * 64, "SizeRw": 7}}, engine.socket) as address:
        liar = LiveEndpoint("local", address)
        assert (endpoint.size(web), liar.size(web)) == (0, None)
        liar.close()
    endpoint.close()


@pytest.mark.promise("ids-checked-at-border")
def test_id_with_slashes_leaves_no_file(engine: Dockerd, web: str, private_state: Path) -> None:
    with lying({"/containers/json": {"Id": "../../x"}, INSPECT: {"Id": "../../x"}}, engine.socket) as address:
        container = dtui_json("-H", address, "ls")[0]
        assert (container["name"], container["state"]) == ("web", "unknown")
        assert "'../../x' is not a container id" in container["status"]
        dtui("-H", address, "write", "--create", "web:/etc/new", stdin=b"new\n", code=1)
    assert not [path for path in private_state.parent.rglob("x*") if private_state not in path.parents]


@pytest.mark.promise("trust-shown")
def test_trust_and_its_reason_are_shown(engine: Dockerd, web: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tui", "-H", engine.host, "path", "-v", "web"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^proven: root's process \d+ listens at the socket, in our mount namespace", shown.stderr)
    assert dtui_json("-H", engine.host, "ls")[0]["trust"] == "proven"


@pytest.mark.promise("trust-peer")
def test_own_socket_is_proven(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client.connect(str(tmp_path / "s"))
        peer = peer_of(client)
    assert (peer.pid, peer.uid, peer.distrust, peer.other_mount_namespace) == (os.getpid(), 0, "", False)


@pytest.mark.promise("trust-peer")
@pytest.mark.parametrize(("user", "trust"), [(0, Trust.PROVEN), (STRANGER, Trust.UNPROVEN)])
def test_service_behind_systemd_is_judged(
    engine: Dockerd, web: str, asked: Callable[..., Details], user: int, trust: Trust
) -> None:
    with activated(engine.socket, user) as address:
        details = asked(address, web)
    assert (details.proof.trust, details.stack is not None) == (trust, trust is Trust.PROVEN), details.proof
    assert trust is Trust.PROVEN or "user 1000 listens at the socket" in details.proof.reason


@pytest.mark.promise("trust-peer")
def test_listener_that_dropped_root_is_unproven(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    ready, told = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        child = os.fork()
        if child == 0:
            listener.listen()
            os.setresuid(STRANGER, STRANGER, STRANGER)
            os.write(told, b"x")
            signal.pause()
        try:
            os.read(ready, 1)
            client.connect(path)
            assert "now belongs to user 1000" in peer_of(client).distrust
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ready)
            os.close(told)


@pytest.mark.promise("trust-peer")
def test_socket_of_ended_maker_is_unproven(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        child = os.fork()
        if child == 0:
            listener.listen()
            os._exit(0)
        os.waitpid(child, 0)
        client.connect(path)
        assert "has ended" in peer_of(client).distrust


@pytest.mark.promise("trust-peer")
def test_changed_endpoint_is_judged_anew(engine: Dockerd, web: str) -> None:
    endpoint = LiveEndpoint("local", engine.host)
    assert endpoint.inspect(ContainerId(web)).proof.proven
    threads: list[Details] = []
    with lying({}, engine.socket, user=STRANGER) as address:
        endpoint.address = address  # as when the socket's path is a link that now leads elsewhere
        worker = threading.Thread(target=lambda: threads.append(endpoint.inspect(ContainerId(web))))
        worker.start()
        worker.join(60)
    endpoint.close()
    assert threads[0].proof.trust is Trust.UNPROVEN


def test_dict_engine_without_paths_works(tmp_path: Path) -> None:
    info = {"Driver": "overlay2", "DockerRootDir": "relative/../..", "DriverStatus": []}
    lies = {"/version": VERSION, "/info": info, "/containers/json": []}
    with lying(lies, user=STRANGER) as address:
        endpoint = LiveEndpoint("local", address)
        assert endpoint.snapshot() == ()
        with pytest.raises(NotFound):
            endpoint.inspect(ContainerId("0" * 64))
        endpoint.close()
    assert json.dumps(info)


def without_control_groups(pid: int) -> None:
    """Move a process to the top of every hierarchy of control groups, as an engine without them leaves it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for _, place, kind, *_ in mounts:
        if kind in ("cgroup", "cgroup2"):
            (Path(place) / "cgroup.procs").write_text(str(pid))


@pytest.mark.promise("trust-layer-record")
def test_process_is_proven_by_its_root(engine: Dockerd, web: str, asked: Callable[..., Details]) -> None:
    engine.docker("start", "web")
    details = asked(engine.host, web)
    without_control_groups(details.pid)
    assert web not in Path(f"/proc/{details.pid}/cgroup").read_text()
    dtui("-H", engine.host, "write", "web:/etc/motd", stdin=b"new\n")
    assert engine.docker("exec", "web", "cat", "/etc/motd") == "new\n"


@pytest.mark.promise("trust-layer-record")
def test_process_of_other_root_is_refused(engine: Dockerd, web: str) -> None:
    engine.docker("start", "web")
    with lying({INSPECT: {"State": {"Pid": os.getpid()}}}, engine.socket) as address:
        output = dtui("-H", address, "write", "web:/etc/motd", stdin=b"new\n", code=3).decode()
    assert "its control group does not name the container, and its root is not the one that the engine made" in output
