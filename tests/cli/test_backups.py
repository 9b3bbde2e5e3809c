"""What is kept is found by name and id when its container is gone, goes to nobody else, and can be deleted for good."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui, dtui_json
from tui.cli import main
from tui.core.ids import ContainerId
from tui.files.history import journal
from tui.files.history.backups import BackupWriter, UndoKind, UndoRecord, find, undo_records
from tui.files.texts.recovered import told_once
from tui.files.texts.unsaved import Unsaved, keep_copy, keep_to_tell
from tui.files.tree.snapshots import EntrySnapshot

OVERLAY2 = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
FOUND = pytest.mark.promise("undo-found-after-removal")
PURGED = pytest.mark.promise("backups-purge")


def changed(boxes: Boxes, text: bytes, name: str = "web") -> Box:
    box = boxes(name=name)
    dtui("-H", box.engine.host, "write", f"{name}:/etc/motd", stdin=text)
    return box


@FOUND
@OVERLAY2
@pytest.mark.engine
def test_backups_outlive_their_container(boxes: Boxes) -> None:
    box = changed(boxes, b"first\n")
    host = ("-H", box.engine.host)
    box.engine.docker("rm", "-f", "web")
    for ref in ("web", box.id, box.id[:6], "local/web"):
        (record,) = dtui_json(*host, "backups", ref)
        assert (record["container"], record["path"]) == (box.id, "/etc/motd")
        output = dtui(*host, "undo", ref, code=1).decode()
        assert f"web ({box.id[:12]}) no longer exists" in output
        assert record["data"] in output
        assert len(output.splitlines()) == 1
    assert Path(record["data"]).read_bytes() == b"hello\n"
    for arguments in (("backups", "other"), ("undo", "other"), ("backups", "purge", "other")):
        assert b"there is no container other" in dtui(*host, *arguments, code=1)
    nowhere = ("-H", "unix:///nowhere.sock")
    assert dtui_json(*nowhere, "backups", "web") == [record]


@FOUND
@OVERLAY2
@pytest.mark.engine
def test_new_container_inherits_no_undo(boxes: Boxes) -> None:
    old = changed(boxes, b"first\n")
    host = ("-H", old.engine.host)
    old.engine.docker("rm", "-f", "web")
    new = boxes()
    output = dtui(*host, "undo", "web", code=1).decode()
    assert f"there is no change to web ({new.id[:12]})" in output
    assert old.id[:12] in output
    assert new.read(b"/etc/motd") == b"hello\n"
    dtui(*host, "write", "web:/etc/motd", stdin=b"second\n")
    assert [record["container"] for record in dtui_json(*host, "backups", "web")] == [new.id, old.id]
    listed = dtui(*host, "backups", "web").decode()
    assert f"web ({new.id[:12]})" in listed
    assert f"web ({old.id[:12]})" in listed
    output = dtui(*host, "backups", "purge", "web", code=2).decode()
    assert new.id[:12] in output
    assert old.id[:12] in output
    dtui(*host, "undo", "web")
    assert new.read(b"/etc/motd") == b"hello\n"
    new.engine.docker("rm", "-f", "web")
    output = dtui(*host, "undo", "web", code=2).decode()
    assert "web means 2 containers" in output
    assert "no longer exists" in dtui(*host, "undo", old.id[:12], code=1).decode()


@FOUND
@OVERLAY2
@pytest.mark.engine
def test_renamed_container_keeps_undo(boxes: Boxes) -> None:
    box = changed(boxes, b"first\n")
    host = ("-H", box.engine.host)
    box.engine.docker("rename", "web", "former")
    assert [record["name"] for record in dtui_json(*host, "backups", "former")] == ["web"]
    assert [record["name"] for record in dtui_json(*host, "backups", "web")] == ["web"]
    dtui(*host, "undo", "web")
    assert box.read(b"/etc/motd") == b"hello\n"


@PURGED
@OVERLAY2
@pytest.mark.engine
def test_purge_deletes_orphaned_backups(boxes: Boxes, private_state: Path) -> None:
    gone, other = changed(boxes, b"secret\n"), changed(boxes, b"other\n", "other")
    host = ("-H", gone.engine.host)
    dtui(*host, "rm", "web:/etc/motd")
    gone.engine.docker("rm", "-f", "web")
    numbers = {one.id for one in undo_records()}
    answer = dtui_json(*host, "backups", "purge", "web")
    assert len(answer["removed"]) == 2
    assert answer["bytes"] > 0
    assert answer["left"] == []
    assert [record.container for record in undo_records()] == [other.id]
    kept = [path.read_bytes() for path in private_state.rglob("*") if path.is_file()]
    assert not [data for data in kept if b"secret" in data]
    assert b"there is no container web" in dtui(*host, "undo", "web", code=1)
    assert dtui(*host, "backups", "purge").startswith(b"1 backup deleted permanently, ")
    assert b"there is nothing to take back" in dtui(*host, "undo", "other", code=1)
    assert other.read(b"/etc/motd") == b"other\n"
    dtui(*host, "rm", "other:/etc/motd")
    assert next(undo_records()).id > max(numbers)


@PURGED
@OVERLAY2
@pytest.mark.engine
def test_purge_after_removal_drops_set_aside(boxes: Boxes) -> None:
    box = boxes("head -c 50000 /dev/urandom > /srv/large")
    host = ("-H", box.engine.host)
    dtui(*host, "write", "web:/srv/large", "--set-aside", stdin=b"new\n")
    (record,) = dtui_json("backups")
    path = Path(record["place"])
    assert (path / "large").stat().st_size == 50_000
    box.engine.docker("rm", "web")
    assert not path.exists()
    answer = dtui_json(*host, "backups", "purge", "web")
    assert (answer["removed"], answer["left"]) == ([record["id"]], [])
    assert dtui_json("backups") == []


# without an engine -------------------------------------------------------------------------------------------

GONE = ContainerId("a" * 64)


def act(path: bytes, *arguments: str, container: ContainerId = GONE, age: int = 0) -> UndoRecord:
    keeper = BackupWriter(container, "web", UndoKind.REMOVE, path)
    keeper.add(EntrySnapshot(path))
    made = keeper.commit()
    for word in arguments:
        made.mark(word)
    rewrite(made, time_ns=time.time_ns() - age * 10**9)
    return find(made.id)


def rewrite(made: UndoRecord, **told: object) -> None:
    path = made.folder / "act.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | told))


def purge(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["-H", "unix:///nowhere.sock", "backups", "purge", *arguments])
    return (code, *capsys.readouterr())


@PURGED
@pytest.mark.parametrize(
    ("age", "left"), [("1h", [b"/now"]), ("90m", [b"/now", b"/hour"]), ("2d", [b"/now", b"/hour", b"/day"]), ("0s", [])]
)
def test_purge_takes_only_older_backups(capsys: pytest.CaptureFixture[str], age: str, left: list[bytes]) -> None:
    act(b"/day", "done", age=90_000)
    act(b"/hour", "done", age=3700)
    act(b"/now", "done")
    code, out, _ = purge(capsys, "--older-than", age)
    assert code == 0
    assert f"{3 - len(left)} backup" in out
    assert [one.path for one in undo_records()] == left


@PURGED
@pytest.mark.parametrize("age", ["7", "d", "-1d", "1.5h", "7 d", "7y", "", "1d2h", "9999999d"])
def test_invalid_age_purges_nothing(capsys: pytest.CaptureFixture[str], age: str) -> None:
    act(b"/day", "done", age=90_000)
    code, _, told = purge(capsys, f"--older-than={age}")
    assert (code, len(told.splitlines()), len(list(undo_records()))) == (2, 1, 1)


@PURGED
def test_empty_name_does_not_purge_all(capsys: pytest.CaptureFixture[str]) -> None:
    act(b"/x", "done")
    for arguments in ([""], ["--older-than", "0s", ""], ["/"], ["local/"]):
        assert purge(capsys, *arguments)[0] in (1, 2, 3), arguments
        assert len(list(undo_records())) == 1


DEAD = f"{os.urandom(4).hex()}:1:1"


@PURGED
def test_purge_keeps_unfinished_changes(capsys: pytest.CaptureFixture[str]) -> None:
    act(b"/under-way")
    rewrite(act(b"/cut-off"), owner=DEAD)
    act(b"/done", "done")
    held = act(b"/held", "done")
    with held.pin():
        code, out, told = purge(capsys, "--force")
    assert code == 1
    assert "1 backup deleted" in out
    assert "it is under way" in told
    assert "it was cut off" in told
    assert "it is being taken back" in told
    assert sorted(one.path for one in undo_records()) == [b"/cut-off", b"/held", b"/under-way"]


@PURGED
@OVERLAY2
@pytest.mark.engine
def test_unfinished_orphan_change_is_purged(boxes: Boxes) -> None:
    box = boxes(name="other")
    host = ("-H", box.engine.host)
    rewrite(act(b"/cut-off"), owner=DEAD)
    record = journal.begin_rename(GONE, b"/secret", b"x")
    record.file.write_text(json.dumps(json.loads(record.file.read_text()) | {"owner": DEAD}))
    record.data.write_bytes(b"secret")
    assert b"1 backup deleted" in dtui(*host, "backups", "purge", "web")
    assert list(undo_records()) == []
    assert not record.data.exists()
    assert not record.file.exists()


@PURGED
@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("Y\n", 0)])
def test_purge_asks_on_a_terminal(answer: str, left: int) -> None:
    act(b"/x", "done")
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "tui", "-H", "unix:///nowhere.sock", "backups", "purge"]
    child = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    told = b""
    while b"[y/N]" not in told:
        told += os.read(outer, 4096)
    assert b"Delete 1 backup" in told
    os.write(outer, answer.encode())
    assert child.wait(60) == left
    os.close(outer)
    assert len(list(undo_records())) == left


@PURGED
@pytest.mark.usefixtures("private_state")
def test_unsaved_texts_are_listed_and_purged(private_state: Path) -> None:
    noted = keep_to_tell(Unsaved(b"mine\n", "web", b"/etc/x"))
    plain, other = keep_copy(b"secret\n"), keep_to_tell(Unsaved(b"others\n", "db", b"/y"))
    assert len(told_once()) == 2
    listed = {one["data"]: (one["name"], one["path"], one["act"], one["bytes"]) for one in dtui_json("backups")}
    assert listed == {
        str(noted): ("web", "/etc/x", "unsaved text", 5),
        str(plain): (None, None, "unsaved text", 7),
        str(other): ("db", "/y", "unsaved text", 7),
    }
    assert [one["data"] for one in dtui_json("-H", "unix:///nowhere.sock", "backups", "web")] == [str(noted)]
    dtui_json("-H", "unix:///nowhere.sock", "backups", "purge", "web")
    assert not noted.exists()
    assert dtui("backups", "purge", "--older-than", "1h") == b"0 backups deleted permanently, 0 B\n"
    assert plain.exists()
    assert dtui("backups", "purge").startswith(b"0 backups and 2 unsaved texts deleted permanently, 14 B")
    assert not list(private_state.joinpath("unsaved").iterdir())
