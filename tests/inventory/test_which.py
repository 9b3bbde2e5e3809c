"""Whose directory it is: container, init layer, image layer, build cache, orphan."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.test_every_driver import HERE, is_podman, new_engine
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE
from tui.drivers.data_root import DataRoot
from tui.inventory.disk import inventory
from tui.inventory.entries import EntryType
from tui.inventory.layer_directories import list_layers
from tui.inventory.references import Owner
from tui.layers.usage import usage_of

pytestmark = pytest.mark.engine

NAMES = ("overlay2", "vfs", "btrfs", "overlay", "containerd overlayfs", "containerd native", "podman overlay")


@pytest.fixture(scope="module", params=NAMES)
def daemon(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    """An Engine with an image of two layers and a container that was made from it."""
    assert request.param in HERE
    found = new_engine(request.param)
    try:
        found.start()
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", "echo two > /app/layer2.txt")
        found.docker("create", "--network=none", "--name=web", IMAGE, "true")
        yield found
    finally:
        found.close()


def test_each_layer_directory_has_its_owner(daemon: Dockerd) -> None:
    found = [*list_layers(DataRoot(daemon.root))]
    by_owner: dict[Owner, list[tuple[str, ...]]] = {}
    for entry in found:
        by_owner.setdefault(entry.owner, []).append(entry.names)
    assert by_owner[Owner.CONTAINER] == [("web",)]
    assert by_owner.get(Owner.INIT) == (None if is_podman(daemon) else [("web",)])
    images = by_owner[Owner.IMAGE]
    # a committed image stands on the init layer of its container too, in containerd's store
    assert len(images) == (3 if daemon.snapshotter else 2)
    assert all(any("shop/web:1" in name for name in names) for names in images)
    assert sum(any("shop/base:1" in name for name in names) for names in images) == 1
    assert Owner.ORPHAN not in by_owner


def test_each_engine_lists_its_containers_record(daemon: Dockerd) -> None:
    (record,) = [entry for entry in inventory(daemon.root) if entry.type is EntryType.RECORD]
    assert (record.owner, record.names) == (Owner.CONTAINER, ("web",))
    assert daemon.docker("inspect", "--format", "{{.Id}}", "web").strip() == record.id
    assert dtui_json("--root", str(daemon.root), "which", record.id[:12])["names"] == ["web"]


def test_which_names_container_of_layer(daemon: Dockerd) -> None:
    path = dtui("-H", daemon.host, "path", "web").decode().strip()
    said = dtui_json("which", path + "/some/where")
    assert (said["owner"], said["names"]) == ("container", ["web"])
    assert Path(path).is_relative_to(said["path"])
    assert dtui("which", path).startswith(b"container web\n")


def test_unreferenced_layer_is_an_orphan(daemon: Dockerd) -> None:
    entry = next(entry for entry in list_layers(DataRoot(daemon.root)) if entry.owner is Owner.IMAGE)
    name = "99999" if entry.id.isdigit() else "f" * 64
    orphan = entry.path.with_name(name)
    orphan.mkdir()
    try:
        entry = dtui_json("which", str(orphan))
        assert (entry["owner"], entry["names"]) == ("orphan", [])
        assert os.path.isdir(orphan)
    finally:
        shutil.rmtree(orphan)


def test_path_outside_data_roots_is_refused(tmp_path: Path) -> None:
    assert b"is not in a data-root" in dtui("which", str(tmp_path), code=1)


def test_usage_excludes_mounted_image(engine: Dockerd) -> None:
    engine.docker("run", "-d", "--network=none", "--name=up", IMAGE, "sleep", "1000")
    layer = next(entry for entry in list_layers(DataRoot(engine.root)) if entry.owner is Owner.CONTAINER)
    counted = subprocess.run(["du", "-skx", layer.path], capture_output=True, text=True, check=True).stdout
    whole = subprocess.run(["du", "-sk", layer.path], capture_output=True, text=True, check=True).stdout
    assert int(whole.split()[0]) > int(counted.split()[0]), "its tree is not mounted: this proves nothing"
    assert usage_of(layer.path) == int(counted.split()[0]) * 1024


KEEPING = [name for name in NAMES if not name.startswith("podman")]
"""Engines that keep a container whose image is removed by force."""


@pytest.mark.parametrize("daemon", KEEPING, indirect=True)
def test_force_removed_image_leaves_no_orphan(daemon: Dockerd) -> None:
    before = [*list_layers(DataRoot(daemon.root))]
    daemon.docker("rmi", "-f", IMAGE)
    after = {entry.path: entry for entry in list_layers(DataRoot(daemon.root))}
    stood_on = [entry.path for entry in before if entry.owner is Owner.IMAGE]
    assert {after[path].owner for path in stood_on} == {Owner.IMAGE}
    assert all(after[path].names for path in stood_on)
