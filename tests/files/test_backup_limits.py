"""The store of backups by real acts: bounded by what it takes of the disk, the oldest gone first; full."""

from __future__ import annotations

import os
import stat
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui_json
from tui.core.errors import DtuiError, EditRefused
from tui.core.records import Details, EntryKind
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files.history import backups
from tui.files.history.backups import BackupMode, UndoKind
from tui.files.history.backups import undo_records as kept_acts
from tui.files.history.crash_recovery import recover
from tui.files.verbs import acts
from tui.files.verbs.copy import copy_in, readable_tree
from tui.files.verbs.permissions import mode_change
from tui.files.verbs.save import save
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
LEFT = {"pages": range(7), "inodes": range(3, 10)}
"""What is left of a full disk; the acts need a little more than the least."""

TOTAL, ONE = 400 << 10, 200 << 10
LARGE = (
    "cd /srv; for i in 1 2 3 4 5 6 7 8; do head -c 60000 /dev/urandom > $i; done; "
    "mkdir d; for i in 1 2 3 4; do cp $i d; done; head -c 250000 /dev/urandom > large; "
    "mkdir cut small; for i in 1 2 3 4; do echo $i > cut/$i; done; i=100; "
    "while [ $i -lt 250 ]; do echo $i > small/$i; i=$((i+1)); done"
)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a few small acts come up against."""
    monkeypatch.setattr(backups, "TOTAL_LIMIT", TOTAL)
    monkeypatch.setattr(backups, "ACT_LIMIT", ONE)


def taken(store: Path) -> int:
    """Return what the acts in a store take of the disk, as du counts it."""
    return sum(int(line.split()[0]) for line in _du(*store.glob("*/*"))) * 1024


def _du(*places: Path) -> list[str]:
    done = subprocess.run(["/usr/bin/du", "-sk", *places], capture_output=True, check=True, text=True)
    return done.stdout.splitlines() if places else []


def view(box: Box) -> dict[bytes, tuple[object, ...]]:
    """Return what is in two directories of a container: kinds, modes and bytes."""
    found: dict[bytes, tuple[object, ...]] = {}
    with readable_tree(box.details) as tree:
        todo = [b"/srv", b"/tree"]
        for path in todo:
            node = tree.look(path)
            assert node is not None
            data = b""
            if node.kind is EntryKind.FILE:
                with os.fdopen(tree.open_file(path), "rb") as file:
                    data = file.read()
            elif node.kind is EntryKind.DIRECTORY:
                todo += [path + b"/" + name for name in tree.names(path)]
            found[path] = (node.kind, node.mode, data)
    return found


def cut_off(box: Box, path: bytes) -> None:
    """Begin a deletion in a process that ends in its middle: at an entry, or right before all is moved out at once."""

    def end(count: int, path: bytes) -> None:
        del path
        begun.append(count)
        if count == 2 and begun.count(2) == 2:
            os._exit(0)

    begun: list[int] = []
    child = os.fork()
    if child == 0:
        try:
            own = Box(box.engine, LiveEndpoint("local", box.engine.host), box.name)

            def inspect(container_id: str) -> Details:
                if list(kept_acts(own.id)):
                    os._exit(0)
                return own.inspect(container_id)

            acts.remove(own.id, path, inspect=inspect, recursive=True, step=end)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@STATES
@pytest.mark.usefixtures("low")
def test_full_store_drops_oldest_first(boxes: Boxes, alive: bool, private_state: Path) -> None:
    box = boxes(LARGE, alive=alive)
    cut_off(box, b"/srv/cut")
    store = private_state / "backups"
    assert box.engine.root not in store.parents
    (unsettled,) = kept_acts(box.id)
    assert unsettled.cut_off
    made: list[str] = []
    for number in range(1, 9):
        name = b"/srv/%d" % number
        for act in (lambda one: box.write(one, os.urandom(50_000)), box.remove):
            act(name)
            made.append(next(kept_acts(box.id)).id)
            assert taken(store) <= TOTAL
    left = [act.id for act in kept_acts(box.id)]
    assert left == [*reversed(made[-len(left) + 1 :]), unsettled.id]
    assert 2 < len(left) < len(made)
    listed = dtui_json("backups")
    assert [one["id"] for one in listed] == left
    assert [one["state"] for one in listed] == ["done"] * (len(left) - 1) + ["cut off"]
    for place in (store, *store.rglob("*")):
        assert stat.S_IMODE(place.lstat().st_mode) == (0o700 if place.is_dir() else 0o600), place
    assert not box.exists(b"/srv/8")
    box.undo()
    assert len(box.read(b"/srv/8")) == 50_000
    assert any("all is as it was before" in line for line in recover(box.inspect))
    assert box.names(b"/srv/cut") == [b"1", b"2", b"3", b"4"]


def test_small_acts_stay_within_total_limit(boxes: Boxes, private_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes(LARGE)
    monkeypatch.setattr(backups, "TOTAL_LIMIT", 100 << 10)
    for number in range(20):
        box.chmod(b"/srv/small/100", f"6{number % 8}0")
        assert taken(private_state / "backups") <= 100 << 10
    change = mode_change("700")
    acts.change_metadata(box.id, b"/srv/small", change, UndoKind.CHMOD, inspect=box.inspect, recursive=True)
    assert taken(private_state / "backups") <= 100 << 10
    box.undo()


@STATES
@pytest.mark.usefixtures("low")
def test_act_beyond_limit_names_options(boxes: Boxes, alive: bool, tmp_path: Path, private_state: Path) -> None:
    box = boxes(f"{LARGE}; mkdir -p /tree/a/l; cp /srv/large /tree/a/l", alive=alive)
    (tmp_path / "file").write_text("small\n")
    before = (box.read(b"/srv/large"), box.names(b"/srv"), box.names(b"/srv/d"), box.names(b"/tree/a"))
    tries: list[tuple[str, Callable[[], object]]] = [
        ("--keep .*--no-backup", lambda: box.write(b"/srv/large", b"small")),
        ("--keep .*--no-backup" if alive else "--set-aside", lambda: box.remove(b"/srv/d", recursive=True)),
        ("--keep", lambda: copy_in(box.id, tmp_path / "file", b"/srv/large", inspect=box.inspect)),
        ("--keep .*--no-backup", lambda: box.revert(b"/srv")),
    ]
    if box.details.container.driver.name != "vfs":
        tries.append(("--keep", lambda: box.rename(b"/tree/a", b"/srv/a")))
    for hint, act in tries:
        with pytest.raises(EditRefused, match=f"more than the 204.8 kB .*{hint}"):
            act()
    assert (box.read(b"/srv/large"), box.names(b"/srv"), box.names(b"/srv/d"), box.names(b"/tree/a")) == before
    assert not [*(private_state / "backups").glob(f"{box.id}/*")]
    save(box.id, b"/srv/large", b"small", None, SaveOptions(keep=BackupMode.NOTHING), inspect=box.inspect)
    acts.remove(box.id, b"/srv/d", inspect=box.inspect, recursive=True, keep=BackupMode.NOTHING)
    assert (box.read(b"/srv/large"), box.exists(b"/srv/d")) == (b"small", False)
    assert list(kept_acts(box.id)) == []


@STATES
def test_holes_too_long_are_deleted_singly(boxes: Boxes, alive: bool) -> None:
    box = boxes("mkdir /srv/d; touch /srv/d/1 /srv/d/2; echo x > /srv/d/3", alive=alive)
    top = Path(f"/proc/{box.details.pid}/root/srv/d") if alive else box.upper / "srv" / "d"
    for name in ("1", "2"):
        os.truncate(top / name, 8 << 40)
    with pytest.raises(EditRefused, match=r"longer, with its holes, than a file may be there; .* entry by entry"):
        box.remove(b"/srv/d", recursive=True)
    assert sorted(box.names(b"/srv/d")) == [b"1", b"2", b"3"]
    for path in (b"/srv/d/1", b"/srv/d/2", b"/srv/d"):
        box.remove(path, recursive=True)
    for _ in range(3):
        box.undo()
    assert [(top / name).stat().st_size for name in ("1", "2", "3")] == [8 << 40, 8 << 40, 2]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of a few pages for all that dtui keeps."""
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=64", "tiny", place], check=True)
    monkeypatch.setenv("DTUI_STATE", str(place / "state"))
    yield place
    subprocess.run(["/bin/umount", "-l", place], check=True)


