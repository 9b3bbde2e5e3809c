"""A revert at rest takes the layer's own entry away in one step, whoever starts the container meanwhile."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.images import IMAGE
from tui.core.errors import ChangedMeanwhile
from tui.core.records import Details
from tui.files.history.backups import last_to_undo, undo_records
from tui.files.verbs import revert as reverting
from tui.files.verbs.undo import undo
from tui.files.write.move_out import LayerNames, NotPutBack, _moved_to_trash

pytestmark = pytest.mark.engine

UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")

MANY = "mkdir -p /srv/many/deep; cd /srv/many; for i in $(seq 400); do echo $i > f$i; done; echo x > deep/x"


def started_at(box: Box, look: int, script: str = "") -> None:
    """Start the container right before dtui looks at it for the ``look``-th time, and run a script in it."""
    looks = 0

    def look_again(container: str) -> Details:
        nonlocal looks
        looks += 1
        if looks == look:
            box.start()
            box.sh(script or "true")
        return box.endpoint.inspect(container)

    box.hooked = look_again


@UNION
@pytest.mark.parametrize("look", [2, 3], ids=["before", "after"])
def test_start_during_revert_keeps_directory(boxes: Boxes, look: int) -> None:
    box = boxes(MANY)
    started_at(box, look)
    with pytest.raises(ChangedMeanwhile, match="was started meanwhile"):
        box.revert(b"/srv/many")
    assert box.sh("ls /srv/many | wc -l; cat /srv/many/f400 /srv/many/deep/x").split() == ["401", "400", "x"]
    box.sh("echo more >> /srv/many/f1; rm /srv/many/f2; touch /srv/many/new; rm -r /srv/many; test ! -e /srv/many")
    assert list(undo_records(box.id)) == []


@UNION
def test_revert_keeps_recreated_directory(boxes: Boxes) -> None:
    box = boxes(MANY)
    started_at(box, 3, "mkdir /srv/many; echo theirs > /srv/many/f1")
    with pytest.raises(ChangedMeanwhile, match=r"could not be put back .*: file exists; dtui undo --force"):
        box.revert(b"/srv/many")
    assert box.sh("cat /srv/many/*") == "theirs\n"
    box.hooked = None
    with pytest.raises(ChangedMeanwhile):
        box.undo()
    undo(last_to_undo(box.id), inspect=box.inspect, save=box.files.save, force=True)
    assert box.sh("ls /srv/many | wc -l; cat /srv/many/f1").split() == ["401", "1"]


def test_whole_container_revert_and_undo(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "row").write_text("kept")
    options = ("-v", f"{tmp_path}:/srv/own/vol", "-v", f"{tmp_path}/row:/etc/row")
    box = boxes("echo mine > /etc/app.conf; rm /etc/motd; echo new > /srv/own/new", *options)
    changed = [line for line in box.diff() if "ready" not in line]
    assert "A /srv/own/new" in changed
    box.revert(b"/")
    assert box.diff() == []
    assert box.read(b"/etc/motd") == b"hello\n"
    box.undo()
    assert [line for line in box.diff() if "ready" not in line] == changed
    box.start()
    assert box.sh("cat /etc/app.conf /etc/row /srv/own/vol/row /srv/own/new") == "mine\nkeptkeptnew\n"
    assert (tmp_path / "row").read_text() == "kept"


@UNION
def test_revert_and_start_leave_all_or_none(boxes: Boxes) -> None:
    box = boxes(MANY.replace("400", "3000"))
    for _ in range(4):
        starting = threading.Thread(target=box.start)
        starting.start()
        try:
            box.revert(b"/srv/many")
            reverted = True
        except ChangedMeanwhile:
            reverted = False
        starting.join()
        assert box.sh("ls /srv/many 2>/dev/null | wc -l").split() == (["0"] if reverted else ["3001"])
        box.sh("rm -rf /srv/many; mkdir /srv/many; echo y > /srv/many/y; rm -r /srv/many")
        box.sh(MANY.replace("400", "3000"))
        box.stop()


@UNION
def test_revert_keeps_opaque_directory(boxes: Boxes) -> None:
    box = boxes("rm -r /conf.d; mkdir /conf.d; echo o > /conf.d/other")
    box.revert(b"/conf.d/other")
    assert box.names(b"/conf.d") == []
    box.start()
    assert box.sh("ls /conf.d") == ""


@UNION
def test_revert_keeps_directory_with_xattr(boxes: Boxes) -> None:
    box = boxes("echo new > /conf.d/new")
    os.setxattr(box.upper / "conf.d", "user.mine", b"1")
    box.revert(b"/conf.d/new")
    assert os.getxattr(box.upper / "conf.d", "user.mine") == b"1"


@UNION
def test_deep_layer_tree_is_reverted(boxes: Boxes) -> None:
    box = boxes("mkdir /srv/deep; cd /srv/deep; for i in $(seq 400); do mkdir d; cd d; done; echo x > bottom")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 200)  # nothing of it may take a frame for each level
    try:
        box.revert(b"/srv/deep")
        assert not box.exists(b"/srv/deep")
        box.undo()
        assert box.read(b"/srv/deep" + b"/d" * 400 + b"/bottom") == b"x\n"
        box.remove(b"/srv/deep", recursive=True)
    finally:
        sys.setrecursionlimit(limit)


@UNION
@pytest.mark.parametrize("alive", [False, True], ids=["below an opaque directory", "running"])
def test_deep_image_tree_is_reverted(boxes: Boxes, alive: bool) -> None:
    script = (
        "mkdir -p /deep/d; cd /deep; for i in $(seq 200); do mkdir d/d; touch -d @$i d; cd d; done; echo x > bottom"
    )
    boxes.engine.layered_image("shop/deep:1", IMAGE, script)
    box = boxes("rm -r /deep; mkdir /deep", alive=alive, image="shop/deep:1")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 120)  # nothing of it may take a frame for each level
    try:
        box.revert(b"/deep/d")
        assert box.read(b"/deep" + b"/d" * 200 + b"/bottom") == b"x\n"
        box.undo()
        assert box.names(b"/deep") == []
    finally:
        sys.setrecursionlimit(limit)


def test_rollback_skips_only_conflicts(tmp_path: Path) -> None:
    layer, trash = tmp_path / "layer", tmp_path / "trash"
    layer.mkdir(), trash.mkdir()
    for name in ("a", "b", "c"):
        (layer / name).write_text(name)
    fds = [os.open(one, os.O_RDONLY) for one in (layer, trash)]

    def taken_in_vain() -> None:
        with _moved_to_trash(LayerNames(fds[0], b"/", (b"a", b"b", b"c")), fds[1], b"/"):
            (layer / "b").write_text("theirs")
            raise ChangedMeanwhile("it runs")

    with pytest.raises(NotPutBack, match="b: file exists"):
        taken_in_vain()
    assert [(layer / name).read_text() for name in ("a", "b", "c")] == ["a", "theirs", "c"]
    for fd in fds:
        os.close(fd)


@UNION
def test_revert_keeps_concurrent_docker_cp(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes("mkdir /srv/d; echo old > /srv/d/f")
    (tmp_path / "f").write_text("newer\n")
    looks = 0

    def look_again(container: str) -> Details:
        nonlocal looks
        looks += 1
        if looks == 2:
            box.engine.docker("cp", str(tmp_path / "f"), "web:/srv/d/f")
        return box.endpoint.inspect(container)

    box.hooked = look_again
    with pytest.raises(ChangedMeanwhile, match="/srv/d was changed meanwhile"):
        box.revert(b"/srv/d")
    assert box.read(b"/srv/d/f") == b"newer\n"
    assert list(undo_records(box.id)) == []


@UNION
def test_undo_restores_copied_up_file(boxes: Boxes) -> None:
    box = boxes("echo new > /conf.d/new; : >> /conf.d/a.conf")
    os.setxattr(box.upper / "conf.d" / "a.conf", "user.mine", b"1")
    box.revert(b"/conf.d")
    assert not (box.upper / "conf.d").exists()
    box.undo()
    assert os.getxattr(box.upper / "conf.d" / "a.conf", "user.mine") == b"1"


@UNION
@pytest.mark.parametrize("path", [b"/srv/d", b"/srv/d/f"])
@pytest.mark.parametrize("phase", ["changes", "_present"])
def test_revert_refuses_swapped_directory(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch, path: bytes, phase: str
) -> None:
    box = boxes("mkdir /srv/d; echo one > /srv/d/f; echo three > /srv/other")
    place, elsewhere = box.upper / "srv" / "d", box.upper / "srv" / "elsewhere"
    real = getattr(reverting, phase)

    def swapped(*words: Any, **options: Any) -> Any:
        if phase == "changes" and not options.get("own"):
            return real(*words, **options)
        place.rename(elsewhere)
        place.mkdir()
        if phase == "_present":
            (place / "f").write_text("longer\n")
        try:
            return tuple(real(*words, **options))
        finally:
            shutil.rmtree(place)
            elsewhere.rename(place)

    monkeypatch.setattr(reverting, phase, swapped)
    with pytest.raises(ChangedMeanwhile, match=r"/srv/d.* was changed meanwhile; look at it"):
        box.revert(path)
    assert (place / "f").read_text() == "one\n"
    assert list(undo_records(box.id)) == []
