"""Every act cut off or failing at every system call by which it changes something: old or new, and nothing lies about.

A save is cut off at each of its calls. Of the longer acts, and of the calls that fail, a share spread evenly is tried
unless ``DTUI_FAULT_POINTS=all``.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tests.support.call_faults import failed_at, killed_at
from tests.support.outcomes import ERRORS, assert_reported, assert_settled, prepare, sample_points
from tests.support.stopped_lab import ACTS, CHANGED, UNDONE, Lab, of_aufs, of_box
from tui.core.errors import DtuiError
from tui.files.history.crash_recovery import recover
from tui.files.tree import scratch
from tui.files.ways import LayerFiles

pytestmark = pytest.mark.engine

FIXTURES = Path(__file__).parents[1] / "fixtures"
EVERY = (*ACTS, *(f"undo {name}" for name in UNDONE))
KILLS, FAILURES = 8, 2
"""Calls of one act that are tried, for each error; the last ones are always among them."""


@pytest.fixture
def docker_lab(boxes: Boxes, private_state: Path) -> Iterator[Lab]:
    lab = of_box(boxes(CHANGED), private_state)
    yield lab
    lab.close()


@pytest.fixture
def aufs_lab(tmp_path: Path, private_state: Path) -> Iterator[Lab]:
    archive = FIXTURES / "data-roots" / "docker-20.10-aufs.tar.xz"
    root = tmp_path / "aufs"
    root.mkdir()
    subprocess.run(["/bin/tar", "-C", root, "--xattrs", "--xattrs-include=*", "-xf", archive], check=True)
    lab = of_aufs(root, private_state)
    yield lab
    lab.close()


def cut_off_everywhere(lab: Lab, name: str) -> None:
    act, old, new, found = prepare(lab, name)
    ends: Counter[str] = Counter()
    for point in found if "save" in name else sample_points(found, KILLS):
        lab.reset()
        assert killed_at(act, point).how == "killed", point
        ends[assert_settled(lab, old, new, point)] += 1
    print(f"\n{lab.layer.parent.parent.name}: {name} killed at {len(found)} calls: {dict(ends)}")
    assert ends["old"]
    assert ends["new"]


def fails_everywhere(lab: Lab, name: str) -> None:
    act, old, new, found = prepare(lab, name)
    for error in ERRORS:
        ends: Counter[str] = Counter()
        said: set[str] = set()
        for point in sample_points(found[ERRORS.index(error) :], FAILURES):
            lab.reset()
            ended = failed_at(act, point, error)
            ends[assert_reported(lab, old, new, ended, (point, error))] += 1
            said.add(ended.message)
        print(f"\n{name} with {error}: {dict(ends)}: {sorted(said)[-1][:100]!r}")
        assert ends


@pytest.mark.case(25)
@pytest.mark.parametrize("name", EVERY)
def test_killed_act_leaves_old_or_new(docker_lab: Lab, name: str) -> None:
    cut_off_everywhere(docker_lab, name)


@pytest.mark.case(25)
@pytest.mark.parametrize("name", EVERY)
def test_killed_own_copy_up_is_old_or_new(aufs_lab: Lab, name: str) -> None:
    cut_off_everywhere(aufs_lab, name)


@pytest.mark.promise("killed-anywhere-old-or-new")
@pytest.mark.parametrize("name", ["delete", "undo delete", "undo revert", "rename", "copy in"])
def test_killed_long_act_leaves_old_or_new(docker_lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(scratch, "_SYNCED_ALONE", 0)  # as after many entries: all is made durable at the end
    cut_off_everywhere(docker_lab, name)


@pytest.mark.parametrize("name", EVERY)
def test_failed_call_reports_without_loss(docker_lab: Lab, name: str) -> None:
    fails_everywhere(docker_lab, name)


@pytest.mark.parametrize("name", EVERY)
def test_failed_copy_up_reports_without_loss(aufs_lab: Lab, name: str) -> None:
    fails_everywhere(aufs_lab, name)


def test_second_recovery_does_nothing(docker_lab: Lab) -> None:
    with pytest.raises(DtuiError):
        LayerFiles(docker_lab.details, docker_lab.inspect).open(b"/nothing")
    assert recover(docker_lab.inspect) == ()
