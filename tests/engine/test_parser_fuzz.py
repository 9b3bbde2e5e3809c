"""Every parser of bytes that strangers write: whatever comes, it is an answer or one of our errors, and soon."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui.core.errors import DtuiError, LayerError
from tui.core.remote_files import FileFacts
from tui.core.text import printable
from tui.drivers import bolt
from tui.drivers.bolt import Bucket, read_bolt
from tui.drivers.data_root import DataRoot
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.without_engine import JsonLog, K8sLog
from tui.engine.live import containerd, parse
from tui.engine.live.archive import TarNames, _only_member
from tui.engine.live.tar import TarSource

FIXTURES = Path(__file__).parents[1] / "fixtures"
OFTEN = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
SELDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
damages = st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=12)


def damaged(data: bytes, damage: list[tuple[int, bytes]], cut: int | None = None) -> bytes:
    """Return data with some bytes overwritten and perhaps its end cut off."""
    out = bytearray(data)
    for place, new in damage:
        at = place % max(1, len(out))
        out[at : at + len(new)] = new
    return bytes(out if cut is None else out[: cut % (len(out) + 1)])


@contextmanager
def one_line() -> Iterator[None]:
    """Let through one of our own errors, if it says something."""
    try:
        yield
    except DtuiError as error:
        if not str(error):
            raise


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("root")
    archive = FIXTURES / "data-roots" / "docker-29-overlayfs-snapshotter.tar.xz"
    subprocess.run(
        ["/bin/tar", "-C", path, "--exclude=backingFsBlockDev", "--exclude=*/work/work", "-xf", archive], check=True
    )
    return path


NEVER_SHOWN = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
hidden = st.text(st.characters(categories=NEVER_SHOWN), max_size=200)


@given(st.binary(max_size=300) | st.text(max_size=200) | hidden)
@OFTEN
def test_shown_name_has_no_control_byte(name: bytes | str) -> None:
    shown = printable(name)
    assert not {unicodedata.category(char) for char in shown} & set(NEVER_SHOWN)
    shown.encode("utf-8")


def test_unsafe_characters_are_never_shown() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    kinds = {unicodedata.category(char) for char in printable(every)}
    assert kinds.isdisjoint(NEVER_SHOWN)
    assert kinds >= {"Lu", "Mn", "So", "Zs", "Cn"}


def places_in(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to everything in a JSON value, at any depth."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inside:
        yield (*path, key)
        yield from places_in(below, (*path, key))


def with_junk(body: object, place: tuple[str | int, ...], junk: object) -> object:
    """Return a copy of a JSON value with something else at one place."""
    copy = json.loads(json.dumps(body))
    *above, last = place
    here = copy
    for key in above:
        here = here[key]
    here[last] = junk
    return copy


@given(damages, st.none() | st.integers(0, 2**16), json_values, st.integers(0, 2**16))
@SELDOM
def test_damaged_record_hides_no_other(
    root: Path, damage: list[tuple[int, bytes]], cut: int | None, junk: object, at: int
) -> None:
    endpoint = OfflineEndpoint("root", root)
    whole = {one.id for one in endpoint.snapshot()}
    (victim, *others) = sorted(whole)
    record = root / "containers" / victim / "config.v2.json"
    before = record.read_bytes()
    body = json.loads(before)
    places = list(places_in(body))
    strange = with_junk(body, places[at % len(places)], junk)
    try:
        for data in (damaged(before, damage, cut), json.dumps(junk).encode(), json.dumps(strange).encode()):
            record.write_bytes(data)
            containers = endpoint.snapshot()
            assert {one.id for one in containers} >= set(others)
            with one_line():
                printable(endpoint.inspect(victim).container.name)
    finally:
        record.write_bytes(before)


ODD = ("abc", [1], 1e400)


def test_invalid_record_value_is_one_line(root: Path) -> None:
    endpoint = OfflineEndpoint("root", root)
    record = sorted((root / "containers").glob("*/config.v2.json"))[0]
    before = record.read_bytes()
    body = json.loads(before)
    body["State"] |= {"Running": True, "Pid": 1}
    number = len(endpoint.snapshot())
    try:
        for place in places_in(body):
            for odd in ODD:
                record.write_text(json.dumps(with_junk(body, place, odd)))
                assert len(endpoint.snapshot()) == number
                with one_line():
                    endpoint.inspect(record.parent.name)
    finally:
        record.write_bytes(before)


def test_page_beyond_file_is_one_line(tmp_path: Path) -> None:
    database = tmp_path / "metadata.db"
    fields = (bolt._MAGIC, bolt._VERSION, 4096, 0, 1 << 62, 0, 0, 0, 1)
    whole = bolt._META.pack(*fields, 0)
    whole = bolt._META.pack(*fields, bolt._checksum(whole[:56]))
    database.write_bytes(bolt._PAGE.pack(0, 4, 0, 0) + whole.ljust(3 * 4096, b"\0"))
    with pytest.raises(LayerError, match="outside the file"):
        list(read_bolt(DataRoot(tmp_path), database.name).items())


def contents(bucket: Bucket, depth: int = 0) -> Iterator[bytes]:
    for name, value in bucket.items():
        yield name
        if isinstance(value, Bucket):
            yield from contents(value, depth + 1)


@given(damages, st.none() | st.integers(0, 2**20))
@OFTEN
def test_damaged_bolt_file_never_loops(root: Path, damage: list[tuple[int, bytes]], cut: int | None) -> None:
    (source, *_) = sorted(root.rglob("io.containerd.snapshotter.v1.overlayfs/metadata.db"))
    copy = root / "damaged.db"
    used = source.read_bytes()[: 16 * 4096]
    copy.write_bytes(damaged(used, damage, cut))
    with one_line():
        for number, _ in enumerate(contents(read_bolt(DataRoot(root), copy.name))):
            assert number < 100_000


@given(st.binary(max_size=400))
@OFTEN
def test_containerd_answer_parses_or_fails(data: bytes) -> None:
    with one_line():
        for number, value in containerd._fields(data):
            assert number >= 0
            assert isinstance(value, int | bytes)


@given(json_values, json_values, json_values)
@OFTEN
def test_engine_answers_parse_or_fail(one: object, two: object, three: object) -> None:
    body = {"Id": one, "Names": two, "State": three, "Mounts": one, "NetworkSettings": two, "HostConfig": three}
    body |= {"Config": one, "Created": two, "Driver": three, "GraphDriver": one, "Status": two, "Name": two}
    info = {"Driver": one, "DriverStatus": two, "DockerRootDir": three, "Version": one, "Components": two}
    for parser in (
        lambda: parse.parse_time(one),
        lambda: parse.parse_state(two),
        lambda: parse.driver_of(info, info),
        lambda: parse.facts_of("e", info, info),
        lambda: parse.container_of(body, "e", parse.driver_of({}, {})),
        lambda: parse.inspected_container(body, "e", parse.driver_of({}, {})),
        lambda: parse.ports_of(body),
        lambda: parse.argv_of(body),
        lambda: parse.mounts_of(body),
        lambda: parse.settings_of(body),
        lambda: parse.lifecycle_of(body),
        lambda: parse.container_labels(body),
        lambda: parse.event_of(body),
    ):
        with one_line():
            parser()


def tar_of(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        out.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("b")
        link.type, link.linkname = tarfile.SYMTYPE, "../../etc/passwd"
        out.addfile(link)
    return buffer.getvalue()


@given(damages, st.none() | st.integers(0, 2**16), st.integers(1, 700))
@OFTEN
def test_archive_tar_gives_file_or_error(damage: list[tuple[int, bytes]], cut: int | None, piece: int) -> None:
    data = damaged(tar_of("file", b"0123456789" * 30), damage, cut)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    with one_line():
        assert len(_only_member(TarSource(iter(pieces)), FileFacts(b"/file", "file", 300, 0o644)).data) == 300
    with one_line():
        for path, member in TarNames(TarSource(iter(pieces)), b"/"):
            assert path.startswith(b"/")
            assert b"/../" not in path + b"/"
            assert member.size >= 0


@given(st.binary(max_size=400))
@OFTEN
def test_log_line_parses_or_is_dropped(raw: bytes) -> None:
    for log in (JsonLog, K8sLog):
        line = log.parse(log.__new__(log), raw)
        assert line is None or isinstance(line.text, bytes)


@given(st.lists(st.binary(max_size=80), max_size=8))
@SELDOM
def test_overwritten_act_is_not_listed(private_state: Path, lines: list[bytes]) -> None:
    from tui.files.history.backups import undo_records

    folder = private_state / "backups" / ("0" * 64) / "00000000000000000001"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "act.json").write_bytes(b"".join(lines))
    assert list(undo_records()) == []
    shutil.rmtree(private_state)
