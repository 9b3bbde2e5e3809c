"""Layers in which copy-up and deletions are ours to make: what dtui shows and does is what the driver makes of it.

On fuse-overlayfs a real engine is asked; the kernels of today have no aufs, so that there it is a captured data-root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.call_faults import failed_at, killed_at
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE, PREPARE
from tests.support.outcomes import ERRORS, assert_reported, assert_settled, prepare, sample_points
from tests.support.stopped_lab import CHANGED, Lab, of_aufs, of_box
from tui.core.errors import ChangedMeanwhile, EditRefused
from tui.files.history import backups
from tui.files.history import crash_recovery as recovering
from tui.files.tree import workspace
from tui.files.verbs import acts
from tui.files.verbs.copy import copy_in
from tui.files.verbs.save import save
from tui.files.write import without_kernel_overlay
from tui.files.write.below_root import Kept, SaveRequest, keeping_old
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

FIXTURES = Path(__file__).parents[1] / "fixtures"
LONG = tuple(letter * size for letter, size in (("a", 251), ("b", 252), ("c", 255)))
KEPT = b"/etc/.wh.motd"
LOOSE = ("old", "old/one", "etc", "etc/moved", "etc/moved/one")
KILLS, FAILURES = 12, 2
"""Calls of one act that are tried, the last ones among them; of those that fail, for each error."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    found = Dockerd("fuse-overlayfs")
    try:
        found.start()
        found.import_image("shop/base:1", {**FILES, **{f"long/{name}": b"of the image\n" for name in LONG}})
        found.layered_image(IMAGE, "shop/base:1", PREPARE, "echo three > /app/layer3.txt")
        yield found
    finally:
        found.close()


@pytest.fixture
def aufs(tmp_path: Path, private_state: Path) -> Iterator[Lab]:
    """A captured container whose image has names that aufs cannot hide, and what is deleted."""
    archive = FIXTURES / "data-roots" / "docker-20.10-aufs.tar.xz"
    root = tmp_path / "aufs"
    root.mkdir()
    subprocess.run(["/bin/tar", "-C", root, "--xattrs", "--xattrs-include=*", "-xf", archive], check=True)
    lab = of_aufs(root, private_state)
    image = lowest(lab)
    (image / "old/one").mkdir(parents=True)
    for name in ("old/kept", "old/gone", "old/edited", "old/one/two.txt"):
        (image / name).write_bytes(b"of the image\n")
    (image / "long").mkdir()
    for name in LONG:
        (image / "long" / name).write_bytes(b"of the image\n")
    (lab.layer / "old/one").mkdir(parents=True)
    (lab.layer / "old/edited").write_bytes(b"edited\n")
    for name in (".wh.gone", "mine"):
        (lab.layer / "old" / name).touch()
    lab.places |= {"delete": b"/old", "edited": b"/old/edited"}
    lab.loose = LOOSE
    lab.keep()
    yield lab
    lab.close()


@pytest.fixture
def fuse(boxes: Boxes, private_state: Path) -> Iterator[Lab]:
    """A container with marks of both kinds in its layer, for the driver makes files where mknod is not permitted."""
    lab = of_box(boxes(CHANGED + "; rm /old/one/two.txt; echo f > /old/one/f"), private_state)
    (lab.layer / "etc/motd").unlink()
    (lab.layer / "etc/.wh.motd").touch()
    lab.keep()
    lab.places["edited"] = b"/etc/app.conf"
    lab.loose = LOOSE
    yield lab
    lab.close()


@pytest.fixture
def own(engine: Dockerd, private_state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A data-root of the user's own, of overlay2."""
    monkeypatch.setattr(workspace, "privileged", lambda: False)
    monkeypatch.setattr(recovering, "privileged", lambda: False)
    lab = of_box(Boxes(engine)(CHANGED), private_state)
    lab.places["edited"] = b"/etc/app.conf"
    lab.loose = LOOSE
    yield lab
    lab.close()


@pytest.fixture(params=["fuse", "aufs", "own"])
def any_lab(request: pytest.FixtureRequest) -> Lab:
    found: Lab = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["fuse", "aufs"])
def lab(request: pytest.FixtureRequest) -> Lab:
    found: Lab = request.getfixturevalue(request.param)
    return found


def lowest(lab: Lab) -> Path:
    stack = lab.details.stack
    assert stack is not None
    return stack.layers[-1].path


def seen_by_both(box: Box, folder: str) -> set[str]:
    """Return the names that the started container and dtui see in a directory, which are the same."""
    ours = {os.fsdecode(name) for name in box.names(folder.encode())}
    box.start()
    theirs = set(box.sh(f"ls -A {folder}").split())
    box.stop()
    assert ours == theirs
    return theirs


# the driver's own names -----------------------------------------------------------------------------------------


