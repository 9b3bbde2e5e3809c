"""Ctrl+C in the middle of what takes its time, pressed once and again: whole entries, one line, and a way back."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui
from tests.support.terminal import Terminal
from tests.support.waiting import until
from tui.core.records import EntryKind
from tui.files.history.backups import UndoRecord, undo_records

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
DIRECTORIES, FILES = 12, 100
TRIES = 5
ENTRIES = 1 + DIRECTORIES * (1 + FILES)
LARGE = (
    "mkdir /srv/big; cd /srv/big; d=10; while [ $d -lt 22 ]; do mkdir $d; chmod 750 $d; f=100; "
    "while [ $f -lt 200 ]; do echo $d of $f > $d/$f; f=$((f+1)); done; d=$((d+1)); done; "
    "chown -R 5:6 .; chmod 600 1?/1?7"
)
Entries = dict[str, tuple[object, ...]]


def entries_of(top: Path) -> Entries:
    """Describe a tree exactly, its times among it."""
    found: Entries = {}
    for path in (top, *top.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(top))] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, data)
    return found


def interrupted(words: list[str], now: Callable[[], bool]) -> tuple[int, str]:
    """Run dtui; press Ctrl+C as soon as something is so, and once more every few milliseconds from then on."""
    with subprocess.Popen([sys.executable, "-m", "tui", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        until(lambda: now() or process.poll() is not None, pause=0.0003)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)  # a person cannot press faster
        return process.returncode, process.stderr.read()


class Interrupts:
    """One container with a large tree, and what is done to it."""

    def __init__(self, box: Box, host: Path) -> None:
        self.box = box
        self.srv = box.upper / "srv"
        self.host = host
        self.engine = ("-H", box.engine.host)
        self.before = entries_of(self.srv / "big")
        assert len(self.before) == ENTRIES

    def words(self, kind: str) -> list[str]:
        """Return the command line of an act."""
        return [
            *self.engine,
            *{
                "rm": ["rm", "-r", "web:/srv/big"],
                "chmod": ["chmod", "-R", "u=rwx,go=", "web:/srv/big"],
                "cp": ["cp", str(self.host), "web:/srv/in"],
            }[kind],
        ]

    def stopped_at(self, kind: str, place: str) -> tuple[int, str]:
        """Interrupt an act that has come as far as a file; where it was faster than we, take it back and try again."""
        there = self.srv / ("in" if kind == "cp" else "big") / place
        come: dict[str, Callable[[], bool]] = {
            "rm": lambda: not os.path.lexists(there),
            "cp": lambda: os.path.lexists(there),
            "chmod": lambda: stat.S_IMODE(there.lstat().st_mode) == 0o700,
        }
        for _ in range(TRIES):
            code, told = interrupted(self.words(kind), come[kind])
            if code:
                break
            dtui(*self.engine, "undo", "web")
        return code, told

    def act(self) -> UndoRecord:
        return next(undo_records(self.box.id))

    def check_kept(self, act: UndoRecord) -> None:
        """Look whether all that stood there is kept, with its bytes."""
        data = act.data.read_bytes()
        kept = {os.fsdecode(node.path).removeprefix("/srv/big").lstrip("/") or ".": node for node in act.nodes}
        assert kept.keys() == self.before.keys()
        for name, (mode, uid, gid, mtime, content) in self.before.items():
            node = kept[name]
            assert (node.mode, node.uid, node.gid, node.mtime_ns) == (stat.S_IMODE(mode), uid, gid, mtime)  # type: ignore[arg-type]
            if act.kind == "delete" and node.kind is EntryKind.FILE:
                assert data[node.offset : node.offset + node.size] == content

    def difference(self) -> dict[str, object]:
        """Return what is not as it was, of the large tree and beside it."""
        now = entries_of(self.srv / "big") if (self.srv / "big").exists() else {}
        beside = {name: "came" for name in os.listdir(self.srv) if name not in ("big", "www")}
        names = {name for name in {*now, *self.before} if now.get(name) != self.before.get(name)}
        return beside | {name: (self.before.get(name), now.get(name)) for name in names}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A large tree of this host."""
    tree = tmp_path / "host"
    for directory in range(10, 10 + DIRECTORIES):
        (tree / str(directory)).mkdir(parents=True)
        for file in range(100, 100 + FILES):
            (tree / str(directory) / str(file)).write_text(f"{file}\n")
    return tree


