"""Whose a layer is, by records that are whole, cut short, or of an image that was removed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tui.drivers import bolt
from tui.drivers.data_root import DataRoot
from tui.inventory.entries import DiskEntry
from tui.inventory.layer_directories import list_layers
from tui.inventory.references import Owner

ARCHIVES = Path(__file__).parents[1] / "fixtures" / "data-roots"


def unpack(archive: Path, target: Path) -> None:
    """Unpack a captured data-root, all but what only root may make or remove."""
    subprocess.run(
        ["/bin/tar", "-C", target, "--exclude=backingFsBlockDev", "--exclude=*/work/work", "-xf", archive], check=True
    )


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """A data-root of Docker's with an image of one layer and two containers on it."""
    root = tmp_path / "docker"
    root.mkdir()
    unpack(ARCHIVES / "docker-29-overlay2.tar.xz", root)
    return root


def image_layer(root: Path) -> DiskEntry:
    (found,) = [one for one in list_layers(DataRoot(root)) if one.owner not in (Owner.CONTAINER, Owner.INIT)]
    return found


def image_record(root: Path) -> Path:
    (found,) = (root / "image/overlay2/imagedb/content/sha256").iterdir()
    return found


def test_layer_of_removed_image_has_owners(docker: Path) -> None:
    assert image_layer(docker).names == ("bb:1",)
    image_record(docker).unlink()
    found = image_layer(docker)
    assert (found.owner, found.names) == (Owner.IMAGE, ("c1", "c3"))


def test_unreadable_record_leaves_no_orphan(docker: Path) -> None:
    for mount in (docker / "image/overlay2/layerdb/mounts").iterdir():
        (mount / "parent").unlink()
    record = image_record(docker)
    whole = record.read_bytes()
    record.write_bytes(whole[:100])
    assert image_layer(docker).owner is Owner.UNKNOWN
    record.unlink()
    assert image_layer(docker).owner is Owner.ORPHAN


def test_damaged_cache_leaves_no_orphan(docker: Path) -> None:
    image_record(docker).unlink()
    for mount in (docker / "image/overlay2/layerdb/mounts").iterdir():
        (mount / "parent").unlink()
    (docker / "buildkit").mkdir()
    (docker / "buildkit" / "snapshots.db").write_bytes(b"no database")
    assert image_layer(docker).owner is Owner.UNKNOWN


def leaf(records: list[tuple[bytes, bytes, int]], page: int = 0) -> bytes:
    """Return a leaf page of a bolt database: names, values, and 1 for a value that is a bucket."""
    table, rest = b"", b""
    for index, (name, value, flags) in enumerate(records):
        position = (len(records) - index) * bolt._LEAF.size + len(rest)
        table += bolt._LEAF.pack(flags, position, len(name), len(value))
        rest += name + value
    return bolt._PAGE.pack(page, bolt._LEAF_PAGE, len(records), 0) + table + rest


def database(snapshots: dict[str, dict[bytes, bytes]]) -> bytes:
    """Return a bolt database of buckets with values."""
    records = []
    for name, values in sorted(snapshots.items()):
        inline = leaf([(key, value, 0) for key, value in sorted(values.items())])
        records.append((name.encode(), bytes(16) + inline, 1))
    fields = (bolt._MAGIC, bolt._VERSION, 4096, 0, 2, 0, 0, 3, 1)
    meta = bolt._META.pack(*fields, bolt._checksum(bolt._META.pack(*fields, 0)[:56]))
    pages = [bolt._PAGE.pack(0, 4, 0, 0) + meta, bolt._PAGE.pack(1, 4, 0, 0) + meta, leaf(records, 2)]
    return b"".join(page.ljust(4096, b"\0") for page in pages)


def test_build_cache_layer_is_not_an_orphan(docker: Path) -> None:
    image_record(docker).unlink()
    for mount in (docker / "image/overlay2/layerdb/mounts").iterdir():
        (mount / "parent").unlink()
    assert image_layer(docker).owner is Owner.ORPHAN
    (chain,) = (docker / "image/overlay2/layerdb/sha256").iterdir()
    (docker / "buildkit").mkdir()
    snapshots = {f"sha256:{chain.name}": {b"chainid": f"sha256:{chain.name}".encode(), b"iscommitted": b"1"}}
    (docker / "buildkit" / "snapshots.db").write_bytes(database(snapshots))
    assert image_layer(docker).owner is Owner.CACHE


def storage(root: Path, driver: str, home: str) -> dict[str, str]:
    """Write podman's storage: an image of two layers, a copy with other owners, a container that ends with the boot."""
    ids = {name: letter * 64 for name, letter in (("base", "a"), ("top", "b"), ("copy", "c"), ("web", "d"))}
    for layer_id in (*ids.values(), "e" * 64):
        (root / home / layer_id).mkdir(parents=True)

    def write(kind: str, name: str, records: list[dict[str, object]]) -> None:
        folder = root / f"{driver}-{kind}"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(records))

    write(
        "layers",
        "layers",
        [
            {"id": ids["base"]},
            {"id": ids["top"], "parent": ids["base"]},
            {"id": ids["copy"], "parent": ids["base"]},
        ],
    )
    write("layers", "volatile-layers", [{"id": ids["web"], "parent": ids["top"]}])
    write(
        "images", "images", [{"id": "1" * 64, "names": ["shop:1"], "layer": ids["top"], "mapped-layers": [ids["copy"]]}]
    )
    write("containers", "volatile-containers", [{"id": "2" * 64, "names": ["web"], "layer": ids["web"]}])
    return ids


@pytest.mark.parametrize(("driver", "home"), [("overlay", "overlay"), ("vfs", "vfs/dir")])
def test_podman_layers_have_their_owners(tmp_path: Path, driver: str, home: str) -> None:
    ids = storage(tmp_path, driver, home)
    found = {one.id: (one.owner, one.names) for one in list_layers(DataRoot(tmp_path))}
    assert found == {
        ids["base"]: (Owner.IMAGE, ("shop:1",)),
        ids["top"]: (Owner.IMAGE, ("shop:1",)),
        ids["copy"]: (Owner.IMAGE, ("shop:1",)),
        ids["web"]: (Owner.CONTAINER, ("web",)),
        "e" * 64: (Owner.ORPHAN, ()),
    }
    (tmp_path / f"{driver}-images" / "images.json").write_text("[{")
    assert {one.owner for one in list_layers(DataRoot(tmp_path))} == {Owner.CONTAINER, Owner.IMAGE, Owner.UNKNOWN}


def test_snapshot_parent_is_not_build_cache(tmp_path: Path) -> None:
    archive = ARCHIVES / "docker-29-overlayfs-snapshotter.tar.xz"
    unpack(archive, tmp_path)
    found = {
        one.id: (one.owner, one.names) for one in list_layers(DataRoot(tmp_path)) if one.path.is_relative_to(tmp_path)
    }
    assert found["1"] == (Owner.IMAGE, ("c1", "c3"))
