"""Data-roots that real Engines wrote, read without a daemon: Docker 28 and 29 by snapshotter, and aufs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import dtui, dtui_json
from tui.drivers import snapshotters
from tui.drivers.bolt import read_bolt
from tui.engine.at_rest.docker import OfflineEndpoint

pytestmark = pytest.mark.engine

FIXTURES = Path(__file__).parents[1] / "fixtures"
Unpack = Callable[[str], Path]

DIFFS = {
    "docker-28-overlayfs-snapshotter": "d28.diff.c1",
    "docker-29-native-snapshotter": "d29native.diff.c1",
    "docker-29-overlay2": "d29ov2.diff.c1",
    "docker-29-overlayfs-snapshotter": "d29.diff.c1",
    "docker-29-vfs": "d29vfs.diff.c1",
}
LATER = "A /data/viacp.txt"
"""Copied into one container after its diff had been written down."""


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    """Unpack a captured data-root, with the attributes by which overlay marks its directories."""

    def one(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        archive = FIXTURES / "data-roots" / f"{name}.tar.xz"
        subprocess.run(["/bin/tar", "-C", root, "--xattrs", "--xattrs-include=*", "-xf", archive], check=True)
        return root

    return one


@pytest.mark.parametrize("name", DIFFS)
def test_containers_have_path_and_tree(unpack: Unpack, name: str) -> None:
    root = unpack(name)
    containers = dtui_json("--root", str(root), "ls")
    assert {container["name"] for container in containers} >= {"c1", "c3"}
    for container in containers:
        assert container["layer"]["reach"] == "direct", container
        path = dtui("--root", str(root), "path", container["name"]).decode().strip()
        assert path.startswith(str(root))
        tree = dtui_json("--root", str(root), "tree", "--view", "merged", container["name"])
        assert "/bin/busybox" in {entry["path"] for entry in tree}


@pytest.mark.parametrize("name", DIFFS)
def test_changes_match_captured_engine_diff(unpack: Unpack, name: str) -> None:
    said = sorted((FIXTURES / "engine" / DIFFS[name]).read_text().split("\n"))
    ours = dtui("--root", str(unpack(name)), "changes", "c1").decode().replace("M /", "C /").split("\n")
    assert sorted(set(ours) - {LATER}) == sorted(set(said))


AUFS = "docker-20.10-aufs"
ROW = ("aufs", "data-root of Docker 20.10")


@pytest.mark.cell("changes", row=ROW)
@pytest.mark.parametrize("container", ["web", "db", "idle"])
def test_aufs_changes_resolve_opaque_marks(unpack: Unpack, container: str) -> None:
    said = set((FIXTURES / "engine" / f"{AUFS}.diff-{container}.txt").read_text().splitlines())
    ours = set(dtui("--root", str(unpack(AUFS)), "changes", container).decode().replace("M /", "C /").splitlines())
    wart = {line for line in said if line.endswith(("/.wh..wh..opq", "/.wh..opq"))}
    # Docker shows the opaque mark as a file; what the mark hides is what was deleted
    hidden = {"D /app/conf.d/extra.conf"} if wart else set()
    assert ours == (said - wart) | hidden


@pytest.mark.cell("list", row=ROW)
def test_aufs_containers_have_layer_paths(unpack: Unpack) -> None:
    containers = {container["name"]: container for container in dtui_json("--root", str(unpack(AUFS)), "ls")}
    assert set(containers) == {"web", "db", "idle"}
    assert all(
        container["driver"]["name"] == "aufs" and os.path.isdir(container["layer"]["path"])
        for container in containers.values()
    )


@pytest.mark.cell("tree", row=ROW)
def test_aufs_internal_files_are_hidden(unpack: Unpack) -> None:
    root = unpack(AUFS)
    for view in ("layer", "merged"):
        tree = dtui_json("--root", str(root), "tree", "--view", view, "web")
        assert not [entry["path"] for entry in tree if "/.wh." in entry["path"]]


@pytest.mark.cell("offline", row=ROW)
def test_aufs_is_edited_without_kernel_aufs(unpack: Unpack) -> None:
    root = unpack(AUFS)
    layer = Path(dtui("--root", str(root), "path", "web").decode().strip())
    ids = (root / "aufs/layers" / layer.name).read_text().split()
    below = {path: path.read_bytes() for i in ids for path in (root / "aufs/diff" / i).rglob("*.py") if path.is_file()}
    lib = next(path for path in below if path.name == "lib.py")
    inside = "/" + str(lib.relative_to(root / "aufs/diff")).split("/", 1)[1]
    dtui("--root", str(root), "write", f"web:{inside}", stdin=b"fixed = True\n")
    assert (layer / inside.lstrip("/")).read_bytes() == b"fixed = True\n"
    assert dtui("--root", str(root), "cat", f"web:{inside}") == b"fixed = True\n"
    assert {path: path.read_bytes() for path in below} == below
    assert (layer / "etc/.wh.motd").exists()
    dtui("--root", str(root), "write", "--create", "web:/etc/motd", stdin=b"back\n")
    assert not (layer / "etc/.wh.motd").exists()
    assert "M /etc/motd" in dtui("--root", str(root), "changes", "web").decode().splitlines()
    assert b"keeps for itself" in dtui("--root", str(root), "write", "--create", "web:/etc/.wh.x", stdin=b"x", code=1)


# damage ------------------------------------------------------------------------------------------------------


def _records(root: Path) -> dict[str, Path]:
    paths = (root / "containers").glob("*/config.v2.json")
    return {json.loads(path.read_text())["Name"].lstrip("/"): path for path in paths}


def test_truncated_record_hides_no_container(unpack: Unpack) -> None:
    root = unpack("docker-29-overlay2")
    record = _records(root)["c1"]
    record.write_bytes(record.read_bytes()[:200])
    containers = dtui_json("--root", str(root), "ls")
    assert {container["state"] for container in containers} == {"unknown", "exited"}
    damaged = next(container for container in containers if container["state"] == "unknown")
    assert "not valid JSON" in damaged["layer"]["reason"]
    assert b"not valid JSON" in dtui("--root", str(root), "changes", damaged["id"][:12], code=1)
    dtui("--root", str(root), "changes", "c3")


@pytest.mark.parametrize("kind", ["a pipe", "too deep", "an exit code of letters", "a pid of letters"])
def test_invalid_record_hides_no_container(unpack: Unpack, kind: str) -> None:
    root = unpack("docker-29-overlay2")
    record = _records(root)["c1"]
    body = json.loads(record.read_text())
    record.unlink()
    if kind == "a pipe":
        os.mkfifo(record)
    elif kind == "too deep":
        record.write_text("[" * 200_000)
    elif kind == "an exit code of letters":
        record.write_text(json.dumps({**body, "State": {**body["State"], "ExitCode": "abc"}}))
    else:
        record.write_text(json.dumps({**body, "State": {**body["State"], "Running": True, "Pid": "x"}}))
    containers = {container["id"]: container for container in dtui_json("--root", str(root), "ls")}
    assert {container["state"] for container in containers.values()} == {"unknown", "exited"}
    assert containers[record.parent.name]["layer"]["reason"]
    output = dtui("--root", str(root), "changes", record.parent.name[:12], code=1)
    assert output.count(b"\n") == 1
    dtui("--root", str(root), "changes", "c3")


def test_fifo_as_database_is_refused(unpack: Unpack) -> None:
    root = unpack("docker-29-overlayfs-snapshotter")
    database = root / "containerd/daemon/io.containerd.snapshotter.v1.overlayfs/metadata.db"
    database.unlink()
    os.mkfifo(database)
    assert b"not a regular file" in dtui("--root", str(root), "changes", "c1", code=3)


def test_ls_explains_unknown_record(unpack: Unpack) -> None:
    root = unpack("docker-29-overlay2")
    record = _records(root)["c1"]
    record.write_text("{")
    arguments = [sys.executable, "-m", "tui", "--root", str(root), "ls"]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True)
    (line,) = [line for line in output.stdout.splitlines() if line.startswith(record.parent.name[:12])]
    assert " — " in line
    assert " y " not in line
    assert "is not valid JSON" in output.stderr


def test_tree_of_missing_path_is_an_error(unpack: Unpack) -> None:
    root = ("--root", str(unpack("docker-29-overlay2")))
    for view in ("layer", "merged"):
        assert b"/nonexistent" in dtui(*root, "tree", "--view", view, "c1:/nonexistent", code=1)
        assert b"no directory" in dtui(*root, "tree", "--view", view, "c1:/bin/busybox", code=1)
    dtui(*root, "tree", "c1:/bin")


def test_data_root_is_read_through_symlink(unpack: Unpack, tmp_path: Path) -> None:
    root = unpack("docker-29-overlay2")
    link = tmp_path / "link"
    link.symlink_to(root)
    real = dtui("--root", str(root), "path", "c1").decode().strip()
    assert dtui("--root", str(link), "path", "c1").decode().strip() == real
    layer = tmp_path / "layer"
    layer.symlink_to(real)
    inside = Path(real) / "elsewhere"
    inside.symlink_to("/etc")
    for arguments in (
        ("--root", str(link), "which", real),
        ("--root", str(root), "which", real.replace(str(root), str(link))),
        ("which", str(layer)),
        ("which", str(inside)),
    ):
        assert dtui_json(*arguments)["names"] == ["c1"]


def test_missing_data_root_hides_no_other(unpack: Unpack) -> None:
    root = unpack("docker-29-overlay2")
    arguments = [sys.executable, "-m", "tui", "--root", str(root), "--root", str(root / "none"), "ls"]
    output = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert output.returncode == 1
    assert "c1" in output.stdout
    assert "none does not exist" in output.stderr
    assert dtui("--root", str(root), "--root", str(root / "none"), "path", "c1")


def test_path_explains_missing_directory(unpack: Unpack) -> None:
    output = dtui("--root", str(unpack("docker-20.10-devicemapper-metadata")), "path", "-v", "web", code=3).decode()
    assert output.startswith("proven: ")
    assert output.splitlines()[1].startswith("found by ")
    assert output.splitlines()[-1].startswith("dtui: web has no layer directory on this host")


def test_vfs_merged_path_is_the_layer(unpack: Unpack) -> None:
    root = ("--root", str(unpack("docker-29-vfs")))
    assert dtui(*root, "path", "--merged", "c1") == dtui(*root, "path", "c1")


def test_unknown_driver_hides_no_container(unpack: Unpack) -> None:
    root = unpack("docker-29-overlay2")
    record = _records(root)["c1"]
    record.write_text(record.read_text().replace('"Driver":"overlay2"', '"Driver":"quantumfs"'))
    containers = {container["name"]: container for container in dtui_json("--root", str(root), "ls")}
    assert (containers["c1"]["layer"]["reach"], containers["c3"]["layer"]["reach"]) == ("none", "direct")
    assert "quantumfs" in containers["c1"]["layer"]["reason"]
    assert b"quantumfs" in dtui("--root", str(root), "tree", "c1", code=3)


def test_missing_lower_layer_is_reported(unpack: Unpack) -> None:
    root = unpack("docker-29-overlay2")
    home = Path(dtui("--root", str(root), "path", "c1").decode().strip()).parent
    lowest = (home / "lower").read_text().split(":")[-1].strip()
    (root / "overlay2" / lowest).unlink()
    assert b"lower layer l/" in dtui("--root", str(root), "changes", "c1", code=3)
    containers = dtui_json("--root", str(root), "ls")
    assert all("missing" in container["layer"]["reason"] for container in containers)
    assert {container["state"] for container in containers} == {"exited"}


def test_missing_image_snapshot_is_one_line(unpack: Unpack) -> None:
    root = unpack("docker-29-overlayfs-snapshotter")
    shutil.rmtree(root / "containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots/1")
    output = dtui("--root", str(root), "changes", "c1", code=1).decode()
    assert "snapshots/1/fs" in output
    assert output.count("\n") == 1


@pytest.mark.parametrize("page", range(16))
def test_damaged_page_yields_no_wrong_layer(unpack: Unpack, page: int) -> None:
    root = unpack("docker-29-overlayfs-snapshotter")
    right = dtui("--root", str(root), "path", "c1")
    database = root / "containerd/daemon/io.containerd.snapshotter.v1.overlayfs/metadata.db"
    data = bytearray(database.read_bytes())
    data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    database.write_bytes(data)
    containers = dtui_json("--root", str(root), "ls")
    assert len(containers) == 2
    for container in containers:
        if container["layer"]["reach"] == "direct":
            assert container["name"] != "c1" or container["layer"]["path"] == right.decode().strip()
        else:
            assert container["layer"]["reason"]


def test_inactive_pool_is_one_line(unpack: Unpack) -> None:
    root = unpack("docker-20.10-devicemapper-metadata")
    containers = dtui_json("--root", str(root), "ls")
    assert {container["layer"]["reach"] for container in containers} == {"mount"}
    output = dtui("--root", str(root), "changes", "web", code=3).decode()
    assert "is not active" in output
    assert output.count("\n") == 1


def test_a_deleted_device_is_refused(unpack: Unpack) -> None:
    root = unpack("docker-20.10-devicemapper-metadata")
    for record in (root / "devicemapper/metadata").glob("*[0-9a-f]"):
        if record.name not in ("base",) and record.read_text().startswith("{"):
            body = json.loads(record.read_text())
            record.write_text(json.dumps({**body, "deleted": True}))
    assert b"marked as deleted" in dtui("--root", str(root), "changes", "web", code=3)


def test_snapshot_database_is_parsed_once(unpack: Unpack, monkeypatch: pytest.MonkeyPatch) -> None:
    root = unpack("docker-29-overlayfs-snapshotter")
    parsed: list[str] = []
    monkeypatch.setattr(snapshotters, "read_bolt", lambda home, name: parsed.append(name) or read_bolt(home, name))
    endpoint = OfflineEndpoint("root", root)
    names = {endpoint.inspect(container.id).mount_id for _ in range(2) for container in endpoint.snapshot()}
    assert (len(names) > 1, parsed) == (True, ["metadata.db"])
    (database,) = root.rglob("*.overlayfs/metadata.db")
    os.utime(database)
    endpoint.inspect(endpoint.snapshot()[0].id)
    assert len(parsed) == 2
