"""The same small plan and the copy-on-write suite on every storage driver that this host can run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import dtui, dtui_json

pytestmark = pytest.mark.iozone

MUST = {"overlay2", "overlay", "vfs", "btrfs", "fuse-overlayfs"}


def test_every_driver_that_runs_here_is_measured_by_the_same_plan(private_state: Path) -> None:
    able = {row["name"]: row for row in dtui_json("drivers")}
    assert {name for name, row in able.items() if row["runs"]} >= MUST, able
    chosen = [name for name, row in able.items() if row["runs"]]
    words = [word for driver in chosen for word in ("--driver", driver)]
    plan = ["--size", "64k", "--size", "1m", "--repeat", "1", "--suite", "all", "--yes"]
    run = json.loads(dtui("bench", "run", *words, *plan, "--json", seconds=1200))
    assert run["complete"], run["problem"]
    targets = [*chosen, f"{chosen[0]} again", "host"]
    assert list(run["targets"]) == targets
    for name in targets:
        assert len([one for one in run["samples"] if one["target"] == name]) == 2 * 6
    for name in targets[:-1]:
        found = {(one["measure"], one["x"]): one["value"] for one in run["copy_on_write"] if one["target"] == name}
        assert all(value >= 0 for value in found.values())
        assert ("first append", 65536) in found
        assert ("container start", 20) in found
    assert not list((private_state / "lab").iterdir())


def test_a_second_reader_shares_the_page_cache_on_overlay_and_not_on_btrfs() -> None:
    words = ["--driver", "overlay2", "--driver", "btrfs", "--suite", "cow", "--no-controls"]
    run = json.loads(dtui("bench", "run", *words, "--json"))
    grown = {
        target: sorted(
            one["value"] for one in run["copy_on_write"] if (one["target"], one["measure"]) == (target, "second reader")
        )
        for target in ("overlay2", "btrfs")
    }
    assert [len(values) for values in grown.values()] == [3, 3]
    assert grown["overlay2"][1] < 32
    assert grown["btrfs"][1] > 48
