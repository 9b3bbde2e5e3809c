"""Records of a data-root that are damaged, or were made to be read without end."""

from __future__ import annotations

import itertools
import json
import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile_roots import (
    CONTAINER,
    IMAGE,
    LAYER,
    cyclic_bolt,
    deep,
    docker_root,
    podman_root,
    record_of,
)
from tui.core.errors import DtuiError, LayerError
from tui.core.records import State
from tui.drivers import bolt
from tui.drivers.bolt import Bucket, read_bolt
from tui.drivers.data_root import DataRoot
from tui.drivers.users import ids_of_record
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.podman import PodmanRoot
from tui.inventory.layer_directories import list_layers
from tui.inventory.references import Owner

CONFIG = f"containers/{CONTAINER}/config.v2.json"


def contents(bucket: Bucket) -> Iterator[bytes]:
    for name, value in bucket.items():
        yield name
        if isinstance(value, Bucket):
            yield from contents(value)


def opened(folder: Path, data: bytes) -> Bucket:
    (folder / "meta.db").write_bytes(data)
    return read_bolt(DataRoot(folder), "meta.db")


@pytest.mark.promise("bolt-linear")
def test_shared_pages_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[int] = []
    before = bolt._Database._page
    monkeypatch.setattr(bolt._Database, "_page", lambda self, page: (pages.append(page), before(self, page))[1])
    with pytest.raises(LayerError, match="used twice"):
        list(contents(opened(tmp_path, cyclic_bolt())))
    assert len(pages) <= 30


@pytest.mark.promise("bolt-linear")
def test_a_page_below_itself_is_an_error(tmp_path: Path) -> None:
    data = bytearray(cyclic_bolt(branches=3, links=1))
    struct.pack_into("<IIQ", data, 4 * 4096 + 16, 0, 0, 2)
    with pytest.raises(LayerError, match="used twice"):
        list(contents(opened(tmp_path, bytes(data))))


def leaf_database(records: list[tuple[int, int, int, int]], overflow: int = 0, tail: bytes = b"") -> bytes:
    """Return a database of one leaf page with records of any flags, position and sizes."""
    data = cyclic_bolt(branches=0)
    head = struct.pack("<QHHI", 2, 2, min(len(records), 65535), overflow)
    page = head + b"".join(struct.pack("<IIII", *record) for record in records) + tail
    return data[: 2 * 4096] + page.ljust(4096, b"\0")


@pytest.mark.promise("bolt-linear")
@pytest.mark.parametrize(
    "data",
    [
        leaf_database([(0, 16, 2**32 - 1, 2**32 - 1)]),
        leaf_database([(0, 2**32 - 1, 1, 1)]),
        leaf_database([(0, 16, 1, 1)], overflow=2**32 - 1),
        leaf_database([(0, 0, 2000, 2000)] * 200),
        cyclic_bolt(branches=1, links=65535),
        cyclic_bolt()[: 4096 * 3],
    ],
    ids=["sizes", "a position", "overflow", "records over each other", "a count", "a cut"],
)
def test_false_database_sizes_cost_no_memory(tmp_path: Path, data: bytes) -> None:
    database = opened(tmp_path, data)
    tracemalloc.start()
    with pytest.raises(LayerError, match="damaged"):
        list(contents(database))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.promise("bolt-linear")
def test_buckets_in_buckets_end(tmp_path: Path) -> None:
    value = b""
    for _ in range(60):
        inline = struct.pack("<QHHI", 0, 2, 1, 0) + struct.pack("<IIII", 1, 16, 1, len(value)) + b"a" + value
        value = bytes(16) + inline
    data = leaf_database([(1, 16, 1, len(value))], tail=b"a" + value)
    with pytest.raises(LayerError, match="nested too deeply"):
        list(contents(opened(tmp_path, data)))


pages = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([1, 2, 4, 3]), st.integers(0, 70), st.integers(0, 3), st.binary()),
    max_size=6,
)


@pytest.mark.promise("bolt-linear")
@given(pages)
@settings(max_examples=150, deadline=None)
def test_any_pages_are_contents_or_an_error(tmp_path_factory: pytest.TempPathFactory, made: list[Any]) -> None:
    data = cyclic_bolt(branches=0)[: 2 * 4096]
    for number, kind, count, overflow, rest in made:
        data += (struct.pack("<QHHI", number, kind, count, overflow) + rest * 20)[:4096].ljust(4096, b"\1")
    folder = tmp_path_factory.mktemp("bolt")
    with suppress(DtuiError):
        assert len(list(contents(opened(folder, data)))) <= len(data)


# JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.promise("records-bounded")
@pytest.mark.parametrize("levels", [101, 5_000, 900_000])
def test_deeply_nested_record_hides_no_other(tmp_path: Path, levels: int) -> None:
    prepared = docker_root(tmp_path)
    prepared.put(CONFIG, f'{{"ID": "{CONTAINER}", "Config": {{"Cmd": {deep(levels)}}}}}')
    other = "d" * 64
    prepared.put(f"containers/{other}/config.v2.json", json.dumps({**record_of("overlay2"), "ID": other}))
    containers = {container.id: container for container in OfflineEndpoint("root", prepared.root).snapshot()}
    assert {key: container.state for key, container in containers.items()} == {
        CONTAINER: State.UNKNOWN,
        other: State.EXITED,
    }


@pytest.mark.promise("records-bounded")
@pytest.mark.parametrize(
    "state",
    [
        {"Pid": -1, "Running": True},
        {"Pid": 2**70, "Running": True},
        {"Pid": "1", "Running": True},
        {"Pid": 1.5, "Running": True},
        {"ExitCode": "a word"},
        {"ExitCode": 2**70},
        {"ExitCode": [1]},
    ],
    ids=str,
)
def test_out_of_range_number_hides_no_row(tmp_path: Path, state: dict[str, object]) -> None:
    prepared = docker_root(tmp_path)
    prepared.put(CONFIG, json.dumps(record_of("overlay2", State=state)))
    (container,) = OfflineEndpoint("root", prepared.root).snapshot()
    assert container.state is State.UNKNOWN
    assert "is invalid" in container.status


@pytest.mark.promise("records-bounded")
@pytest.mark.parametrize("time", ["99999-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", 1e999, {}, "-1", "2026-13-77"])
def test_out_of_range_time_is_unknown(tmp_path: Path, time: object) -> None:
    prepared = docker_root(tmp_path)
    prepared.put(CONFIG, json.dumps(record_of("overlay2", Created=time)))
    (container,) = OfflineEndpoint("root", prepared.root).snapshot()
    assert container.state is State.EXITED


@pytest.mark.promise("records-bounded")
def test_oversized_record_is_refused_unread(tmp_path: Path) -> None:
    prepared = docker_root(tmp_path)
    with (prepared.root / CONFIG).open("r+b") as record:
        record.truncate(1 << 40)
    (container,) = OfflineEndpoint("root", prepared.root).snapshot()
    assert "too large for" in container.status


@pytest.mark.promise("records-bounded")
def test_fifo_in_place_of_record_is_refused(tmp_path: Path) -> None:
    prepared = docker_root(tmp_path)
    (prepared.root / CONFIG).unlink()
    os.mkfifo(prepared.root / CONFIG)
    (container,) = OfflineEndpoint("root", prepared.root).snapshot()
    assert "not a regular file" in container.status


@pytest.mark.promise("records-bounded")
def test_layer_chain_length_is_bounded(tmp_path: Path) -> None:
    prepared = podman_root(tmp_path)
    names = [LAYER, *(f"{number:064x}" for number in range(3_000))]
    layers = [{"id": one, "parent": other} for one, other in itertools.pairwise(names)]
    prepared.put("overlay-layers/layers.json", json.dumps(layers))
    for name in (names[900], names[2_000]):
        (prepared.root / "overlay" / name).mkdir()
    owners = {entry.id: entry.owner for entry in list_layers(DataRoot(prepared.root))}
    assert owners[names[900]] is Owner.IMAGE
    assert owners[names[2_000]] is Owner.UNKNOWN


@pytest.mark.promise("records-bounded")
def test_aufs_layers_without_end_are_refused(tmp_path: Path) -> None:
    prepared = docker_root(tmp_path, "aufs")
    prepared.put(f"aufs/layers/{LAYER}", f"{IMAGE}\n" * 60_000)
    details = OfflineEndpoint("root", prepared.root).inspect(CONTAINER)
    assert "names more than 500 below it" in details.access.reason


@pytest.mark.promise("records-bounded")
def test_shared_record_memory_is_bounded(tmp_path: Path) -> None:
    prepared = podman_root(tmp_path)
    ids = [f"{number:064x}" for number in range(100)]
    folder = prepared.root / "overlay-containers"
    prepared.put(
        "overlay-containers/containers.json", json.dumps([{"id": one, "names": ["n" * 30_000]} for one in ids])
    )
    (folder / "one.json").write_text(json.dumps({"process": {"args": ["x" * 3_000_000]}}))
    for one in ids:
        (folder / one / "userdata").mkdir(parents=True)
        os.link(folder / "one.json", folder / one / "userdata" / "config.json")
    containers = PodmanRoot("podman", prepared.root).snapshot()
    assert len(containers) == 100
    assert sum(len(container.command) + len(container.name) for container in containers) < 1 << 20


