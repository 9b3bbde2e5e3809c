"""What fills a data-root: layers, records, logs, volumes, with their owners and sizes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import dtui, dtui_json, run
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE

pytestmark = pytest.mark.engine

Row = dict[str, Any]


@pytest.fixture
def web(engine: Dockerd) -> Iterator[Dockerd]:
    """An Engine with a container that mounts a volume and has logged, and with a volume that nobody mounts."""
    engine.docker("volume", "create", "idle")
    script = "dd if=/dev/zero of=/data/big bs=1M count=3; dd if=/dev/zero of=/own bs=1M count=2; echo logged"
    engine.docker("run", "--network=none", "--name=web", "-v", "shop-data:/data", IMAGE, "sh", "-c", script)
    yield engine
    engine.docker("rm", "-f", "web")
    engine.docker("volume", "rm", "idle", "shop-data")


def blocks(path: Path) -> int:
    """Return what du counts below a path."""
    return int(subprocess.run(["du", "-skx", path], capture_output=True, text=True, check=True).stdout.split()[0]) << 10


def listed(engine: Dockerd, *arguments: str) -> list[Row]:
    rows: list[Row] = dtui_json("-H", engine.host, "disk", *arguments)
    return rows


def only(rows: list[Row], **wanted: object) -> Row:
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row


def test_everything_is_listed_with_size_and_owner(web: Dockerd) -> None:
    rows = listed(web)
    layer = only(rows, type="layer", owner="container")
    assert layer["names"] == ["web"]
    assert layer["size"] == blocks(Path(layer["path"])) >= 2 << 20
    volume = only(rows, type="volume", id="shop-data")
    assert (volume["owner"], volume["names"]) == ("container", ["web"])
    assert volume["size"] == blocks(Path(volume["path"])) >= 3 << 20
    assert only(rows, type="volume", id="idle")["owner"] == "unused"
    log, record = (only(rows, type=kind, container=layer["container"]) for kind in ("log", "record"))
    assert log["path"].endswith("-json.log")
    assert log["size"] == blocks(Path(log["path"]))
    assert record["size"] + log["size"] == blocks(Path(record["path"]))
    assert only(rows, id="image")["owner"] == "engine"
    assert [row["size"] for row in rows] == sorted((row["size"] for row in rows), reverse=True)


def test_sizes_add_up_to_whole_data_root(web: Dockerd) -> None:
    rows = listed(web)
    counted, whole = sum(row["size"] for row in rows), blocks(web.root)
    assert 0 <= whole - counted < 300 << 10  # the directories in between, and files beside the directories


def test_orphans_are_what_nothing_refers_to(web: Dockerd) -> None:
    orphan = web.root / "overlay2" / ("f" * 64)
    orphan.mkdir()
    try:
        rows = listed(web, "--orphans")
        assert {(row["type"], row["id"][:4], row["owner"]) for row in rows} >= {
            ("layer", "ffff", "orphan"),
            ("volume", "idle", "unused"),
        }
        assert not [row for row in rows if row["names"] == ["web"]]
        assert b"no container mounts it" in dtui("--root", str(web.root), "which", str(web.root / "volumes/idle"))
    finally:
        orphan.rmdir()


def test_table_names_owner_and_kind(web: Dockerd) -> None:
    text = dtui("-H", web.host, "disk").decode()
    lines = text.splitlines()
    assert lines[0].split() == ["SIZE", "OWNER", "WHAT", "ID", "OF"]
    assert [line.split()[2:] for line in lines if " volume " in line and " web" in line] == [
        ["container", "volume", "shop-data", "web"]
    ]
    assert "entries" in lines[-1]


def test_which_takes_paths_and_ids_together(web: Dockerd) -> None:
    layer = only(listed(web), type="layer", owner="container")
    container = layer["container"]
    root = ("--root", str(web.root))
    asked = [layer["id"], layer["id"][:12], container[:12], f"{web.root}/containers/{container}/{container}-json.log"]
    asked += [f"{web.root}/volumes/shop-data/_data/big", str(web.root / "nothing")]
    paths = dtui_json_of_failure(*root, "which", *asked)
    assert [row.get("type") for row in paths] == ["layer", "layer", "record", "log", "volume", None]
    assert {tuple(row["names"]) for row in paths[:5]} == {("web",)}
    assert "has" in paths[5]["error"]


def dtui_json_of_failure(*arguments: str) -> list[Row]:
    """Return the JSON of a verb that could answer only in part."""
    result = run(*arguments, "--json")
    assert result.returncode == 1
    rows: list[Row] = json.loads(result.stdout)
    return rows


def test_linked_driver_directory_is_searched(web: Dockerd, tmp_path: Path) -> None:
    layer = only(listed(web), type="layer", owner="container")
    web.stop()
    home, moved = web.root / "overlay2", web.home / "moved"
    home.rename(moved)
    home.symlink_to(moved)
    try:
        answer = dtui_json("--root", str(web.root), "which", str(moved / layer["id"] / "diff"))
        assert (answer["owner"], answer["names"]) == ("container", ["web"])
        assert only(dtui_json("--root", str(web.root), "disk"), type="layer", owner="container")["size"] > 2 << 20
    finally:
        home.unlink()
        moved.rename(home)
        web.start()


def test_unreadable_container_may_use_volumes(web: Dockerd) -> None:
    container = only(listed(web), type="layer", owner="container")["container"]
    record = web.root / "containers" / container / "config.v2.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:100])
    try:
        volumes = [row for row in listed(web) if row["type"] == "volume"]
        assert {row["owner"] for row in volumes} == {"unknown"}
    finally:
        record.write_bytes(whole)


def test_id_of_nothing_is_refused(web: Dockerd) -> None:
    answer = dtui("--root", str(web.root), "which", "abcdef012345", code=1)
    assert b"no layer or container" in answer
    assert os.fsencode(web.root) in answer
