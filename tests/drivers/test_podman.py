"""podman's storage read without podman, from records that are whole or odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui.core.errors import DtuiError
from tui.core.records import State
from tui.drivers.containers_storage import read_records
from tui.drivers.data_root import DataRoot
from tui.engine.at_rest.podman import PodmanRoot

IDS = {name: letter * 64 for name, letter in (("web", "a"), ("db", "b"), ("cron", "c"))}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A graphroot of three containers on one layer."""
    base = "f" * 64
    folder = tmp_path / "overlay-containers"
    for container_id in IDS.values():
        userdata = folder / container_id / "userdata"
        userdata.mkdir(parents=True)
        (userdata / "config.json").write_text(json.dumps({"process": {"args": ["sleep", "9"], "cwd": "/"}}))
    write(tmp_path, [{"id": one, "names": [name], "layer": one} for name, one in IDS.items()])
    (tmp_path / "overlay-layers").mkdir()
    layers: list[dict[str, Any]] = [{"id": base}, *({"id": one, "parent": base} for one in IDS.values())]
    (tmp_path / "overlay-layers" / "layers.json").write_text(json.dumps(layers))
    for layer_id in (base, *IDS.values()):
        (tmp_path / "overlay" / layer_id / "diff").mkdir(parents=True)
    return tmp_path


def write(root: Path, containers: list[Any]) -> None:
    """Put other records in place of those that are there, as podman does."""
    new = root / "overlay-containers" / "new"
    new.write_text(json.dumps(containers))
    new.rename(root / "overlay-containers" / "containers.json")


def test_inspect_reads_only_its_container(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    before = DataRoot.json
    monkeypatch.setattr(DataRoot, "json", lambda self, name: (read.append(Path(name)), before(self, name))[1])
    assert PodmanRoot("root", root).inspect(IDS["db"]).argv == ("sleep", "9")
    assert {path.parent.parent.name for path in read} == {IDS["db"]}


def test_records_are_parsed_once_per_change(root: Path) -> None:
    opened, name = DataRoot(root), "overlay-containers/containers.json"
    assert read_records(opened, name) is read_records(opened, name)
    write(root, [{"id": IDS["web"], "names": ["new"], "layer": IDS["web"]}])
    assert [container.name for container in PodmanRoot("root", root).snapshot()] == ["new"]


@pytest.mark.parametrize("names", [{"a": 1}, 7, [[]] * 3, "web"])
def test_malformed_record_hides_no_container(root: Path, names: object) -> None:
    odd = {"id": IDS["web"], "names": names, "layer": IDS["web"]}
    write(root, [odd, {"id": IDS["db"], "names": ["db"], "layer": IDS["db"]}])
    containers = {container.id: container for container in PodmanRoot("root", root).snapshot()}
    assert containers[IDS["db"]].name == "db"
    if isinstance(names, dict | int):
        assert containers[IDS["web"]].state is State.UNKNOWN
        with pytest.raises(DtuiError, match="is invalid"):
            PodmanRoot("root", root).inspect(IDS["web"])
    else:
        assert containers[IDS["web"]].state is State.EXITED


def test_unmapped_layers_mean_idmapped_mounts(root: Path) -> None:
    users = [{"container_id": 0, "host_id": 100000, "size": 65536}]
    write(root, [{"id": IDS["web"], "layer": IDS["web"], "uidmap": users}, {"id": IDS["db"], "layer": IDS["db"]}])
    endpoint = PodmanRoot("root", root)
    stacks = {name: endpoint.inspect(IDS[name]).stack for name in ("web", "db")}
    assert {name: stack and stack.idmapped for name, stack in stacks.items()} == {"web": True, "db": False}
    layers = json.loads((root / "overlay-layers" / "layers.json").read_text())
    copied = [{**layer, "uidmap": users} if layer["id"] == IDS["web"] else layer for layer in layers]
    (root / "overlay-layers" / "layers.json").unlink()
    (root / "overlay-layers" / "layers.json").write_text(json.dumps(copied))
    stack = endpoint.inspect(IDS["web"]).stack
    assert stack is not None
    assert not stack.idmapped