def acts_on(lab: Lab, source: Path) -> list[Callable[[], object]]:
    inspect = lab.inspect
    return [
        lambda: acts.rename(lab.id, lab.places["save"], KEPT, inspect=inspect),
        lambda: acts.rename(lab.id, b"/app/new", KEPT, inspect=inspect),
        lambda: acts.rename(lab.id, lab.places["delete"], KEPT, inspect=inspect),
        lambda: acts.remove(lab.id, KEPT, inspect=inspect),
        lambda: save(lab.id, KEPT, b"", None, SaveOptions(create=True), inspect=inspect),
        lambda: acts.make_directory(lab.id, KEPT, inspect=inspect),
        lambda: acts.make_directory(lab.id, b"/fresh/.wh.x/y", inspect=inspect, parents=True),
        lambda: copy_in(lab.id, source / "plain", KEPT, inspect=inspect),
        lambda: copy_in(lab.id, source, b"/fresh", inspect=inspect),
    ]


def test_driver_reserved_name_is_refused(lab: Lab, tmp_path: Path) -> None:
    (lab.layer / "app/new").write_bytes(b"mine alone\n")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("plain", ".wh.plain"):
        (source / name).touch()
    old = lab.view(), sorted(lab.layer.rglob("*"))
    for act in acts_on(lab, source):
        with pytest.raises(EditRefused, match=r"^\.wh\.\w+ is a name that [-\w]+ keeps for itself; "):
            act()
    assert (lab.view(), sorted(lab.layer.rglob("*"))) == old
    assert list(backups.undo_records()) == []


# marks beside what they hide --------------------------------------------------------------------------------------


def test_entry_beside_its_whiteout_is_hidden(boxes: Boxes) -> None:
    box = boxes("mkdir /srv/both; echo u > /srv/both/f; ln -s x /srv/link; echo mine > /srv/file; echo s > /srv/shown")
    for name in ("both", "link", "file", "www"):
        (box.upper / "srv" / f".wh.{name}").touch()
    assert seen_by_both(box, "/srv") == {"shown"}
    for path in (b"/srv/file", b"/srv/both", b"/srv/both/f", b"/srv/link"):
        assert not box.exists(path)


@pytest.mark.parametrize("name", ["delete", "undo delete", "create", "rename", "revert"])
def test_killed_act_leaves_old_or_new(any_lab: Lab, name: str) -> None:
    act, old, new, found = prepare(any_lab, name)
    ends = []
    for point in sample_points(found, KILLS):
        any_lab.reset()
        assert killed_at(act, point).how == "killed", point
        ends.append(assert_settled(any_lab, old, new, point))
    assert {*ends} == {"old", "new"}


@pytest.mark.parametrize("name", ["delete", "undo delete", "create", "rename"])
def test_failed_call_reports_without_loss(any_lab: Lab, name: str) -> None:
    act, old, new, found = prepare(any_lab, name)
    for error in ERRORS:
        for point in sample_points(found[ERRORS.index(error) :], FAILURES):
            any_lab.reset()
            assert_reported(any_lab, old, new, failed_at(act, point, error), (point, error))


def test_immutable_file_stays_visible(any_lab: Lab) -> None:
    """It is marked first on aufs: the mark goes with the failure."""
    old = any_lab.view()
    path = any_lab.places["edited"]
    place = str(any_lab.layer / os.fsdecode(path).strip("/"))
    subprocess.run(["/usr/bin/chattr", "+i", place], check=True)
    try:
        with pytest.raises(
            EditRefused, match=r"^[\w/.]+ cannot be changed: it may be immutable; .* nothing was changed$"
        ):
            acts.remove(any_lab.id, path, inspect=any_lab.inspect)
        assert any_lab.view() == old
    finally:
        subprocess.run(["/usr/bin/chattr", "-i", place], check=True)
    assert list(backups.undo_records()) == []


# names to which no mark can be made ----------------------------------------------------------------------------


def test_names_too_long_for_whiteout_work(boxes: Boxes) -> None:
    box = boxes()
    assert seen_by_both(box, "/long") == {*LONG}
    for name in LONG:
        box.remove(b"/long/" + name.encode())
    assert seen_by_both(box, "/long") == set()
    for _ in LONG:
        box.undo()
    assert seen_by_both(box, "/long") == {*LONG}
    box.rename(b"/long", b"/longer")
    assert seen_by_both(box, "/longer") == {*LONG}


def test_aufs_refuses_delete_of_long_name(aufs: Lab) -> None:
    old = aufs.view()
    assert {f"long/{name}" for name in LONG} < {*old}
    for path in (b"/long/" + LONG[1].encode(), b"/long"):
        with pytest.raises(EditRefused, match="aufs hides no name that long"):
            acts.remove(aufs.id, path, inspect=aufs.inspect, recursive=True)
        assert aufs.view() == old
    acts.remove(aufs.id, b"/long/" + LONG[0].encode(), inspect=aufs.inspect)
    assert f"long/{LONG[0]}" not in aufs.view()


def test_save_keeps_concurrent_write(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes("echo one > /srv/f")
    file = box.upper / "srv/f"

    @contextmanager
    def written_after(
        job: SaveRequest, canonical_path: bytes, old: int | None, *, in_place: bool = False
    ) -> Iterator[Kept]:
        with keeping_old(job, canonical_path, old, in_place=in_place) as kept:
            file.write_text("theirs\n")
            yield kept

    monkeypatch.setattr(without_kernel_overlay, "keeping_old", written_after)
    with pytest.raises(ChangedMeanwhile, match="/srv/f was changed meanwhile"):
        box.write(b"/srv/f", b"mine\n")
    assert file.read_text() == "theirs\n"