def fill(tiny: Path, kind: str, left: int) -> None:
    """Leave so many free pages, or so many free inodes."""
    fillers = tiny / "fillers"
    fillers.mkdir(exist_ok=True)
    if kind == "inodes":
        for number in range(os.statvfs(tiny).f_ffree - left):
            (fillers / str(number)).touch()
    else:
        (fillers / "all").write_bytes(bytes(os.statvfs(tiny).f_bavail - left << 12))


def make_room(tiny: Path) -> None:
    for path in (tiny / "fillers").iterdir():
        path.unlink()


@UNION
@STATES
@pytest.mark.parametrize("kind", LEFT)
def test_full_store_act_is_done_or_refused(boxes: Boxes, tiny: Path, tmp_path: Path, kind: str, alive: bool) -> None:
    box = boxes("cd /srv; mkdir d; echo 1 > d/1; echo 2 > d/2; echo m > /tree/f", alive=alive)
    (tmp_path / "file").write_text("x\n")
    words = {"inspect": box.inspect}
    tries: dict[str, Callable[[], object]] = {
        "save": lambda: box.write(b"/srv/d/1", b"new\n"),
        "save in place": lambda: save(box.id, b"/srv/d/1", b"new\n", None, SaveOptions(in_place=True), **words),
        "create": lambda: box.write(b"/srv/d/new", b"new\n", create=True),
        "delete": lambda: box.remove(b"/srv/d", recursive=True),
        "rename": lambda: box.rename(b"/srv/d", b"/srv/e"),
        "rename by copying": lambda: box.rename(b"/tree/a", b"/srv/a"),
        "mkdir": lambda: acts.make_directory(box.id, b"/srv/m", **words),
        "chmod": lambda: box.chmod(b"/srv/d", "700"),
        "copy in": lambda: copy_in(box.id, tmp_path / "file", b"/srv/d", **words),
        "revert": lambda: box.revert(b"/tree/f"),
        "undo": box.undo,
    }
    ends = Counter(
        try_without_room(box, tiny, kind, left, name, act) for left in LEFT[kind] for name, act in tries.items()
    )
    assert min(ends["done"], ends["refused"]) > 15, ends


def try_without_room(box: Box, tiny: Path, kind: str, left: int, name: str, act: Callable[[], object]) -> str:
    """Try an act with little room for what it keeps, and take back whatever was done; say how it ended."""
    first = view(box)
    if name == "undo":
        box.chmod(b"/srv/d/1", "600")
    before = view(box)
    fill(tiny, kind, left)
    try:
        act()
        end, told = "done", "no space left on device"
    except DtuiError as error:
        end, told = "refused", str(error).lower()
    assert "no space left on device" in told, name
    make_room(tiny)
    assert recover(box.inspect) == (), (name, left)
    if end == "refused":
        assert view(box) == before, (name, left)
    if (end == "done") == (name != "undo"):
        box.undo()
    assert view(box) == first, (name, left)
    assert not [*tiny.glob("state/*/*/.*.part"), *tiny.glob("state/journal/*")], (name, left)
    for one in kept_acts(box.id):
        one.forget()
    return end
