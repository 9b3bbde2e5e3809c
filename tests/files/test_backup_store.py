"""The store of backups and the journal: what is thrown away by itself, and what never is."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from tui.cli.output import print_json, print_json_list
from tui.core.errors import EditRefused
from tui.core.ids import ContainerId
from tui.core.records import EntryKind
from tui.core.state import state_dir
from tui.files.history import backups, journal
from tui.files.history.backups import BackupWriter, UndoKind, UndoRecord, undo_records
from tui.files.tree.snapshots import EntrySnapshot, from_json


def kept(path: bytes) -> UndoRecord:
    keeper = BackupWriter(ContainerId("c" * 64), "web", UndoKind.REMOVE, path)
    keeper.add(EntrySnapshot(path))
    return keeper.commit()


def test_full_store_keeps_unfinished_backup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut_off, done = kept(b"/cut-off"), kept(b"/done")
    done.mark("done")
    monkeypatch.setattr(backups, "TOTAL_LIMIT", 1)
    newest = kept(b"/newest")
    assert {act.path for act in undo_records()} == {cut_off.path, newest.path}


def test_sweep_removes_old_unrecorded_files() -> None:
    place = state_dir("journal")
    long_ago = time.time() - 3600
    for name in ("a.data", "a.new", "b.part", "young.data", "whole.data"):
        Path(place, name).write_bytes(b"x")
        if name != "young.data":
            os.utime(place / name, (long_ago, long_ago))
    Path(place, "whole.json").write_text("{}")
    journal.sweep_journal()
    assert sorted(path.name for path in place.iterdir()) == ["whole.data", "whole.json", "young.data"]


def test_truncated_expectation_is_skipped() -> None:
    act = kept(b"/a")
    act.expect(EntrySnapshot(b"/a", mode=0o640), EntrySnapshot(b"/b\xff", size=3))
    with (act.folder / "after").open("ab") as file:
        file.write(b'{"path": "/c"')
    assert act.after == {b"/a": EntrySnapshot(b"/a", mode=0o640), b"/b\xff": EntrySnapshot(b"/b\xff", size=3)}


def test_backup_of_older_version_is_read() -> None:
    act = kept(b"/a")
    told = (act.folder / "act.json").read_text().replace(', "expects": true', "")
    (act.folder / "act.json").write_text(told)
    (act.folder / "begun").unlink()
    (old,) = undo_records()
    assert (old.path, old.after, old.done) == (b"/a", None, False)
    old.mark("done")
    (old.folder / "undone").touch()
    assert (old.done, old.undone) == (True, True)


def test_backup_state_is_one_file_name() -> None:
    act = kept(b"/a")
    ends = [(act.done, act.undone)]
    for word in ("done", "undone"):
        act.mark(word)
        ends.append((act.done, act.undone))
    assert ends == [(False, False), (True, False), (True, True)]
    assert sorted(os.listdir(act.folder)) == ["act.json", "data", "undone"]


@pytest.mark.promise("big-acts-bounded-memory")
def test_large_backup_takes_little_memory() -> None:
    keeper = BackupWriter(ContainerId("c" * 64), "web", UndoKind.CHMOD, b"/t")
    for number in range(5_000):
        keeper.add(EntrySnapshot(b"/t/f%d" % number, EntryKind.FILE, 0o644, mtime_ns=number))
    tracemalloc.start()
    try:
        act = keeper.commit()
        act.expect(*act.nodes)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.reset_peak()
        (read,) = undo_records(ContainerId("c" * 64))
        assert read.nodes == act.nodes
        nodes = tracemalloc.get_traced_memory()[0]
        assert tracemalloc.get_traced_memory()[1] < 2 * nodes
    finally:
        tracemalloc.stop()


@pytest.mark.promise("big-acts-bounded-memory")
def test_listing_backups_reads_no_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = BackupWriter(ContainerId("c" * 64), "web", UndoKind.CHMOD, b"/t")
    for number in range(3):
        keeper.add(EntrySnapshot(b'/t/, "nodes": [\n%d' % number, EntryKind.FILE, inode=(1, 2), names=2, size=5))
    act = keeper.commit()
    whole = json.loads((act.folder / "act.json").read_text())
    assert [from_json(node) for node in whole["nodes"]] == list(act.nodes)  # as an older dtui reads it
    read: list[dict[str, object]] = []
    monkeypatch.setattr(backups, "from_json", lambda fields: read.append(fields) or from_json(fields))
    (found,) = undo_records()
    assert (len(found.nodes), found.size, read) == (3, 15, [])
    assert found == act
    assert len(read) == 3


def test_damaged_entries_are_refused_in_one_line() -> None:
    act = kept(b"/a")
    told = (act.folder / "act.json").read_text()
    (act.folder / "act.json").write_text(told[:-10])
    (found,) = undo_records()
    with pytest.raises(EditRefused, match=r"act.json is damaged"):
        list(found.nodes)


def test_streamed_json_list_matches_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ([], [{"a": 1, "b": ["x\ny", {"c": None}]}, {"p": "\udc80"}], [1]):
        print_json(value)
        whole = capsys.readouterr().out
        print_json_list(value)
        assert capsys.readouterr().out == whole
