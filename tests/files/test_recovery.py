"""Recovery, rollback and undo beside a container that goes on working: what it wrote since is never lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.call_faults import Point, killed_at, points
from tests.support.cli import dtui
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files.history import backups, transaction
from tui.files.history.backups import UndoKind, find, last_to_undo
from tui.files.history.backups import undo_records as kept_acts
from tui.files.history.crash_recovery import recover
from tui.files.tree.root_tree import RootTree
from tui.files.verbs import acts
from tui.files.verbs.copy import copy_in
from tui.files.verbs.permissions import mode_change
from tui.files.verbs.undo import undo
from tui.files.ways import LayerFiles
from tui.files.write.options import SaveOptions
from tui.layers.private_mounts import work_dir, write_view

pytestmark = pytest.mark.engine


def of_its_own(box: Box, act: Callable[[Box], object]) -> Callable[[], object]:
    """Return an act with an endpoint of its own, for a process of its own."""
    return lambda: act(Box(box.engine, LiveEndpoint("local", box.engine.host), box.name))


def cut_off(act: Callable[[], object], trial: Callable[[], object], call: str, turn: int) -> None:
    """Kill an act at one of its last calls of a name, counted on a trial that is like it."""
    (*_, last) = [one for one in points(trial) if one.call == call]
    assert killed_at(act, Point(call, last.turn + turn)).how == "killed"


def take_back(box: Box, *, act_id: str = "", force: bool = False) -> None:
    act = find(act_id) if act_id else last_to_undo(box.id)
    undo(act, inspect=box.inspect, save=box.files.save, force=force)


def test_recovery_keeps_used_new_directory(boxes: Boxes) -> None:
    box = boxes(alive=True)

    def make(path: bytes) -> Callable[[], object]:
        return of_its_own(box, lambda one: acts.make_directory(one.id, path, inspect=one.inspect))

    cut_off(make(b"/srv/uploads"), make(b"/srv/trial"), "fsync", -1)
    box.sh("for i in 1 2 3; do echo $i > /srv/uploads/$i; done")
    (*_, line) = recover(box.inspect)
    assert "left" in line
    assert box.sh("cat /srv/uploads/*") == "1\n2\n3\n"
    assert recover(box.inspect) == ()


def test_recovery_keeps_rewritten_file(boxes: Boxes) -> None:
    lines = "for d in one two; do mkdir /srv/$d; for i in 1 2 3 4 5 6; do echo old$i > /srv/$d/$i; done; done"
    box = boxes(lines, alive=True)

    def delete(path: bytes) -> Callable[[], object]:
        return of_its_own(box, lambda one: one.remove(path, recursive=True))

    cut_off(delete(b"/srv/one"), delete(b"/srv/two"), "fsync", -4)
    there = box.sh("cd /srv/one; ls").split()
    assert 0 < len(there) < 6
    box.sh(f"echo theirs > /srv/one/{there[0]}")
    (line,) = recover(box.inspect)
    assert f"/srv/one/{there[0]} left" in line
    told = [("theirs" if str(i) == there[0] else f"old{i}") for i in range(1, 7)]
    assert box.sh("cat /srv/one/*").split() == told
    assert f"old{there[0]}" in next(act for act in kept_acts(box.id) if act.path == b"/srv/one").data.read_text()


@pytest.mark.parametrize("change", ["echo theirs > /srv/f", "rm /srv/f; mknod /srv/f c 1 5", "rm /srv/f"])
def test_recovery_keeps_later_write(boxes: Boxes, change: str) -> None:
    box = boxes("head -c 9000 /dev/zero | tr '\\0' o > /srv/f; cp /srv/f /srv/g", alive=True)

    def write(path: bytes) -> Callable[[], object]:
        return of_its_own(box, lambda one: one.files.save(path, b"N" * 7000, None, SaveOptions(in_place=True)))

    cut_off(write(b"/srv/f"), write(b"/srv/g"), "pwrite64", 0)
    box.sh(change)
    before = (
        box.sh("stat -c '%F %i %s' /srv/f; test -c /srv/f || cat /srv/f") if "; " in change or ">" in change else ""
    )
    assert "a write was cut off" in recover(box.inspect)[0]
    if before:
        assert box.sh("stat -c '%F %i %s' /srv/f; test -c /srv/f || cat /srv/f") == before
    assert next(act for act in kept_acts(box.id) if act.path == b"/srv/f").data.read_bytes() == b"o" * 9000


def test_killed_recovery_is_finished(boxes: Boxes) -> None:
    box = boxes("head -c 5000000 /dev/zero | tr '\\0' o > /srv/f; cp /srv/f /srv/g", alive=True)

    def write(path: bytes) -> Callable[[], object]:
        new = b"N" * 3_000_000 + b"\0" * 100_000 + b"N" * 1_000_000  # zeros part what is written at once
        return of_its_own(box, lambda one: one.files.save(path, new, None, SaveOptions(in_place=True)))

    cut_off(write(b"/srv/f"), write(b"/srv/g"), "pwrite64", 0)
    assert killed_at(of_its_own(box, lambda one: recover(one.inspect)), Point("pwrite64", 2)).how == "killed"
    half = box.sh("cat /srv/f").encode()
    assert half.count(b"N") not in (0, len(half))
    assert half.startswith(b"o")
    assert recover(box.inspect)[0].endswith("the old bytes are back")
    assert box.sh("cat /srv/f") == "o" * 5_000_000


def test_copy_out_runs_no_recovery(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes(alive=True)

    def make(path: bytes) -> Callable[[], object]:
        return of_its_own(box, lambda one: acts.make_directory(one.id, path, inspect=one.inspect))

    cut_off(make(b"/srv/uploads"), make(b"/srv/trial"), "fsync", -1)
    dtui("-H", box.engine.host, "cp", "web:/etc/motd", str(tmp_path / "motd"))
    assert box.sh("test -d /srv/uploads && echo there") == "there\n"
    assert recover(box.inspect)


def test_failed_delete_keeps_untouched_inode(boxes: Boxes) -> None:
    box = boxes("mkdir /srv/d; echo a > /srv/d/app.log; echo z > /srv/d/z", alive=True)
    fixed = f"/proc/{box.details.pid}/root/srv/d/z"
    inode = os.stat(f"/proc/{box.details.pid}/root/srv/d/app.log").st_ino
    log = os.open(f"/proc/{box.details.pid}/root/srv/d/app.log", os.O_WRONLY | os.O_APPEND)
    subprocess.run(["/usr/bin/chattr", "+i", fixed], check=True)
    try:
        with pytest.raises(DtuiError):
            acts.remove(
                box.id, b"/srv/d", inspect=box.inspect, recursive=True, step=lambda *_: os.write(log, b"b") and None
            )
    finally:
        os.close(log)
        subprocess.run(["/usr/bin/chattr", "-i", fixed], check=True)
    assert os.stat(f"/proc/{box.details.pid}/root/srv/d/app.log").st_ino == inode
    assert box.sh("cat /srv/d/app.log").startswith("a\nb")
    assert list(kept_acts(box.id)) == []


def done_then_changed(box: Box, kind: str, host: Path) -> str:
    """Do an act, let the container go on with what it left; return what it has then."""
    if kind == "create":
        box.write(b"/srv/new", b"", create=True)
        return "echo theirs > /srv/new"
    if kind == "mkdir":
        acts.make_directory(box.id, b"/srv/new", inspect=box.inspect)
        return "echo theirs > /srv/new/file"
    if kind == "rm":
        box.remove(b"/app/start.sh")
        return "echo theirs > /app/start.sh"
    if kind == "cp over":
        copy_in(box.id, host, b"/etc/motd", inspect=box.inspect)
        return "echo theirs >> /etc/motd"
    if kind == "revert":
        box.revert(b"/etc/app.conf")
        return "echo theirs >> /etc/app.conf"
    box.rename(b"/conf.d", b"/srv/moved")  # below an image's directory it is copied
    return "echo theirs >> /srv/moved/a.conf; echo more > /srv/moved/c"


@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True)
def test_undo_of_copied_move_needs_force(boxes: Boxes, tmp_path: Path) -> None:
    """On a full tree it is one rename, which loses nothing."""
    undo_refuses_then_obeys(boxes("echo mine > /etc/app.conf", alive=True), "mv", tmp_path)


@pytest.mark.parametrize("kind", ["create", "mkdir", "rm", "cp over", "revert"])
def test_undo_of_changed_entry_needs_force(boxes: Boxes, tmp_path: Path, kind: str) -> None:
    undo_refuses_then_obeys(boxes("echo mine > /etc/app.conf", alive=True), kind, tmp_path)


def undo_refuses_then_obeys(box: Box, kind: str, folder: Path) -> None:
    host = folder / "host"
    host.write_text("from the host\n")
    look = "cd /; find srv app etc/motd etc/app.conf conf.d -type f 2>/dev/null | sort | xargs sha256sum"
    old = box.sh(look)
    box.sh(done_then_changed(box, kind, host))
    theirs = box.sh(look)
    with pytest.raises(ChangedMeanwhile, match="was changed since"):
        take_back(box)
    assert box.sh(look) == theirs
    take_back(box, force=True)
    assert box.sh(look) == old
    (again, *_) = kept_acts(box.id)
    take_back(box, act_id=again.id)
    assert box.sh(look) == theirs


def test_undo_of_write_restores_holes(boxes: Boxes) -> None:
    box = boxes("dd if=/dev/zero of=/srv/holes bs=1 count=1 seek=3G 2>/dev/null; chmod 640 /srv/holes", alive=True)
    box.write(b"/srv/holes", b"small\n")
    take_back(box)
    size, blocks, mode = box.sh("stat -c '%s %b %a' /srv/holes").split()
    assert (int(size), mode) == ((3 << 30) + 1, "640")
    assert int(blocks) < 100


def test_act_is_undone_once_in_own_container(boxes: Boxes) -> None:
    box, other = boxes(alive=True), boxes(alive=True, name="other")
    box.remove(b"/etc/motd")
    (act,) = kept_acts(box.id)
    host = ("-H", box.engine.host)
    assert b"is not a change to other" in dtui(*host, "undo", "other", "--id", act.id, code=1)
    told = subprocess.run(
        [sys.executable, "-m", "tui", *host, "undo", "web"], capture_output=True, check=True, text=True
    ).stderr
    (again, *_) = kept_acts(box.id)
    assert f"undo --id {again.id}" in told
    with pytest.raises(EditRefused, match="taken back already"):
        take_back(box, act_id=act.id)
    assert other.exists(b"/etc/motd")


@pytest.mark.parametrize("alive", [False, True])
def test_undo_restores_fifo_and_device_mode(boxes: Boxes, alive: bool) -> None:
    box = boxes("mkdir /srv/d; cd /srv/d; mkfifo p; mknod n c 1 3; echo f > f; ln -s f l; chmod 640 p n f", alive=alive)
    change = mode_change("0600")
    acts.change_metadata(box.id, b"/srv/d", change, UndoKind.CHMOD, inspect=box.inspect, recursive=True)
    take_back(box)
    if not alive:
        box.start()
    assert box.sh("cd /srv/d; stat -c '%a %F' p n f .").splitlines() == [
        "640 fifo",
        "640 character special file",
        "640 regular file",
        "755 directory",
    ]


@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True)
def test_live_work_directory_is_left_alone(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes()
    stack = box.details.stack
    assert stack is not None
    with write_view(stack) as root:
        inside = sorted(path.name for path in work_dir(stack).rglob("*"))
        with pytest.raises(DtuiError, match="in use"):
            box.write(b"/etc/motd", b"second\n")
        assert sorted(path.name for path in work_dir(stack).rglob("*")) == inside
        os.close(os.open("etc/motd", os.O_WRONLY, dir_fd=root.fd))  # copied up by way of the work directory
    assert box.read(b"/etc/motd") == b"hello\n"
    with acts.acting(box.id, box.inspect):
        monkeypatch.setenv("DTUI_STATE", str(box.engine.home / "other-state"))
        with pytest.raises(EditRefused, match="another dtui"):
            LayerFiles(box.details, box.inspect).save(b"/etc/motd", b"second\n", None)


def test_backup_in_undo_is_not_dropped(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes("head -c 900000 /dev/urandom > /srv/db")
    before = box.read(b"/srv/db")
    monkeypatch.setattr(backups, "TOTAL_LIMIT", 1_500_000)
    box.write(b"/srv/db", os.urandom(900_000))
    box.undo()
    assert box.read(b"/srv/db") == before


def test_undo_does_not_move_replacement(boxes: Boxes) -> None:
    box = boxes(alive=True)
    box.rename(b"/etc/motd", b"/srv/g")
    box.sh("rm /srv/g; echo other > /srv/g")
    with pytest.raises(ChangedMeanwhile, match="changed since"):
        box.undo()
    assert box.sh("cat /srv/g; test ! -e /etc/motd") == "other\n"
    box.sh("rm /srv/g")
    box.rename(b"/etc/app.conf", b"/srv/c")
    box.undo()
    assert box.sh("cat /etc/app.conf") == "port=80\n"


def test_failed_rename_blocks_no_undo(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes(alive=True)
    box.write(b"/etc/app.conf", b"mine\n")

    def fail(*_: object) -> None:
        raise EditRefused("it fails")

    with monkeypatch.context() as failing:
        failing.setattr(RootTree, "move", fail)
        failing.setattr(transaction, "put_back", fail)
        with pytest.raises(EditRefused, match="it fails"):
            box.rename(b"/etc/motd", b"/srv/motd")
    assert (box.undo().path, box.undo().path) == (b"/etc/motd", b"/etc/app.conf")
    assert box.sh("cat /etc/motd /etc/app.conf; test ! -e /srv/motd") == "hello\nport=80\n"


TWO = "mkdir -p /srv/p/one /srv/two; touch /srv/p/one/x /srv/p/one/y /srv/p/one/z /srv/two/x /srv/two/y /srv/two/z"


def deletion(box: Box, path: bytes) -> Callable[[], object]:
    return of_its_own(box, lambda one: one.remove(path, recursive=True))


def test_undo_after_crash_only_recovers(boxes: Boxes) -> None:
    box = boxes(TWO)
    cut_off(deletion(box, b"/srv/p/one"), deletion(box, b"/srv/two"), "fsync", -2)
    told = dtui("-H", box.engine.host, "undo", "web", code=4)
    assert b"an unfinished change has just been recovered" in told
    assert (box.names(b"/srv/p/one"), box.exists(b"/srv/two")) == ([b"x", b"y", b"z"], False)
    dtui("-H", box.engine.host, "undo", "web")
    assert box.names(b"/srv/two") == [b"x", b"y", b"z"]


def test_impossible_recovery_is_reported(boxes: Boxes) -> None:
    box = boxes(TWO, alive=True)
    cut_off(deletion(box, b"/srv/p/one"), deletion(box, b"/srv/two"), "fsync", -2)
    box.sh("rm -r /srv/p")
    assert any("cannot be put right yet" in line for line in recover(box.inspect))


def test_chmod_of_link_is_refused(boxes: Boxes) -> None:
    box = boxes("ln -s app.conf /etc/link")
    box.write(b"/etc/app.conf", b"mine\n")
    with pytest.raises(EditRefused, match=r"is a link to app\.conf"):
        box.chmod(b"/etc/link", "600")
    assert box.chmod(b"/etc/app.conf", "644").act is None
    box.undo()
    assert box.read(b"/etc/app.conf") == b"port=80\n"
