"""Ids of containers and layers: what is none never becomes a file name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.cli.ls import _as_json
from tui.core.ids import BadId, ContainerId, LayerId
from tui.core.records import AccessKind, Driver, DriverKind, LayerAccess, State
from tui.core.state import container_lock
from tui.engine.live import parse

pytestmark = pytest.mark.promise("ids-checked-at-border")

DRIVER = Driver(DriverKind.GRAPH, "overlay2")
HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    ["../../x", "", ".", "..", "a" * 63, "a" * 65, "A" * 64, f"{'a' * 63}/", f"{'a' * 63}\n", None, 7, HEX.encode()],
)
def test_engine_ids_are_64_hex_digits(text: object) -> None:
    with pytest.raises(BadId, match="is not a container id"):
        ContainerId(text)


@pytest.mark.parametrize("text", ["web", "web-1", "a.b_c", "x" * 76, HEX])
def test_containerd_id_grammar_is_accepted(text: str) -> None:
    assert ContainerId.of_containerd(text) == text


@pytest.mark.parametrize("text", ["", ".web", "web.", "a..b", "a/b", "x" * 77, "web\n", "wéb"])
def test_invalid_containerd_id_is_refused(text: str) -> None:
    with pytest.raises(BadId):
        ContainerId.of_containerd(text)


@given(st.text())
def test_no_accepted_id_leaves_its_directory(text: str) -> None:
    for kind in (ContainerId, ContainerId.of_containerd, LayerId):
        try:
            accepted = kind(text)
        except BadId:
            continue
        assert "/" not in accepted
        assert "\0" not in accepted
        assert not accepted.startswith(".")
        assert len(accepted) <= 76


def test_container_with_bad_id_stays_listed() -> None:
    row = parse.listed_container({"Id": "../../x", "Names": ["/web"], "State": "running"}, "local", DRIVER)
    assert (row.name, row.state) == ("web", State.UNKNOWN)
    assert "../../x" in row.status
    assert ContainerId(row.id) == row.id


def test_lock_requires_a_checked_id() -> None:
    assert container_lock.__wrapped__.__annotations__["container_id"] == "ContainerId"  # type: ignore[attr-defined]


def test_impossible_numbers_are_null_in_json() -> None:
    row = parse.listed_container({"Id": HEX, "Names": ["/web"], "Created": 0, "SizeRw": 0}, "local", DRIVER)
    shown = _as_json(replace(row, size_rw=None), LayerAccess(AccessKind.NONE, "none"), None)
    assert (shown["created"], shown["size_rw"], shown["trust"]) == (None, None, "unproven")
