"""Undo takes back what dtui did and the last of it first; what others gave the same files since stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attribute_tree import place_of
from tests.support.boxes import Box, Boxes
from tui.core.errors import ChangedMeanwhile, NotFound
from tui.files.history.backups import UndoRecord, find, last_to_undo, undo_records
from tui.files.history.rollback import PathLookup
from tui.files.tree.root_tree import Tree
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.verbs import undo as undoing
from tui.files.verbs.acts import make_directory
from tui.files.verbs.copy import copy_in
from tui.files.verbs.undo import undo
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])


def undo_by_id(box: Box, act_id: str, *, force: bool = False) -> str:
    """Take an act back; return the id of what takes that back."""
    outcome = undo(find(act_id), inspect=box.inspect, save=box.files.save, force=force)
    return outcome.act.id if outcome.act else ""


def seen(box: Box, path: str) -> tuple[int, int, int, dict[str, bytes]]:
    file = place_of(box) / path
    status = file.stat()
    names = [name for name in os.listxattr(file) if not name.startswith("trusted.overlay.")]
    return status.st_mode & 0o7777, status.st_uid, status.st_gid, {name: os.getxattr(file, name) for name in names}


@STATES
@pytest.mark.parametrize("in_place", [False, True])
def test_undo_write_keeps_later_owner(boxes: Boxes, alive: bool, in_place: bool) -> None:
    box = boxes("echo old > /srv/f; chmod 644 /srv/f; ln /srv/f /srv/g", alive=alive)
    if not in_place:
        (place_of(box) / "srv/g").unlink()
    box.files.save(b"/srv/f", b"new\n", None)
    file = place_of(box) / "srv/f"
    os.chown(file, 1000, 1001)
    file.chmod(0o600)
    os.setxattr(file, "user.theirs", b"1")
    theirs = seen(box, "srv/f")
    box.undo()
    assert (file.read_bytes(), seen(box, "srv/f")) == (b"old\n", theirs)
    file.chmod(0o640)
    undo_by_id(box, next(undo_records(box.id)).id)
    assert (file.read_bytes(), seen(box, "srv/f")) == (b"new\n", (0o640, *theirs[1:]))


@STATES
def test_undo_write_restores_unchanged_mode(boxes: Boxes, alive: bool) -> None:
    box = boxes("echo old > /srv/f; chmod 644 /srv/f", alive=alive)
    for theirs, then in ((None, 0o644), (0o600, 0o600)):
        (place_of(box) / "srv/f").chmod(0o644)
        box.files.save(b"/srv/f", b"new\n", None, SaveOptions(mode=0o755))
        assert seen(box, "srv/f")[0] == 0o755
        if theirs is not None:
            (place_of(box) / "srv/f").chmod(theirs)
        box.undo()
        assert ((place_of(box) / "srv/f").read_bytes(), seen(box, "srv/f")[0]) == (b"old\n", then)


@STATES
def test_undo_chmod_keeps_later_xattrs(boxes: Boxes, alive: bool) -> None:
    box = boxes("mkdir /srv/d; echo f > /srv/f; chmod 700 /conf.d", alive=alive)
    for path in (b"/srv/d", b"/srv/f"):
        file = place_of(box) / os.fsdecode(path[1:])
        before = seen(box, os.fsdecode(path[1:]))
        box.chmod(path, "0711")
        os.setxattr(file, "user.first", b"1")
        box.undo()
        os.setxattr(file, "user.second", b"2")
        undo_by_id(box, next(undo_records(box.id)).id)
        assert seen(box, os.fsdecode(path[1:])) == (0o711, *before[1:3], {"user.first": b"1", "user.second": b"2"})


def test_undo_revert_keeps_later_xattrs(boxes: Boxes) -> None:
    box = boxes("stat -c %a /conf.d > /srv/mode; chmod 700 /conf.d; echo mine > /conf.d/a.conf", alive=True)
    box.revert(b"/conf.d")
    assert seen(box, "conf.d")[0] == int(box.sh("cat /srv/mode"), 8) != 0o700
    os.setxattr(place_of(box) / "conf.d", "user.theirs", b"1")
    box.undo()
    assert (seen(box, "conf.d")[0], seen(box, "conf.d")[3]) == (0o700, {"user.theirs": b"1"})
    assert box.sh("cat /conf.d/a.conf") == "mine\n"


@STATES
def test_redone_act_is_undone_first(boxes: Boxes, alive: bool, tmp_path: Path) -> None:
    box = boxes("echo one > /srv/one; mkdir /srv/two; echo f > /srv/two/f", alive=alive)

    def state() -> tuple[bool, str]:
        return box.exists(b"/srv/two"), box.read(b"/srv/one").decode()

    box.remove(b"/srv/two", recursive=True)
    box.write(b"/srv/one", b"eins\n")
    box.undo()
    assert state() == (False, "one\n")
    undo_by_id(box, next(undo_records(box.id)).id)
    assert state() == (False, "eins\n")
    box.undo()
    assert state() == (False, "one\n")
    box.undo()
    assert state() == (True, "one\n")
    undo_by_id(box, next(undo_records(box.id)).id)
    assert state() == (False, "one\n")
    box.undo()
    assert state() == (True, "one\n")
    with pytest.raises(NotFound, match="nothing to take back"):
        last_to_undo(box.id)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("act", ["write", "mkdir", "cp"])
def test_undo_refuses_moved_entry(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: str, force: bool
) -> None:
    box = boxes("echo old > /srv/f", alive=True)
    file = place_of(box) / "srv/f"
    (tmp_path / "f").write_text("mine\n")
    if act != "write":
        file.unlink()
    if act == "mkdir":
        make_directory(box.id, b"/srv/f", inspect=box.inspect)
    elif act == "cp":
        copy_in(box.id, tmp_path / "f", b"/srv/f", inspect=box.inspect)
    else:
        box.write(b"/srv/f", b"mine\n")

    def out_of_place(tree: Tree, which: UndoRecord, lookup: PathLookup) -> Iterator[EntrySnapshot]:
        hidden = file.rename(file.parent / "away")
        found = list(present(tree, which, lookup))
        hidden.rename(file)
        return iter(found)

    present = undoing._present
    with monkeypatch.context() as patched:
        patched.setattr(undoing, "_present", out_of_place)
        with pytest.raises(ChangedMeanwhile, match="/srv/f was changed since"):
            undo(last_to_undo(box.id), inspect=box.inspect, save=box.files.save, force=force)
    assert file.is_dir() if act == "mkdir" else file.read_text() == "mine\n"
    box.undo()
    assert file.read_text() == "old\n" if act == "write" else not file.exists()