@pytest.mark.parametrize(
    ("daemon", "kind", "places", "alive"),
    [
        ("overlay2", "rm", ("21/198", "10/103"), True),
        *(("overlay2", "chmod", ("10/101", "12/150", "15/100"), alive) for alive in (False, True)),
        *(("overlay2", "cp", ("10/100", "17/150"), alive) for alive in (False, True)),
        ("vfs", "rm", ("16/150",), True),
    ],
    indirect=["daemon"],
    scope="session",
)
def test_interrupted_change_is_undone_exactly(
    boxes: Boxes, host: Path, kind: str, places: tuple[str, ...], alive: bool
) -> None:
    one = Interrupts(boxes(LARGE, alive=alive), host)
    for place in places:
        code, told = one.stopped_at(kind, place)
        assert code == 1, told
        stopped = re.fullmatch(r"dtui: stopped \(([\d,]+) entr(?:y|ies) done\); undo takes back what was done\n", told)
        assert stopped, told
        assert 0 < int(stopped[1].replace(",", "")) < ENTRIES
        assert one.difference() != {}
        record = one.act()
        assert (record.done, record.cut_off, record.undone) == (True, False, False)
        if kind != "cp":
            one.check_kept(record)
        dtui(*one.engine, "undo", "web")
        assert one.difference() == {}


def test_interrupted_delete_at_rest_is_whole(boxes: Boxes, host: Path) -> None:
    one = Interrupts(boxes(LARGE), host)
    code, told = interrupted(one.words("rm"), lambda: not (one.srv / "big" / "21").exists())
    assert code == 0, told
    assert told.removeprefix("dtui: finishing this first: stopping half-way would leave it inconsistent\n") == (
        "/srv/big: deleted; dtui undo brings it back (1,213 entries)\n"
    )
    assert not (one.srv / "big").exists()
    one.check_kept(one.act())
    dtui(*one.engine, "undo", "web")
    assert one.difference() == {}


@UNION
@STATES
def test_interrupted_backup_changes_nothing(boxes: Boxes, host: Path, private_state: Path, alive: bool) -> None:
    one = Interrupts(boxes(LARGE, alive=alive), host)
    store = private_state / "backups" / one.box.id
    code, told = interrupted(one.words("rm"), lambda: any(store.glob(".*.part/data")))
    assert (code, told) == (1, "dtui: stopped; nothing was changed\n")
    assert one.difference() == {}
    assert list(store.iterdir()) == []


@UNION
@STATES
def test_interrupted_undo_is_finished(boxes: Boxes, host: Path, alive: bool) -> None:
    one = Interrupts(boxes(LARGE, alive=alive), host)
    dtui(*one.words("rm"))
    code, told = interrupted([*one.engine, "undo", "web"], (one.srv / "big" / "13").exists)
    assert code == 0, told
    assert told.startswith("dtui: finishing this first: stopping half-way would leave it inconsistent\n")
    assert re.fullmatch(r"/srv/big: undid the delete of .* UTC; .*\n", told.split("\n", 1)[1])
    assert one.difference() == {}


@UNION
def test_undo_on_terminal_shows_progress(boxes: Boxes, host: Path) -> None:
    one = Interrupts(boxes(LARGE), host)
    dtui(*one.words("rm"))
    terminal = Terminal(*one.engine, "undo", "web")
    try:
        terminal.wait(
            lambda shown: re.search(r"^restoring: .* of 1,213 entries · .*/srv/big/", shown, re.MULTILINE) is not None
        )
        for _ in range(3):
            terminal.press("\x03")
        assert terminal.wait("undid the delete", 120).count("finishing this first") == 1
        assert terminal.close() == 0
    finally:
        terminal.abandon()
    assert one.difference() == {}
