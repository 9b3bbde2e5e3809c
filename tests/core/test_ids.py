"""Ids of a container and of its host: which stands for which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.core.id_maps import HOST_IDS, IdMap, Span, host_id, id_ranges, parse_id_map, shown_id
from tui.core.records import EntryKind
from tui.drivers.users import ids_of_record, ids_of_root
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.verbs.permissions import id_named, owner_change

TWO = (Span(0, 1000, 1), Span(1, 100_000, 65_536))


@pytest.mark.parametrize(("inside", "host"), [(0, 1000), (1, 100_000), (65_536, 165_535)])
def test_container_ids_map_to_host_and_back(inside: int, host: int) -> None:
    assert host_id(TWO, inside) == host
    assert shown_id(TWO, host) == inside


def test_id_outside_map_is_unmapped() -> None:
    assert [host_id(TWO, number) for number in (65_537, 2**32 - 2)] == [None, None]
    assert [shown_id(TWO, number) for number in (0, 999, 1001, 99_999, 165_536)] == [None] * 5


def test_kernel_id_map_is_parsed() -> None:
    assert parse_id_map("         0       1000          1\n         1     100000      65536\n") == TWO
    assert id_ranges(TWO) == "0 to 0, 1 to 65536"
    assert IdMap(parse_id_map("0 0 4294967295\n"), parse_id_map("0 0 4294967295\n")) == HOST_IDS


def test_root_name_with_ids_means_remapped() -> None:
    found = ids_of_root(Path("/var/lib/docker/987654.123456"))
    assert found == IdMap((Span(0, 987_654, 65_536),), (Span(0, 123_456, 65_536),))
    assert ids_of_root(Path("/var/lib/docker/20.10.24")) is None
    assert ids_of_root(Path("/var/lib/docker")) is None


def test_record_without_map_uses_host_ids() -> None:
    assert ids_of_record({}) == HOST_IDS
    users = [{"container_id": 0, "host_id": 1000, "size": 1}, {"container_id": 1, "host_id": 100_000, "size": 65_536}]
    assert ids_of_record({"uidmap": users, "gidmap": None}) == IdMap(TWO, HOST_IDS.groups)


def test_owner_change_maps_ids_to_host() -> None:
    def number(name: str) -> int:
        return id_named(name, b"www:x:33:33::/:/bin/sh\n", "user")

    node = EntrySnapshot(b"/f", EntryKind.FILE, 0o644, 7, 8)
    ids = IdMap(TWO, HOST_IDS.groups)
    changed = owner_change("www", number, number, ids)(node)
    assert (changed.uid, changed.gid) == (100_032, 8)
    changed = owner_change(":5", number, number, ids)(node)
    assert (changed.uid, changed.gid) == (7, 5)
    with pytest.raises(UsageError, match="no user 70000"):
        owner_change("70000", number, number, ids)
