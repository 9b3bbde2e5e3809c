"""The order of changes is a counter's: no clock, crash or neighbour puts an older change before a newer one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tui.core.errors import NotFound
from tui.core.ids import ContainerId
from tui.core.state import state_dir
from tui.files.history import backups, journal
from tui.files.history.backups import BackupWriter, UndoKind, UndoRecord, find, last_to_undo, undo_records
from tui.files.history.order import never_again
from tui.files.tree.snapshots import EntrySnapshot
from tui.linux import process_marks

pytestmark = pytest.mark.promise("undo-order-is-a-counter")

DAY = 86_400 * 10**9
NOW = time.time_ns()
CONTAINER = ContainerId("c" * 64)


def change(path: bytes, container: ContainerId = CONTAINER, *, done: bool = True) -> UndoRecord:
    keeper = BackupWriter(container, "web", UndoKind.REMOVE, path)
    keeper.add(EntrySnapshot(path))
    act = keeper.commit()
    if done:
        act.mark("done")
    return act


def change_at(monkeypatch: pytest.MonkeyPatch, now: int, path: bytes) -> UndoRecord:
    monkeypatch.setattr(time, "time_ns", lambda: now)
    return change(path)


@pytest.mark.parametrize("first", [NOW + DAY, NOW, 0, 2**62], ids=["ahead", "same", "epoch", "absurd"])
def test_undo_order_ignores_clock(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    change_at(monkeypatch, first, b"/first")
    change_at(monkeypatch, NOW, b"/second")
    assert last_to_undo().path == b"/second"
    assert [act.path for act in undo_records()] == [b"/second", b"/first"]
    assert next(undo_records()).time.timestamp() == NOW // 10**9


def old_change(stamp: int, path: bytes) -> UndoRecord:
    """Make a backup as versions without a counter did."""
    act = change(path)
    told = json.loads((act.folder / "act.json").read_text())
    del told["time_ns"], told["since"]
    (act.folder / "act.json").write_text(json.dumps(told))
    act.folder.rename(act.folder.with_name(f"{stamp:020d}"))
    return find(f"{stamp:020d}")


def test_unnumbered_backups_are_oldest() -> None:
    newest = change(b"/newest")
    old_change(NOW + DAY, b"/old")
    old_change(NOW - DAY, b"/oldest")
    assert [act.path for act in undo_records()] == [b"/newest", b"/old", b"/oldest"]
    assert find(f"{NOW + DAY:020d}").time.timestamp() == (NOW + DAY) // 10**9
    assert last_to_undo() == find(newest.id)


def test_backups_are_dropped_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        change_at(monkeypatch, NOW - number * DAY, b"/%d" % number)
    two = sum(backups.size_on_disk(act.folder) for act in list(undo_records())[:2])
    monkeypatch.setattr(backups, "TOTAL_LIMIT", two)
    change(b"/last")
    assert [act.path for act in undo_records()] == [b"/last", b"/3"]


ONE = """
from tui.files.history.backups import UndoKind, BackupWriter
from tui.core.ids import ContainerId
from tui.files.tree.snapshots import EntrySnapshot
import sys
for number in range(25):
    keeper = BackupWriter(ContainerId(sys.argv[1] * 64), "web", UndoKind.REMOVE, b"/x")
    keeper.add(EntrySnapshot(b"/x"))
    act = keeper.commit()
    act.mark("done")
    print(act.id)
"""


def test_concurrent_changes_share_no_number(private_state: Path) -> None:
    del private_state
    children = [
        subprocess.Popen([sys.executable, "-c", ONE, letter], stdout=subprocess.PIPE, text=True) for letter in "abcd"
    ]
    ids = [child.communicate(timeout=120)[0].split() for child in children]
    assert all(one == sorted(one) for one in ids)
    assert len({number for one in ids for number in one}) == 100 == len(list(undo_records()))


def test_crash_before_commit_leaves_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = change(b"/before")
    keeper = BackupWriter(CONTAINER, "web", UndoKind.REMOVE, b"/crashed")
    keeper.add(EntrySnapshot(b"/crashed"))
    monkeypatch.setattr(Path, "rename", lambda self, target: os._exit(9))
    child = os.fork()
    if child == 0:
        keeper.commit()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    monkeypatch.setattr(backups, "named_owner_lives", lambda name: False)
    monkeypatch.setenv("DTUI_STATE", str(before.folder.parents[2]))
    backups.sweep_backups()
    after = change(b"/after")
    assert [act.path for act in undo_records()] == [b"/after", b"/before"]
    assert int(after.id) > int(before.id)
    assert not list(state_dir("backups").glob("*/.*"))


def test_dropped_number_is_not_reused() -> None:
    change(b"/a")
    last = change(b"/b")
    store = last.folder.parents[1]
    never_again(store, [last.id])
    last.forget()
    assert int(change(b"/c").id) > int(last.id)
    (store / "sequence").write_bytes(b"\0" * 20)
    assert int(change(b"/d").id) > int(last.id)


def test_backup_id_may_omit_leading_zeros() -> None:
    made = [change(b"/%d" % number) for number in range(12)]
    assert find("1") == find("00000001") == find(made[0].id)
    made[0].forget()
    for gone in ("1", "00000001", "0", ""):
        with pytest.raises(NotFound):
            find(gone)


@pytest.mark.parametrize("clock", [NOW + 400 * DAY, 0], ids=["ahead", "behind"])
def test_clock_expires_no_unfinished_change(monkeypatch: pytest.MonkeyPatch, clock: int) -> None:
    cut_off = change(b"/cut-off", done=False)
    told = json.loads((cut_off.folder / "act.json").read_text())
    boot = told["owner"].partition(":")[0]
    told["owner"] = f"{boot}:{2**22 + 1}:1"  # no such process
    (cut_off.folder / "act.json").write_text(json.dumps(told))
    record = journal.Record("t", told["owner"], CONTAINER, "/x", "", True)
    monkeypatch.setattr(time, "time_ns", lambda: clock)
    monkeypatch.setattr(time, "time", lambda: clock / 1e9)
    monkeypatch.setattr(backups, "TOTAL_LIMIT", 1)
    change(b"/newest")
    assert [act.path for act in undo_records()] == [b"/newest", b"/cut-off"]
    assert not journal.is_old(record)


def test_unfinished_change_expires_by_uptime(monkeypatch: pytest.MonkeyPatch) -> None:
    since = process_marks.uptime()
    gone = f"{process_marks._boot_id()}:{2**22 + 1}:1"
    monkeypatch.setattr(process_marks, "uptime", lambda: since + 8 * 86_400)
    assert process_marks.has_been_gone_for(gone, since, 7 * 86_400)
    assert process_marks.has_been_gone_for(f"another-boot:{2**22 + 1}:1", 10**9, 7 * 86_400)
    assert not process_marks.has_been_gone_for(process_marks.owner_mark(), since, 7 * 86_400)
    assert not process_marks.has_been_gone_for(gone, since + 2 * 86_400, 7 * 86_400)


def test_sweep_keeps_backup_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = BackupWriter(CONTAINER, "web", UndoKind.REMOVE, b"/x")
    keeper.add(EntrySnapshot(b"/x"))
    record = journal.begin_rename(CONTAINER, b"/x", b"y")
    record.data.write_bytes(b"old")
    record.file.unlink()
    for now in (0, NOW + 400 * DAY):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        monkeypatch.setattr(time, "time", lambda now=now: now / 1e9)
        backups.sweep_backups()
        journal.sweep_journal()
    assert keeper.commit().path == b"/x"
    assert record.data.exists()
