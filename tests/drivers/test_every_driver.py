"""The same contract on every storage driver that the installed Engine has: what is shown is true, edits run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layers.test_match_docker import SCENARIO, details_of, diff_of, our_changes
from tests.support.boxes import Box
from tests.support.checksums import tree_checksum
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE
from tests.support.newer_debian import newer_debian
from tests.support.podman import Podman
from tui.core.records import Change, View
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.layers.changes import walk
from tui.layers.view import LayerView

pytestmark = pytest.mark.engine

HERE = {
    **{name: {"storage_driver": name} for name in ("overlay2", "overlay", "vfs", "btrfs", "fuse-overlayfs")},
    **{
        f"containerd {name}": {"storage_driver": name, "snapshotter": True} for name in ("overlayfs", "native", "btrfs")
    },
    **{f"podman {name}": {"storage_driver": name} for name in ("overlay", "vfs")},
}
"""The installed Engine's graph drivers, a newer Engine's snapshotters, and podman's storage."""

IN_GUEST = {name: {"storage_driver": name} for name in ("devicemapper", "zfs")}
"""What needs a kernel that few machines have: tests/guest has one."""

ENGINES = IN_GUEST if os.environ.get("DTUI_GUEST") else HERE

ASK = 4
"""Times to ask for a diff: on btrfs containerd's own at times compares with an empty directory (seen on 28.5.2)."""

PRINT = "cat /app/greeting.txt; cat /etc/app.conf"

GOLDEN = Path(__file__).parents[1] / "golden" / "changes.txt"
"""What the scenario changes, in Docker's own terms, whatever the storage driver."""


@pytest.fixture(scope="module", params=ENGINES)
def daemon(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    """A dockerd on one storage driver, with an image of three layers."""
    found = new_engine(request.param)
    try:
        found.start()
        found.row = (request.param, f"{request.param.split()[0] if is_podman(found) else 'Docker'} {found.version}")
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", "echo two > /app/layer2.txt", "echo three > /app/layer3.txt")
        yield found
    finally:
        found.close()
    assert not found.home.exists()


def new_engine(name: str) -> Dockerd:
    options = ENGINES[name]
    if name.startswith("podman"):
        return Podman(**options)  # type: ignore[arg-type]
    return Dockerd(**options, system=newer_debian() if "snapshotter" in options else None)  # type: ignore[arg-type]


def is_podman(daemon: Dockerd) -> bool:
    return isinstance(daemon, Podman)


def is_mounted_for_a_look(engine: Dockerd) -> bool:
    """Tell the drivers whose layers at rest are no directories."""
    return engine.driver in IN_GUEST


@pytest.fixture
def engine(daemon: Dockerd) -> Iterator[Dockerd]:
    """The daemon; afterwards its containers are gone, and no mount, device or directory of ours is left."""
    before = mounts_of(daemon)
    yield daemon
    for container in daemon.docker("ps", "-aq").split():
        daemon.docker("rm", "-f", container)
    assert mounts_of(daemon) == before
    assert not devices_of_ours()
    assert not [path for path in daemon.root.rglob("*dtui*") if "rootfs" not in path.parts]


def mounts_of(daemon: Dockerd) -> set[str]:
    """Return what is mounted below the daemon's home but by the daemon itself.

    That is the containers, and podman's overlay driver's own directory, which is mounted on itself for as long as any
    podman works on it, so also while one cleans up behind a container (podman 4.3.1).
    """
    lines = Path("/proc/self/mounts").read_text().splitlines()
    mounts = {line.split()[1] for line in lines if str(daemon.home) in line and "/merged" not in line}
    return mounts - {str(daemon.root / daemon.driver)}


def devices_of_ours() -> list[str]:
    """Return the thin devices that dtui activated."""
    command = ["dmsetup", "info", "-c", "--noheadings", "-o", "uuid"]
    if ENGINES is not IN_GUEST:
        return []  # no kernel for them
    found = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    return [line for line in found.split() if line.startswith("DTUI-")]


def driver_kind(engine: Dockerd) -> str:
    if is_podman(engine):
        return "storage"
    return "snapshotter" if engine.snapshotter else "graph"


@pytest.mark.cell("list")
def test_list_names_driver_and_directory(engine: Dockerd) -> None:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "true")
    container = dtui_json("-H", engine.host, "ls")[0]
    assert container["driver"] == {"kind": driver_kind(engine), "name": engine.driver}
    if is_mounted_for_a_look(engine):
        assert container["layer"]["reach"] == "mount"
        assert b"mount" in dtui("-H", engine.host, "path", "web", code=3)
        return
    assert container["layer"]["reach"] == "direct"
    path = dtui("-H", engine.host, "path", "web").decode().strip()
    assert path == container["layer"]["path"]
    assert os.path.isdir(path)
    assert dtui("--root", str(engine.root), "path", "web").decode().strip() == path
    details = details_of(engine, "web")
    assert details.stack is not None
    by_hand = ["/bin/sh", "-c", details.stack.command]
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    output = subprocess.run(by_hand, env=environment, capture_output=True, text=True, check=True).stdout
    if "subvolid=" in output:
        found = subprocess.run(["btrfs", "inspect-internal", "rootid", path], capture_output=True, check=True)
        assert f"subvolid={found.stdout.decode().strip()}\n" in output
    else:
        assert details.stack.writable.id in output or path in output


