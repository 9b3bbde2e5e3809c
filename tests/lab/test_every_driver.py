"""The same small plan and the copy-on-write suite on every storage driver that this host can run."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.lab.test_engines import traces
from tests.support.cli import dtui, dtui_json
from tui.bench.archives import image_archive, image_name
from tui.bench.cow_suite import QUICK, CowPlan, CowTest
from tui.bench.plan import TESTS
from tui.lab.engine_host import EngineBenchHost
from tui.lab.engines import LAB_DRIVERS, LabDaemon, sweep_labs

pytestmark = [pytest.mark.engine, pytest.mark.iozone]

IN_GUEST = bool(os.environ.get("DTUI_GUEST"))
"""Whether this is the machine of tests/guest: slow, able to do what few kernels are, and with nothing else on it."""

MUST = (
    ("overlay2", "overlay2-xfs", "devicemapper", "zfs")
    if IN_GUEST
    else ("overlay2", "overlay", "vfs", "btrfs", "fuse-overlayfs")
)

SIZES = (64, 1024)
COW = CowPlan((64, 16384), (1, 5), 1) if IN_GUEST else QUICK


@dataclass
class Measured:
    """One run on every driver, and what was found on the host after it."""

    drivers: list[str]
    run: dict[str, Any]
    left: list[str]

    def values(self, target: str, test: CowTest) -> list[float]:
        rows = self.run["copy_on_write"]
        return [one["value"] for one in rows if (one["target"], one["measure"]) == (target, test.title)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Run the small plan and the copy-on-write suite once."""
    with pytest.MonkeyPatch.context() as patch:
        state = tmp_path_factory.mktemp("measured")
        patch.setenv("DTUI_STATE", str(state))
        able = [row["name"] for row in dtui_json("drivers") if row["runs"]]
        assert set(able) >= set(MUST)
        drivers = list(MUST) if IN_GUEST else able
        arguments = [word for driver in drivers for word in ("--driver", driver)]
        arguments += [word for kb in SIZES for word in ("--size", f"{kb}k")]
        arguments += [word for kb in COW.sizes for word in ("--cow-size", f"{kb}k")]
        arguments += [word for depth in COW.depths for word in ("--cow-depth", str(depth))]
        arguments += ["--repeat", str(COW.repeats), "--suite", "all", "--yes", "--json"]
        run = dtui("bench", "run", *arguments, seconds=1200)
        yield Measured(drivers, json.loads(run), traces(state) + devices())


def test_same_plan_measures_every_driver(measured: Measured) -> None:
    run = measured.run
    assert run["complete"], run["problem"]
    targets = [*measured.drivers, f"{measured.drivers[0]} again", "host"]
    assert list(run["targets"]) == targets
    storage = {driver.name: driver.storage for driver in LAB_DRIVERS}
    assert [run["targets"][name]["driver"] for name in measured.drivers] == [storage[name] for name in measured.drivers]
    for name in targets:
        mine = [one for one in run["samples"] if one["target"] == name]
        assert sorted((one["repeat"], one["test"], one["file_kb"]) for one in mine) == iozone_numbers(), name
        assert all(one["kb_per_s"] > 0 for one in mine), name
    for name in targets[:-1]:
        mine = [one for one in run["copy_on_write"] if one["target"] == name]
        assert sorted((one["repeat"], one["measure"], one["x"]) for one in mine) == cow_numbers(), name
        assert all(one["value"] > 0 or one["measure"] == CowTest.SECOND_READER.title for one in mine), name


def iozone_numbers() -> list[tuple[int, str, int]]:
    """Return which numbers IOzone gives of a target: repeat, test, file size."""
    return sorted((repeat, test.value, kb) for repeat in range(1, COW.repeats + 1) for test in TESTS for kb in SIZES)


