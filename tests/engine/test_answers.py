"""Answers of Engines, bit by bit: lists, lines, records. Whatever comes is understood or one of our errors."""

from __future__ import annotations

import itertools
import json
import struct
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.hostile_engine import ID, inspected, row
from tui.core.errors import DtuiError, EngineError
from tui.core.records import Driver, DriverKind, State
from tui.engine.live import answers, containerd, parse, tar
from tui.engine.log_lines import LogParser

DRIVER = Driver(DriverKind.GRAPH, "overlay2")
OFTEN = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(ID) | st.just(1e300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """Yield data in pieces that end at these places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


# lists and lines ---------------------------------------------------------------------------------------------


@OFTEN
@given(st.lists(odd, max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_truncated_list_yields_rows_so_far(values: list[Any], places: list[int]) -> None:
    data = json.dumps(values, allow_nan=False, default=str) if _plain(values) else "[]"
    wanted = json.loads(data)
    assert list(answers.rows(cut(data.encode(), places), 100)) == wanted


def test_number_cut_in_two_is_one_number() -> None:
    assert list(answers.rows([b"[1e", b"+30, 1.", b"5, 1", b"2]"], 100)) == [1e30, 1.5, 12]


def _plain(value: Any) -> bool:
    """Say whether a value is the same after it was written and read: no number that no Engine means."""
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    if isinstance(value, float):
        return abs(value) < 1e308
    return not isinstance(value, int) or len(str(value)) < 20


@OFTEN
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
@example(b"[1,,2]", [])
@example(b'["\\', [])
@example(b"[" * 5000, [7])
def test_any_list_bytes_are_rows_or_refused(data: bytes, places: list[int]) -> None:
    with suppress(EngineError):
        list(answers.rows(cut(data, places), 100))


@pytest.mark.promise("one-odd-row-costs-one-row")
@pytest.mark.parametrize(
    "bad",
    ["[" * 3000 + "]" * 3000, '{"a" 1}', '{"a": "' + "x" * (6 << 20) + '"}', '{"]":"\\"]", nope}', "nope"],
    ids=["deep", "no colon", "too long", "bracket in text", "bare word"],
)
def test_invalid_json_row_hides_no_other(bad: str) -> None:
    body = f'[{{"a": 1}}, {bad}, {{"b": 2}}]'.encode()
    found = list(answers.rows((body[at : at + 1000] for at in range(0, len(body), 1000)), 100))
    assert [found[0], found[2]] == [{"a": 1}, {"b": 2}]
    assert isinstance(found[1], answers.Malformed)


@pytest.mark.promise("answers-bounded")
@pytest.mark.parametrize(
    "body",
    [b"null", b"{}", b'"x"', b"7", b"", b"[", b"[1", b"[1,", b"[1 2]", b"[" + b" " * (1 << 20), b"[" + b"1," * 101],
    ids=["null", "object", "text", "number", "nothing", "open", "cut", "comma", "no comma", "spaces", "many"],
)
def test_invalid_list_is_refused(body: bytes) -> None:
    with pytest.raises(EngineError):
        list(answers.rows([body], 100))


def test_null_list_may_be_empty() -> None:
    assert list(answers.rows([b" nu", b"ll\n"], 100, null_is_empty=True)) == []


@pytest.mark.promise("streams-bounded")
def test_line_without_end_is_refused() -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield b"x" * 1000

    with pytest.raises(EngineError, match="a line of more than"):
        list(answers.lines(pieces()))
    assert sent < 2 << 20


@OFTEN
@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(0, 100), max_size=9))
def test_lines_survive_any_chunking(parts: list[bytes], places: list[int]) -> None:
    data = b"\n".join(parts)
    assert list(answers.lines(cut(data, places))) == [part.strip() for part in data.split(b"\n") if part.strip()]


def test_absurd_numbers_become_none() -> None:
    assert answers.decode_json(b"[NaN, Infinity, %s]" % (b"9" * 5000)) == [None, None, None]


def test_byte_by_byte_log_line_is_bounded() -> None:
    parser, lines = LogParser(), []
    for _ in range(200_000):
        lines += parser.feed(b"x")
    assert max(len(line.text) for line in lines) <= (64 << 10) + 1


# records -----------------------------------------------------------------------------------------------------


@pytest.mark.promise("answers-parsed-at-border")
@OFTEN
@given(odd, st.sampled_from(sorted(inspected())), st.sampled_from(sorted(row())))
def test_any_json_is_a_record_or_our_error(value: Any, field: str, column: str) -> None:
    bodies = [value, {**inspected(), field: value}, {**row(), column: value}]
    for body in bodies:
        for parser in (
            lambda b: parse.facts_of("e", b, b),
            lambda b: parse.container_of(b, "e", DRIVER),
            lambda b: parse.inspected_container(b, "e", DRIVER),
            parse.mounts_of,
            parse.settings_of,
            parse.ports_of,
            parse.argv_of,
            parse.pid_of,
            parse.is_tty,
            parse.event_of,
            parse.change_of,
        ):
            with suppress(DtuiError):
                parser(body)
        listed = parse.listed_container(body, "e", DRIVER)
        assert len(listed.id) == 64
        assert isinstance(listed.created, datetime)


@pytest.mark.promise("one-odd-row-costs-one-row")
@pytest.mark.parametrize(
    "change",
    [
        {"Names": None},
        {"Names": [7]},
        {"Created": -1},
        {"Created": 1e300},
        {"Created": True},
        {"Created": "yesterday"},
        {"Created": 10**18},
        {"Ports": [{"PrivatePort": "80"}]},
        {"Ports": "all"},
        {"Labels": {str(number): "x" for number in range(100_000)}},
        {"Labels": None, "Mounts": None, "NetworkSettings": 7},
        {"SizeRw": -1},
        {"State": 7, "Status": None},
        {"Image": ["x"], "Command": {}},
    ],
    ids=str,
)
def test_malformed_column_keeps_row_listed(change: dict[str, Any]) -> None:
    found = parse.listed_container({**row(), **change}, "e", DRIVER)
    assert found.id == ID
    assert found.name in ("web", ID[:12])


@pytest.mark.promise("one-odd-row-costs-one-row")
@pytest.mark.parametrize(
    "bad", [None, 7, "x", [], {}, {"Id": 7}, {"Id": "../../x"}, answers.Malformed("deep")], ids=str
)
def test_row_without_id_is_listed_as_unknown(bad: object) -> None:
    found = parse.listed_container(bad, "e", DRIVER)
    assert found.state is State.UNKNOWN
    assert found.status


@pytest.mark.parametrize("kind", [3, -1, "0", None, 0.0, True, 10**30])
def test_change_of_invalid_kind_is_refused(kind: object) -> None:
    with pytest.raises(EngineError):
        parse.change_of({"Path": "/x", "Kind": kind})


@pytest.mark.parametrize("path", [7, "x", None, "", "/a/../../b", "/a\0b", "/\ud800"])
def test_change_of_invalid_path_is_refused(path: object) -> None:
    with pytest.raises(EngineError):
        parse.change_of({"Path": path, "Kind": 0})


# tars --------------------------------------------------------------------------------------------------------


def packed(**fields: Any) -> bytes:
    """Return a tar of one member with these fields, as tarfile writes it."""
    out, data = BytesIO(), fields.pop("data", b"")
    with tarfile.open(fileobj=out, mode="w", format=fields.pop("format", tarfile.PAX_FORMAT)) as archive:
        member = tarfile.TarInfo(fields.pop("name", "f"))
        member.size = len(data)
        for key, value in fields.items():
            setattr(member, key, value)
        archive.addfile(member, BytesIO(data))
    return out.getvalue()


def header(kind: bytes, size: bytes, **places: tuple[int, bytes]) -> bytes:
    """Return a header block with a right checksum; ``places`` overwrite bytes of it."""
    block = bytearray(512)
    block[0:1], block[100:107], block[124:136], block[156:157] = b"f", b"0000644", size, kind
    block[257:265] = b"ustar\x0000"
    for at, data in places.values():
        block[at : at + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def members(data: bytes) -> list[tar.Member]:
    return list(tar.Members(tar.TarSource(iter([data]))))


@OFTEN
@given(st.text(min_size=1, max_size=300), st.binary(max_size=2000), st.integers(0, 2**32 - 1), st.integers(0, 2**33))
def test_tar_is_read_as_tarfile_wrote_it(name: str, data: bytes, uid: int, mtime: int) -> None:
    name = "n" + name.replace("\0", "").encode("utf-8", "ignore").decode().strip("/")
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        (member,) = members(packed(name=name, data=data, uid=uid, mtime=mtime, format=form, linkname=""))
        assert (member.name.decode(), member.size, member.uid, member.mtime) == (name, len(data), uid, mtime)


def test_tar_attributes_and_links_are_read() -> None:
    (member,) = members(packed(pax_headers={"SCHILY.xattr.user.a": "b=c\n"}, mtime=1.75))
    assert (member.attributes, member.mtime) == ({"SCHILY.xattr.user.a": "b=c\n"}, 1)
    (link,) = members(packed(type=tarfile.SYMTYPE, linkname="l" * 300, mtime=-5, format=tarfile.GNU_FORMAT))
    assert (link.link, link.mtime, link.size) == (b"l" * 300, -5, 0)


@pytest.mark.promise("answers-bounded")
@pytest.mark.parametrize(
    "data",
    [
        header(b"x", b"27777777777"),
        header(b"L", b"27777777777"),
        header(b"g", b"00010000000") * 3,
        header(b"0", b"\xff" * 12),
        header(b"0", b"\x80" + b"\xff" * 11),
        header(b"S", b"00000000000"),
        header(b"0", b"-0000000001"),
        header(b"0", b"00000000000", uid=(108, b"\x80" + b"\xff" * 7)),
        header(b"0", b"00000000000", name=(0, b"\0")),
        header(b"?", b"00000000000"),
        b"no tar at all" * 100,
        packed(pax_headers={"mtime": "inf"}),
        packed(pax_headers={"mtime": "nan"}),
        packed(pax_headers={"size": "-1"}),
        packed(pax_headers={"uid": "99999999999"}),
        packed(pax_headers={"GNU.sparse.map": "0,1,2,3"}),
        packed(pax_headers={"path": "a\0b"}),
    ],
)
def test_invalid_tar_header_is_refused(data: bytes) -> None:
    with pytest.raises(tar.TarError):
        members(data + bytes(1024))


@OFTEN
@given(st.binary(max_size=1600), st.integers(0, 1), st.lists(st.tuples(st.integers(0, 1535), st.binary(max_size=9))))
def test_any_bytes_are_members_or_refused(data: bytes, real: int, damage: list[tuple[int, bytes]]) -> None:
    body = bytearray(packed(data=b"x" * 400, pax_headers={"mtime": "5.5"}) if real else data)
    for at, new in damage:
        body[at : at + len(new)] = new
    with suppress(tar.TarError):
        assert all(member.size >= 0 for member in members(bytes(body)))


def test_tar_times_stay_within_calendar() -> None:
    for mtime in ("9" * 25, "-" + "9" * 25):
        (member,) = members(packed(pax_headers={"mtime": mtime}))
        datetime.fromtimestamp(member.mtime, UTC)


# containerd --------------------------------------------------------------------------------------------------


@OFTEN
@given(st.binary(max_size=200))
def test_any_protobuf_is_fields_or_refused(data: bytes) -> None:
    with suppress(DtuiError):
        list(containerd._fields(data))


def test_log_frame_is_read_in_pieces() -> None:
    from tui.engine.live.sdk import ErrorChunk, _frames

    asked: list[int] = []
    body = BytesIO(struct.pack(">BxxxL", 2, 2**32 - 1) + b"some")

    def read(size: int) -> bytes:
        asked.append(size)
        return body.read(size)

    found = list(_frames(read))
    assert found == [b"some"]
    assert isinstance(found[0], ErrorChunk)
    assert max(asked) <= 64 << 10