@pytest.mark.cell("changes")
def test_changes_match_docker_diff(engine: Dockerd) -> None:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO)
    details = details_of(engine, "web")
    ours = our_changes(details)
    if not (is_podman(engine) and engine.driver == "overlay"):  # whose own diff fails on a directory that was a file
        assert ours in (diff_of(engine, "web") for _ in range(ASK))
    assert [f"{change} {path!r}" for path, change in sorted(ours.items())] == GOLDEN.read_text().splitlines()
    listed = {os.fsencode(row["path"]): Change(row["change"]) for row in dtui_json("-H", engine.host, "changes", "web")}
    assert listed == ours
    offline = {
        os.fsencode(row["path"]): Change(row["change"])
        for row in dtui_json("--root", str(engine.root), "changes", "web")
    }
    assert offline == ours


@pytest.mark.cell("tree")
def test_merged_view_matches_container(engine: Dockerd) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO + "sleep 100")
    names = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev \\) -prune -o -print0"
    engine.docker("exec", "web", "sh", "-c", "while ! test -s /done; do sleep 0.1; done")
    found = {p for p in engine.docker("exec", "web", "sh", "-c", names).split("\0") if p and p != "/"}
    details = details_of(engine, "web")
    assert details.stack is not None
    with LayerView.open(details.stack, details.mounts) as view:
        seen = {e.path.decode("utf-8", "surrogateescape") for _, e in walk(view, b"/", View.MERGED, 0)}
        changed = {e.path for _, e in walk(view, b"/", View.LAYER, 0) if e.change is not Change.DELETED}
        assert view.lookup(b"/conf.d/c.conf").change is Change.ADDED
        assert view.lookup(b"/etc/app.conf").change is Change.MODIFIED
        assert view.lookup(b"/app/start.sh").change is None
        assert b"/app/start.sh" not in changed
    hidden = ("/proc", "/sys", "/dev")
    assert {p for p in seen if not p.startswith(hidden)} == {p for p in found if not p.startswith(hidden)}


def broken_container(engine: Dockerd) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "sh", "-c", PRINT)
    engine.docker("start", "-a", "web", check=False)


@pytest.mark.cell("edit stopped")
def test_write_reaches_stopped_container(engine: Dockerd) -> None:
    broken_container(engine)
    below = [layer.path for layer in details_of(engine, "web").stack.layers[1:]]  # type: ignore[union-attr]
    before = tree_checksum(below)
    dtui("-H", engine.host, "write", "web:/etc/app.conf", stdin=b"port=4711\n")
    dtui("-H", engine.host, "write", "--create", "web:/app/greeting.txt", stdin=b"good morning\n")
    assert tree_checksum(below) == before
    engine.docker("start", "web")
    engine.docker("wait", "web")
    assert {"good morning", "port=4711"} <= set(engine.docker("logs", "web").splitlines())
    assert diff_of(engine, "web")[b"/etc/app.conf"] is Change.MODIFIED


@pytest.mark.cell("edit stopped")
def test_write_recreates_deleted_file(engine: Dockerd) -> None:
    engine.docker(
        "create", "--network=none", "--name=web", IMAGE, "sh", "-c", "cat /etc/motd; rm /etc/motd; cat /etc/motd"
    )
    engine.docker("start", "-a", "web", check=False)
    dtui("-H", engine.host, "cat", "web:/etc/motd", code=1)
    dtui("-H", engine.host, "write", "--create", "web:/etc/motd", stdin=b"back\n")
    assert dtui("-H", engine.host, "cat", "web:/etc/motd") == b"back\n"
    engine.docker("start", "web")
    engine.docker("wait", "web")
    assert "back" in engine.docker("logs", "web")


