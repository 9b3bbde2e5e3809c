"""Answers of real engines and data-roots of real daemons."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.render.test_lists_and_trees import container
from tui.core.errors import DtuiError, NotFound, UsageError
from tui.core.records import AccessKind, DriverKind, State
from tui.drivers.data_root import DataRoot
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.without_engine import FileLog, JsonLog, K8sLog
from tui.engine.endpoint import LogLine
from tui.engine.live.parse import (
    container_of,
    driver_of,
    exit_code_of,
    facts_of,
    inspected_container,
    mounts_of,
    parse_time,
    settings_of,
)
from tui.engine.log_lines import LogParser
from tui.engine.sample import build_sample
from tui.linux.mount_table import MountPoint, find_mount
from tui.services.discover import discover
from tui.services.resolve import resolve_ref

ENGINE = Path(__file__).parents[1] / "fixtures" / "engine"


def answer(name: str) -> dict[str, object]:
    value: dict[str, object] = json.loads((ENGINE / name).read_text())
    return value


@pytest.mark.parametrize(
    ("name", "kind", "driver"),
    [
        ("d28.info.json", DriverKind.SNAPSHOTTER, "overlayfs"),
        ("d29.info.json", DriverKind.SNAPSHOTTER, "overlayfs"),
        ("d29ov2.info.json", DriverKind.GRAPH, "overlay2"),
        ("d29vfs.info.json", DriverKind.GRAPH, "vfs"),
        ("d29btrfs.info.json", DriverKind.GRAPH, "btrfs"),
        ("d29btrfssn.info.json", DriverKind.SNAPSHOTTER, "btrfs"),
        ("docker-20.10-aufs.info.json", DriverKind.GRAPH, "aufs"),
    ],
)
def test_driver_kind_follows_engine_facts(name: str, kind: DriverKind, driver: str) -> None:
    found = driver_of(answer(name), {})
    assert (found.kind, found.name) == (kind, driver)


def test_engine_29_list_row_is_a_container() -> None:
    rows = json.loads((ENGINE / "d29.list.json").read_text())
    found = [container_of(row, "local", driver_of(answer("d29.info.json"), {})) for row in rows]
    assert {c.name for c in found} >= {"c1"}
    assert all(c.state is not State.UNKNOWN and c.created.year >= 2026 for c in found)


@pytest.mark.parametrize("name", ["d28.inspect.c1.json", "d29.inspect.c1.json", "d29ov2.inspect.c1.json"])
def test_inspect_answers_are_understood(name: str) -> None:
    body = json.loads((ENGINE / name).read_text())
    body = body[0] if isinstance(body, list) else body
    found = inspected_container(body, "local", driver_of(answer("d29.info.json"), {}))
    assert found.state in (State.EXITED, State.CREATED, State.RUNNING)
    assert {m.destination for m in mounts_of(body) if m.kind == "engine"} == {
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
    }


def test_facts_name_version_and_filesystem() -> None:
    facts = facts_of("local", answer("d29.version.json"), answer("d29ov2.info.json"))
    assert facts.product == "Engine"
    assert facts.version.startswith("29.")
    assert facts.backing == "ext4"


@pytest.mark.parametrize(
    ("status", "state", "code"),
    [
        ("Exited (127) 3 minutes ago", State.EXITED, 127),
        ("Up 2 hours", State.RUNNING, None),
        ("Created", State.CREATED, None),
    ],
)
def test_exit_code_is_read_from_status(status: str, state: State, code: int | None) -> None:
    assert exit_code_of(status, state) == code


@given(st.text())
def test_any_time_or_status_is_accepted(text: str) -> None:
    assert parse_time(text) is None or parse_time(text)
    exit_code_of(text, State.EXITED)


def test_time_is_truncated_to_microseconds() -> None:
    assert parse_time("2026-11-23T18:05:01.123456789Z") == datetime(2026, 11, 23, 18, 5, 1, 123456, tzinfo=UTC)


LOG = b"2026-11-23T18:05:01.5Z starting\n2026-11-23T18:05:02.5Z \n2026-11-23T18:05:03.5Z caf\xc3\xa9\xff\nno time"


@given(st.lists(st.integers(min_value=0, max_value=len(LOG)), max_size=20))
def test_log_chunks_may_split_anywhere(cuts: list[int]) -> None:
    parser, lines = LogParser(), []
    places = sorted({0, *cuts, len(LOG)})
    for start, end in itertools.pairwise(places):
        lines += parser.feed(LOG[start:end])
    lines += parser.end()
    assert [line.text for line in lines] == [b"starting", b"", b"caf\xc3\xa9\xff", b"no time"]
    assert lines[0].time == datetime(2026, 11, 23, 18, 5, 1, 500000, tzinfo=UTC)


def test_a_line_without_end_is_bounded() -> None:
    parser = LogParser()
    lines: list[LogLine] = []
    for _ in range(100):
        lines += parser.feed(b"x" * 10_000)
    assert max(len(line.text) for line in lines) <= 64 << 10


def test_reference_is_name_or_id_prefix() -> None:
    rows = [container("web", id="aaa1" + "0" * 60), container("db", id="aab2" + "0" * 60, endpoint="far")]
    assert resolve_ref(rows, "web").name == "web"
    assert resolve_ref(rows, "aab").name == "db"
    assert resolve_ref(rows, "far/db").name == "db"
    with pytest.raises(UsageError, match="means 2 containers"):
        resolve_ref(rows, "aa")
    with pytest.raises(NotFound, match="did you mean web"):
        resolve_ref(rows, "wbe")


@pytest.fixture
def sample(tmp_path: Path) -> OfflineEndpoint:
    build_sample(tmp_path)
    return OfflineEndpoint("demo", tmp_path, sample=True)


def test_sample_has_every_container_state(sample: OfflineEndpoint) -> None:
    states = {listed_container.state for listed_container in sample.snapshot()}
    assert states == set(State) - {State.REMOVING, State.UNKNOWN}


def test_damaged_record_hides_no_container(sample: OfflineEndpoint, tmp_path: Path) -> None:
    broken = next(listed_container for listed_container in sample.snapshot() if listed_container.name == "cron")
    (tmp_path / "containers" / broken.id / "config.v2.json").write_text('{"ID": "' + broken.id)
    containers = {listed_container.id: listed_container for listed_container in sample.snapshot()}
    assert containers[broken.id].state is State.UNKNOWN
    assert "not valid JSON" in containers[broken.id].status
    assert len(containers) == 9


def test_missing_lower_layer_is_reported(sample: OfflineEndpoint, tmp_path: Path) -> None:
    web = next(listed_container for listed_container in sample.snapshot() if listed_container.name == "web")
    stack = sample.inspect(web.id).stack
    assert stack is not None
    for link in (tmp_path / "overlay2" / "l").iterdir():
        link.unlink()
    details = sample.inspect(web.id)
    assert details.access.kind is AccessKind.NONE
    assert "missing" in details.access.reason


def test_layer_link_out_of_root_is_refused(sample: OfflineEndpoint, tmp_path: Path) -> None:
    web = next(listed_container for listed_container in sample.snapshot() if listed_container.name == "web")
    for link in (tmp_path / "overlay2" / "l").iterdir():
        link.unlink()
        link.symlink_to("/etc")
    assert "points to /etc" in sample.inspect(web.id).access.reason


@pytest.mark.parametrize(("make", "words"), [(False, "does not exist"), (True, "not a data-root")])
def test_non_data_root_is_refused(tmp_path: Path, make: bool, words: str) -> None:
    root = tmp_path / "root"
    if make:
        root.mkdir()
    with pytest.raises(DtuiError, match=words):
        discover(roots=(root,))


def test_parent_of_stores_is_not_a_data_root(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containerd").mkdir()
    with pytest.raises(DtuiError, match="not a data-root"):
        discover(roots=(tmp_path,))


@pytest.mark.parametrize("address", ["foo://bar", "http://x", "tcp://", "://x"])
def test_unknown_address_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="is not a Docker address"):
        discover(hosts=(address,))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("tcp://[::1]:2375", "ip6-1"),
        ("tcp://[fe80::2]:2375", "ip6-fe80-2"),
        ("tcp://far:2375", "far"),
        ("ssh://me@far:22", "far"),
        ("unix:///run/docker.sock", "local"),
    ],
)
def test_endpoint_name_is_valid_in_reference(address: str, name: str) -> None:
    (endpoint,) = discover(hosts=(address,)).endpoints
    assert endpoint.name == name


def test_damaged_record_is_listed_once(sample: OfflineEndpoint, tmp_path: Path) -> None:
    broken = next(listed_container for listed_container in sample.snapshot() if listed_container.name == "cron")
    (tmp_path / "containers" / broken.id / "config.v2.json").write_text("{")
    others = {listed_container.id for listed_container in sample.snapshot()} - {broken.id}
    (listed_container,) = sample.unlisted(others)
    assert (listed_container.id, listed_container.state) == (broken.id, State.UNKNOWN)
    assert sample.unlisted(others | {broken.id}) == ()


def test_damaged_records_keep_root_driver(sample: OfflineEndpoint, tmp_path: Path) -> None:
    said = sample.facts().driver
    for listed_container in sample.snapshot()[1:]:
        (tmp_path / "containers" / listed_container.id / "config.v2.json").write_text("{")
    assert sample.facts().driver == said


def test_mount_point_may_contain_spaces() -> None:
    table = [
        "/dev/sda1 / ext4 rw 0 0\n",
        "pool/my\\040data /srv/my\\040data zfs rw 0 0\n",
        "/dev/sdb /srv/my ext4 rw 0 0\n",
    ]
    found = find_mount(table, "/srv/my data/docker/zfs")
    assert found == MountPoint("pool/my data", "/srv/my data", "zfs")
    assert find_mount(table, "/srv/mydata") == MountPoint("/dev/sda1", "/", "ext4")


def test_start_without_daemon_gives_advice(sample: OfflineEndpoint) -> None:
    from tui.engine.endpoint import Verb

    with pytest.raises(DtuiError, match="start the Engine"):
        sample.act(sample.snapshot()[0].id, Verb.START)


def test_container_settings_are_listed() -> None:
    body = {
        "Config": {"Env": ["PORT=80"], "Labels": {"team": "shop"}, "User": "web"},
        "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        "State": {"Health": {"Status": "unhealthy", "FailingStreak": 4, "Log": [{"Output": "refused\nmore"}]}},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}, "front": {"IPAddress": ""}}},
    }
    assert settings_of(body) == (
        ("restart", "on-failure, at most 3 times"),
        ("health", "unhealthy, failed 4 times in a row: refused"),
        ("network bridge", "172.17.0.2"),
        ("network front", "no address now"),
        ("user", "web"),
        ("label", "team=shop"),
        ("env", "PORT=80"),
    )
    assert settings_of({}) == ()


@pytest.mark.parametrize(
    ("log", "raw"),
    [
        (JsonLog, b'{"log":"no\\n","stream":"stderr","time":"2026-11-25T04:00:00Z"}'),
        (K8sLog, b"2026-11-25T04:00:00Z stderr F no"),
    ],
)
def test_stderr_line_differs_from_stdout(log: type[FileLog], raw: bytes, tmp_path: Path) -> None:
    parser = log(DataRoot(tmp_path), "none", 10)
    line, other = parser.parse(raw), parser.parse(raw.replace(b"stderr", b"stdout"))
    assert line is not None
    assert other is not None
    assert (line.text, line.error, other.error) == (b"no", True, False)
