"""All that a file has beside its bytes goes through every act and comes back with every undo, wherever the file is."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.files.test_recovery import cut_off, of_its_own
from tests.support.attribute_tree import Facts, build, facts, place_of, seen, without_times
from tests.support.boxes import Box, Boxes
from tests.support.checksums import tree_checksum
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.tree_state import CAPABILITY, acl
from tui.core.id_maps import HOST_IDS
from tui.files.history.backups import UndoKind
from tui.files.history.crash_recovery import recover
from tui.files.tree import workspace
from tui.files.verbs.acts import change_metadata, make_directory
from tui.files.verbs.copy import copy_in
from tui.files.verbs.permissions import mode_change, owner_change
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")

MARKED = "shop/marked:1"


@pytest.fixture
def marked(boxes: Boxes, daemon: Dockerd) -> Iterator[str]:
    """An image with the tree in its topmost layer, which is the very same afterwards."""
    daemon.layered_image(MARKED, IMAGE, "mkdir /m")
    daemon.docker("create", "--network=none", "--name=marked", MARKED, "true")
    layer = daemon.image_layers("marked")[1]  # the first is the container's own init layer
    build(layer / "m")
    before = facts(layer / "m"), tree_checksum([layer])
    yield MARKED
    assert (facts(layer / "m"), tree_checksum([layer])) == before
    for container in daemon.docker("ps", "-aq").split():
        daemon.docker("rm", "-f", container)
    daemon.docker("rmi", "-f", MARKED)


def box_with_tree(boxes: Boxes, *, alive: bool) -> Box:
    """Return a box that made the tree in its own layer."""
    box = boxes("mkdir /m", alive=alive)
    build(place_of(box) / "m")
    return box


def whole(box: Box, *, but: tuple[str, ...] = ()) -> Facts:
    """Return all of the tree but the times of the directories in which names come and go."""
    found = seen(box, "/m", but=but)
    for place in (".", "acl"):
        found[place].pop("time", None)
    return found


def change(box: Box, path: bytes, kind: UndoKind, wanted: str) -> None:
    how = mode_change(wanted) if kind is UndoKind.CHMOD else owner_change(wanted, int, int, HOST_IDS)
    change_metadata(box.id, path, how, kind, inspect=box.inspect, recursive=True)


def kept_of(one: dict[str, Any], kind: UndoKind) -> dict[str, bytes]:
    """Return the attributes that a change of mode or owner leaves: a mode is the mask of an ACL, too."""
    gone = "system.posix_acl_access" if kind is UndoKind.CHMOD else "security.capability"
    return {name: value for name, value in one["attributes"].items() if name != gone}


def every_act_keeps_and_every_undo_brings_back(
    box: Box, host: Path, *, from_image: bool = False, by_hand: bool = False
) -> None:
    but = ("names",) if from_image else ()  # copy-up makes two files of one with two names, whoever changes its mode
    before = whole(box)

    def taken_back() -> None:
        box.undo()
        assert whole(box) == before

    assert before["tool"]["attributes"].keys() >= {"security.capability", "system.posix_acl_access", "user.note"}
    for place in ("tool", "acl/bare"):
        for in_place in (False, True):
            receipt = box.files.save(b"/m/" + place.encode(), b"new\n", None, SaveOptions(in_place=in_place))
            assert receipt.in_place is in_place
            assert whole(box)[place] == {**before[place], "bytes": b"new\n", "time": whole(box)[place]["time"]}
            taken_back()
    for path, goal in ((b"/m/tool", b"/srv/tool"), (b"/m/dir", b"/srv/dir")):
        old = seen(box, path.decode())
        outcome = box.rename(path, goal)
        assert outcome.count == (len(old) if from_image and path == b"/m/dir" else 1)  # which is copied, for EXDEV
        assert seen(box, goal.decode()) == old
        assert path[3:].decode() not in whole(box)
        taken_back()
    for path in (b"/m/tool", b"/m/dir"):
        box.remove(path, recursive=True)
        assert not box.exists(path)
        taken_back()
    (host / "tool").write_bytes(b"from the host")
    copy_in(box.id, host / "tool", b"/m/tool", inspect=box.inspect)
    assert (whole(box)["tool"]["bytes"], whole(box)["tool"]["attributes"]) == (b"from the host", {})
    taken_back()
    before = whole(box, but=but)
    for kind, wanted in ((UndoKind.CHMOD, "u-s,g+w,o-rwx"), (UndoKind.CHOWN, "98:99")):
        change(box, b"/m", kind, wanted)
        changed = whole(box)
        for place, one in changed.items():
            assert one["owner"] == (before[place]["owner"] if kind is UndoKind.CHMOD or one["target"] else (98, 99))
            assert one["bytes"] == before[place]["bytes"]
            assert kept_of(one, kind) == kept_of(before[place], kind)
        # as the kernel does it for everybody, a file that is given away loses what made it somebody's tool
        assert ("security.capability" in changed["tool"]["attributes"]) is (kind is UndoKind.CHMOD)
        assert changed["tool"]["mode"] == ("0o102770" if kind is UndoKind.CHMOD else "0o100775")
        assert changed["dir"]["mode"] == ("0o43770" if kind is UndoKind.CHMOD else "0o43775")
        box.undo()
        assert whole(box, but=but) == before


@pytest.mark.case(12)
@STATES
def test_acts_keep_metadata_of_layer_file(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    box = box_with_tree(boxes, alive=alive)
    every_act_keeps_and_every_undo_brings_back(box, tmp_path)


@pytest.mark.case(12, 18)
@UNION
@STATES
def test_acts_keep_metadata_of_image_file(boxes: Boxes, marked: str, tmp_path: Path, alive: bool) -> None:
    box = boxes(alive=alive, image=marked)
    every_act_keeps_and_every_undo_brings_back(box, tmp_path, from_image=True)


@pytest.mark.case(12, 18)
@UNION
def test_own_copy_up_keeps_metadata(boxes: Boxes, marked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "privileged", lambda: False)
    box = boxes(image=marked)
    every_act_keeps_and_every_undo_brings_back(box, tmp_path, from_image=True, by_hand=True)


INNER = {"d": "trusted.overlay.opaque", "d/f": "trusted.overlay.origin", "e": "user.overlay.opaque"}
"""What an engine in a container, or one without root, marks its own layers with."""


def marks_are_the_container_s(box: Box, top: Path, path: bytes) -> None:
    """Mark a directory as an engine inside would, and see its marks go through acts and undo."""
    for name in ("d", "e"):
        (top / name).mkdir()
        (top / name / "f").write_bytes(b"f\n")
    for name, mark in INNER.items():
        os.setxattr(top / name, mark, b"y")
    before = without_times(facts(top))
    assert all(mark in os.listxattr(top / name) for name, mark in INNER.items())

    def same_after(act: Callable[[], object]) -> None:
        act()
        box.undo()
        assert (without_times(facts(top)), [os.getxattr(top / name, mark) for name, mark in INNER.items()]) == (
            before,
            [b"y"] * 3,
        )

    same_after(lambda: box.remove(path, recursive=True))
    same_after(lambda: box.write(path + b"/d/f", b"new\n"))
    same_after(lambda: box.rename(path + b"/d", b"/app/moved"))  # by copying, where that is another file system
    same_after(lambda: box.chmod(path, "0711", recursive=True))
    box.write(path + b"/d/f", b"new\n")
    assert os.getxattr(top / "d" / "f", INNER["d/f"]) == b"y"


def test_overlay_xattrs_of_volume_survive(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "volume" / "inner").mkdir(parents=True)
    box = boxes("true", "-v", f"{tmp_path}/volume:/srv/www", alive=True)
    marks_are_the_container_s(box, tmp_path / "volume" / "inner", b"/srv/www/inner")


@pytest.mark.parametrize("daemon", ["vfs"], indirect=True, scope="session")
def test_overlay_xattrs_of_full_tree_survive(boxes: Boxes) -> None:
    box = boxes("mkdir /m")
    marks_are_the_container_s(box, place_of(box) / "m", b"/m")


NOBODY = 0xFFFFFFFF

GIVEN = {
    "named": acl(1234),
    "bits": struct.pack("<IHHIHHIHHI", 2, 1, 6, NOBODY, 4, 4, NOBODY, 32, 0, NOBODY),
    "nothing": b"",
}
"""What directories give to what is made in them: an ACL for one user more, one as bits would say it, none."""


def what_is_made_gets_what_the_kernel_gives(box: Box, host: Path) -> None:
    (host / "tree").mkdir(mode=0o755)
    (host / "tree" / "file").touch(mode=0o644)
    for name, default in GIVEN.items():
        folder = place_of(box) / "m" / name
        folder.mkdir()
        os.chown(folder, 5, 6)
        folder.chmod(0o2751)
        if default:
            os.setxattr(folder, "system.posix_acl_default", default)
        (folder / "kernel").mkdir(mode=0o755)
        (folder / "kernel" / "file").touch(mode=0o644)
        path = f"/m/{name}".encode()
        make_directory(box.id, path + b"/made", inspect=box.inspect)
        box.write(path + b"/made/file", b"", create=True)
        copy_in(box.id, host / "tree", path + b"/copied", inspect=box.inspect)
        found = seen(box, f"/m/{name}", but=("time", "names"))
        for place in ("", "/file"):
            kernel = {**found["kernel" + place], "owner": (5, 6)}
            assert (found["made" + place], found["copied" + place]) == (kernel, kernel), (name, place)
        for _ in range(3):
            box.undo()
        assert sorted(seen(box, f"/m/{name}")) == [".", "kernel", "kernel/file"]


@pytest.mark.case(12)
@STATES
def test_new_entries_match_kernel_defaults(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    what_is_made_gets_what_the_kernel_gives(boxes("mkdir /m", alive=alive), tmp_path)


@pytest.mark.case(12)
@UNION
def test_own_copy_up_matches_kernel_defaults(boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "privileged", lambda: False)
    what_is_made_gets_what_the_kernel_gives(boxes("mkdir /m"), tmp_path)


EDITED = (
    "echo mine > /m/tool; chmod 600 /m/dir/sub/tool; chown 1:2 /m/acl/bare; rm /m/plain /m/dir/pipe; echo n > /m/new; "
    "rm /m/dir/null; mkfifo /m/dir/null; chmod 700 /m/dir; ln -sf two /m/dir/link; echo shorter > /m/dir/holes"
)


@pytest.mark.case(12, 17)
@UNION
@STATES
def test_revert_and_undo_restore_metadata(boxes: Boxes, marked: str, alive: bool) -> None:
    """In a container that runs a directory is as old as what was last made in it."""

    def told(box: Box) -> Facts:
        return without_times(whole(box)) if alive else whole(box)

    image = told(boxes(alive=alive, image=marked, name="untouched"))
    box = boxes(EDITED, alive=alive, image=marked)
    edited = told(box)
    assert edited != image
    box.revert(b"/m")
    assert told(box) == image
    box.undo()
    assert told(box) == edited


@pytest.mark.case(12, 25)
@UNION
@STATES
def test_killed_write_keeps_capability(boxes: Boxes, alive: bool) -> None:
    """The kernel takes it away with the first byte that is written."""
    box = boxes("mkdir /m; echo old > /m/tool; echo old > /m/trial", alive=alive)
    for name in ("tool", "trial"):
        os.setxattr(place_of(box) / "m" / name, "security.capability", CAPABILITY)
    old = seen(box, "/m")["tool"]
    new = b"N" * 4096 + bytes(4096) + b"M" * 4096

    def write(path: bytes) -> Callable[[], object]:
        return of_its_own(box, lambda one: one.files.save(path, new, None, SaveOptions(in_place=True)))

    for call, left in (("pwrite64", old["bytes"]), ("fsetxattr", new), ("fchmod", new)):
        cut_off(write(b"/m/tool"), write(b"/m/trial"), call, 0)
        recover(box.inspect)
        now = seen(box, "/m")["tool"]
        assert (now["bytes"], now["attributes"]) == (left, {"security.capability": CAPABILITY}), call
        if left == new:
            box.undo()
        assert {**seen(box, "/m")["tool"], "time": old["time"]} == old