def test_duplicate_records_are_one_row(tmp_path: Path) -> None:
    prepared = podman_root(tmp_path)
    records = [{"id": CONTAINER, "names": [name], "layer": LAYER} for name in ("web", "other")]
    prepared.put("overlay-containers/containers.json", json.dumps(records))
    assert [container.name for container in PodmanRoot("podman", prepared.root).snapshot()] == ["web"]


@pytest.mark.promise("records-bounded")
def test_record_text_length_is_bounded(tmp_path: Path) -> None:
    prepared = docker_root(tmp_path)
    more = {"Name": "n" * 90_000, "Path": "p", "Args": ["x" * 4_000] * 900, "Image": "i" * 90_000}
    prepared.put(CONFIG, json.dumps(record_of("overlay2", **more)))
    (container,) = OfflineEndpoint("docker", prepared.root).snapshot()
    assert len(container.name) + len(container.command) + len(container.image_id) < 8_000


@pytest.mark.promise("records-bounded")
def test_parents_in_a_circle_end(tmp_path: Path) -> None:
    prepared = podman_root(tmp_path)
    layers = [{"id": LAYER, "parent": IMAGE}, {"id": IMAGE, "parent": LAYER}]
    prepared.put("overlay-layers/layers.json", json.dumps(layers))
    assert {entry.id for entry in list_layers(DataRoot(prepared.root))} == {LAYER, IMAGE}
    (tmp_path / "second").mkdir()
    docker = docker_root(tmp_path / "second")
    for one, other in (("a" * 64, "b" * 64), ("b" * 64, "a" * 64)):
        docker.put(f"image/overlay2/layerdb/sha256/{one}/parent", f"sha256:{other}")
    docker.put(f"image/overlay2/layerdb/mounts/{CONTAINER}/parent", f"sha256:{'a' * 64}")
    assert len([*list_layers(DataRoot(docker.root))]) == 3


@pytest.mark.promise("records-bounded")
@pytest.mark.parametrize("part", [{}, {"container_id": 0, "host_id": -5, "size": 1}, {"size": 2**70}, [], "x", 7])
def test_out_of_range_id_map_is_an_error(part: object) -> None:
    with pytest.raises(LayerError, match="user map"):
        ids_of_record({"uidmap": [part]})
    with pytest.raises(LayerError, match="user map"):
        ids_of_record({"uidmap": "all"})


# ids --------------------------------------------------------------------------------------------------------


@pytest.mark.promise("record-ids-checked")
@pytest.mark.parametrize("odd", ["../../x", "", None, 7, "a" * 65, ["x"], {"a": 1}, f"{'a' * 63}/"])
def test_invalid_id_hides_no_other_row(tmp_path: Path, odd: object) -> None:
    prepared = podman_root(tmp_path)
    whole = {"id": CONTAINER, "names": ["web"], "layer": LAYER}
    records = [{"id": odd, "names": ["odd"], "layer": odd}, whole, {**whole, "id": "e" * 64, "layer": odd}]
    prepared.put("overlay-containers/containers.json", json.dumps(records))
    endpoint = PodmanRoot("root", prepared.root)
    containers = {container.id: container for container in endpoint.snapshot()}
    assert len(containers) == 3
    assert containers[CONTAINER].state is State.EXITED
    assert all(len(key) == 64 and key.isalnum() for key in containers)
    assert endpoint.inspect("e" * 64).stack is None
    assert endpoint.inspect(CONTAINER).stack is not None
    for key in set(containers) - {CONTAINER, "e" * 64}:
        with pytest.raises(DtuiError):
            endpoint.inspect(key)


@pytest.mark.promise("record-ids-checked")
@pytest.mark.parametrize("odd", ["../../../../etc", "/etc", "x", "..", "a" * 64 + "/../x", "\0", "a\nb"])
def test_invalid_layer_id_opens_nothing(tmp_path: Path, odd: str) -> None:
    prepared = docker_root(tmp_path)
    prepared.put(f"image/overlay2/layerdb/mounts/{CONTAINER}/mount-id", odd)
    details = OfflineEndpoint("root", prepared.root).inspect(CONTAINER)
    assert details.stack is None
    assert "not a layer id" in details.access.reason