def cow_numbers() -> list[tuple[int, str, int]]:
    """Return which numbers the copy-on-write suite gives of a target: repeat, measure, size or depth."""
    over = {"file": COW.sizes, "layers": COW.depths, "": (0,)}
    return sorted(
        (repeat, test.title, x)
        for repeat in range(1, COW.repeats + 1)
        for test in CowTest
        for x in ((max(COW.sizes),) if test is CowTest.SECOND_READER else over[test.axis])
    )


def test_measured_drivers_leave_no_traces(measured: Measured) -> None:
    assert measured.left == []
    assert not [notice for notice in measured.run["notices"] if "cleaned up" in notice]


def devices() -> list[str]:
    """Return the pools and devices of a machine that has none of its own."""
    tools = (["zpool", "list", "-H"], ["zfs", "list", "-H"], ["dmsetup", "ls"], ["losetup", "-a"])
    output = [subprocess.run(tool, capture_output=True, text=True, check=True) for tool in tools if IN_GUEST]
    nodes = [str(path) for path in Path("/dev/mapper").glob("*") if IN_GUEST and path.name != "control"]
    return nodes + [line for one in output for line in one.stdout.splitlines() if line != "No devices found"]


KILLED = (
    {
        "devicemapper": ("devicemapper", True),
        "devicemapper without udevd": ("devicemapper", False),
        "zfs": ("zfs", True),
    }
    if IN_GUEST
    else {"overlay2": ("overlay2", True), "btrfs": ("btrfs", True)}
)


@pytest.fixture
def udev(request: pytest.FixtureRequest) -> Iterator[bool]:
    """With udevd or without, as in a container: then nobody else looks after the nodes of devices."""
    if not request.param:
        subprocess.run(["udevadm", "control", "--exit"], check=True)
        Path("/run/udev/control").unlink(missing_ok=True)
    yield request.param
    if not request.param:
        subprocess.run(["/lib/systemd/systemd-udevd", "--daemon"], check=True)


@pytest.mark.parametrize(("name", "udev"), KILLED.values(), ids=KILLED, indirect=["udev"])
def test_sweep_removes_killed_engine(
    name: str, udev: bool, private_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_of_the_dead = f"{secrets.token_hex(4)}.another-boot.1.1"  # of a dtui that is gone
    monkeypatch.setattr("tui.lab.engines.owned_name", lambda: name_of_the_dead)
    driver = next(one for one in LAB_DRIVERS if one.name == name)
    lab = LabDaemon(driver, private_state / "lab", 12 << 30)
    lab.start()
    workshop = EngineBenchHost(lab.endpoint)
    with image_archive(2, (64,), tmp_path) as archive:
        workshop.load_image(archive)
    holder = workshop.start_container(image_name(2, (64,)), {})
    lab.endpoint.close()
    for program in ("dockerd", "containerd", "containerd-shim"):
        for pid in named(program, lab.run_directory):
            os.kill(pid, signal.SIGKILL)
    assert Path(f"/proc/{holder.pid}").exists()
    assert [line.partition(" (")[0] for line in sweep_labs(private_state / "lab")] == [
        "removed the throwaway engine of a killed benchmark"
    ]
    assert traces(private_state) + devices() == []
    assert not Path(f"/proc/{holder.pid}/exe").exists()


def named(program: str, run: Path) -> list[int]:
    """Return the processes of a program that names a lab's sockets."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        arguments = b""
        with suppress(OSError):  # it has ended meanwhile
            arguments = (entry / "cmdline").read_bytes()
        program_of = arguments.partition(b"\0")[0]
        if os.path.basename(program_of).startswith(program.encode()) and f"{run}/".encode() in arguments:
            found.append(int(entry.name))
    return found


def test_only_overlay_shares_page_cache(measured: Measured) -> None:
    together = measured.values("overlay2", CowTest.SECOND_READER)
    apart = measured.values("devicemapper" if IN_GUEST else "btrfs", CowTest.SECOND_READER)
    assert len(together) == len(apart) == COW.repeats
    whole = max(COW.sizes) / 1024
    assert median(together) < whole / 2
    assert median(apart) > whole * 0.75