@pytest.mark.cell("revert")
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_changes_and_undo_keep_lower_layers(engine: Dockerd, alive: bool) -> None:
    script = (
        "test -s /done && exec sleep 1000; "
        "echo mine > /etc/app.conf; rm /etc/motd; echo new > /app/new; chmod 600 /conf.d/a.conf; rm -r /old; "
    )
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sh", "-ec", script + "echo > /done; sleep 1000")
    engine.docker("exec", "web", "sh", "-c", "while ! test -s /done; do sleep 0.1; done")
    if not alive:
        engine.docker("stop", "-t", "0", "web")
    before = our_changes(details_of(engine, "web"))
    below = [layer.path for layer in details_of(engine, "web").stack.layers[1:]]  # type: ignore[union-attr]
    checksum = tree_checksum(below)
    paths = ("/etc/app.conf", "/etc/motd", "/app/new", "/conf.d/a.conf", "/old")
    box = Box(engine, LiveEndpoint("local", engine.host))  # a process each would take minutes on an emulated machine
    for path in paths:
        box.revert(path.encode())
    after = our_changes(details_of(engine, "web"))
    assert not [path for path in paths if os.fsencode(path) in after] or alive
    assert dtui("-H", engine.host, "cat", "web:/etc/app.conf") == b"port=80\n"
    assert dtui("-H", engine.host, "cat", "web:/old/one/two.txt") == b"two\n"
    box.remove(b"/conf.d", recursive=True)
    box.rename(b"/old", b"/older")
    assert tree_checksum(below) == checksum
    if not alive:
        engine.docker("start", "web")
    seen = "cat /etc/motd /older/one/two.txt; test ! -e /conf.d; test ! -e /old"
    assert engine.docker("exec", "web", "sh", "-ec", seen) == "hello\ntwo\n"
    engine.docker("stop", "-t", "0", "web")
    for _ in range(2 + len(paths)):
        box.undo()
    box.endpoint.close()
    now = our_changes(details_of(engine, "web"))
    assert {path for path in before if path.startswith((b"/etc/", b"/app/", b"/old"))} <= set(now)
    assert dtui("-H", engine.host, "cat", "web:/conf.d/b.conf") == b"b\n"


def test_merged_path_shows_running_container(engine: Dockerd) -> None:
    engine.docker("run", "-d", "--network=none", "--name=live", IMAGE, "sh", "-c", "echo new > /app/new; sleep 1000")
    engine.docker("exec", "live", "sh", "-c", "while ! test -s /app/new; do sleep 0.1; done")
    if is_mounted_for_a_look(engine):
        assert b"found by" in dtui("-H", engine.host, "path", "--merged", "-v", "live", code=3)
        return
    if engine.snapshotter and engine.driver == "overlayfs":  # mounted in a namespace of the test's
        output = dtui("-H", engine.host, "path", "--merged", "live", code=3).decode()
        seen_by_engine = {line.split()[1] for line in engine.mounts().splitlines()}
        assert output.removeprefix("dtui: ").split(" is not mounted here")[0] in seen_by_engine
        return
    path = Path(dtui("-H", engine.host, "path", "--merged", "live").decode().strip())
    assert (path / "app/new").read_text() == "new\n"
    assert (path / "app/keep.txt").read_text() == "kept\n"


@pytest.mark.cell("edit running")
def test_running_container_sees_write(engine: Dockerd) -> None:
    engine.docker("run", "-d", "--network=none", "--name=live", IMAGE, "sleep", "1000")
    engine.docker("exec", "live", "cat", "/etc/app.conf")
    dtui("-H", engine.host, "write", "live:/etc/app.conf", stdin=b"port=881\n")
    assert engine.docker("exec", "live", "cat", "/etc/app.conf") == "port=881\n"
    assert dtui("-H", engine.host, "cat", "live:/etc/app.conf") == b"port=881\n"


@pytest.mark.cell("offline")
def test_container_is_edited_without_daemon(engine: Dockerd) -> None:
    broken_container(engine)
    # a devicemapper pool is there as long as nobody takes it down in good order
    engine.stop(signal.SIGKILL if engine.driver == "devicemapper" else signal.SIGTERM)
    try:
        root = str(engine.root)
        container = dtui_json("--root", root, "ls")[0]
        reach = "mount" if is_mounted_for_a_look(engine) else "direct"
        assert (container["driver"]["name"], container["layer"]["reach"], container["state"]) == (
            engine.driver,
            reach,
            "exited",
        )
        dtui("--root", root, "write", "web:/etc/app.conf", stdin=b"port=17\n")
        assert dtui("--root", root, "cat", "web:/etc/app.conf") == b"port=17\n"
        assert "M /etc/app.conf" in dtui("--root", root, "changes", "web").decode().splitlines()
    finally:
        engine.start()
    engine.docker("start", "web")
    engine.docker("wait", "web")
    assert "port=17" in engine.docker("logs", "web").splitlines()


@pytest.mark.cell("edit stopped")
def test_write_preserves_owner_and_mode(engine: Dockerd) -> None:
    script = "chown 1234:4321 /app; chmod 2750 /app; chown 1234:4321 /app/keep.txt; chmod 4755 /app/keep.txt"
    engine.docker("run", "--network=none", "--name=own", IMAGE, "sh", "-ec", script)
    engine.docker("commit", "own", "shop/own:1")
    engine.docker(
        "create", "--network=none", "--name=web", "shop/own:1", "stat", "-c", "%a %u:%g", "/app", "/app/keep.txt"
    )
    dtui("-H", engine.host, "write", "web:/app/keep.txt", stdin=b"new\n")
    engine.docker("start", "web")
    engine.docker("wait", "web")
    assert engine.docker("logs", "web").splitlines() == ["2750 1234:4321", "4755 1234:4321"]
