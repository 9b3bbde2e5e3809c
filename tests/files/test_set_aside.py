"""Changes beyond the backup limit: asked about before they start, set aside by a rename, undone without room."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import call_faults
from tests.support.attribute_tree import Facts, seen, without_times
from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui, dtui_json
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, StateDiskFull
from tui.core.progress import Meter, Phase
from tui.files.history import backups
from tui.files.history.backups import BackupMode, TooLarge, find, last_to_undo
from tui.files.history.backups import undo_records as kept_acts
from tui.files.history.crash_recovery import recover
from tui.files.verbs import acts
from tui.files.verbs.copy import copy_in
from tui.files.verbs.revert import revert
from tui.files.verbs.undo import undo
from tui.files.write import set_aside
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
LIMIT = 100 << 10

SCRIPT = (
    "mkdir -p /srv/d/e; head -c 300000 /dev/urandom > /srv/d/large; ln /srv/d/large /srv/d/e/other; "
    "chmod 640 /srv/d/large; echo small > /srv/d/small; truncate -s 9000000 /srv/d/holes; ln -s large /srv/d/link; "
    "touch -d @1000 /srv/d/large; head -c 300000 /dev/urandom > /app/keep.txt; chown 7:8 /srv/d/small"
)
OTHERS = ("proc", "sys", "dev", "etc/hosts", "etc/hostname", "etc/resolv.conf")


@pytest.fixture(autouse=True)
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that a small file is beyond."""
    monkeypatch.setattr(backups, "ACT_LIMIT", LIMIT)


def told(box: Box) -> Facts:
    return without_times(seen(box, "/", leave=OTHERS))


def remove(box: Box, path: bytes, keep: BackupMode) -> acts.ChangeResult:
    return acts.remove(box.id, path, inspect=box.inspect, recursive=True, keep=keep)


def places(box: Box) -> list[Path]:
    """Return what was set aside on the disk of an engine."""
    return list(box.engine.root.rglob(set_aside.NAME))


@STATES
@pytest.mark.promise("limit-asked-before")
def test_act_beyond_limit_offers_choices(boxes: Boxes, alive: bool, private_state: Path) -> None:
    box = boxes(SCRIPT, alive=alive)
    before = told(box)
    with pytest.raises(TooLarge) as caught:
        remove(box, b"/srv/d", BackupMode.USUAL)
    choices = caught.value.choices
    assert 300_000 <= choices.size < 320_000  # one of two names, and no holes
    assert not choices.copy
    assert not choices.nothing
    assert bool(choices.aside) == alive
    assert told(box) == before
    assert not [*private_state.glob("backups/*/*")]
    remove(box, b"/srv/d", BackupMode.COPY)
    assert not box.exists(b"/srv/d")
    box.undo()
    assert told(box) == before


@pytest.mark.promise("limit-asked-before")
def test_copy_beyond_limit_is_not_dropped(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes(SCRIPT)
    monkeypatch.setattr(backups, "TOTAL_LIMIT", LIMIT)
    kept = remove(box, b"/srv/d", BackupMode.COPY).act
    assert kept is not None
    for number in range(10):
        box.write(b"/app/start.sh", b"x" * 20_000 + b"%d" % number)
    assert kept.id in [act.id for act in kept_acts(box.id)]
    assert len(list(kept_acts(box.id))) < 11


@pytest.mark.promise("set-aside-by-rename")
@pytest.mark.parametrize("path", [b"/srv/d", b"/srv/d/large", b"/app/keep.txt", b"/app"])
def test_set_aside_moves_and_undo_moves_back(boxes: Boxes, path: bytes, private_state: Path) -> None:
    box = boxes(SCRIPT)
    before = told(box)
    inode = (box.upper / os.fsdecode(path).lstrip("/")).stat().st_ino
    outcome = remove(box, path, BackupMode.ASIDE)
    act = outcome.act
    assert act is not None
    assert act.aside is not None
    assert (act.aside.directory / os.fsdecode(path).rpartition("/")[2]).stat().st_ino == inode
    assert act.size >= 300_000
    assert sum(file.stat().st_size for file in act.folder.iterdir()) < 20_000
    assert not box.exists(path)
    box.start()  # the container does not see it either
    assert box.sh(f"test -e {os.fsdecode(path)} || echo gone") == "gone\n"
    box.stop()
    box.undo()
    assert told(box) == before
    assert (box.upper / os.fsdecode(path).lstrip("/")).stat().st_ino == inode
    assert not places(box)
    box.start()
    assert box.sh(f"test -e {os.fsdecode(path)} && echo there") == "there\n"


@UNION
@pytest.mark.promise("set-aside-by-rename")
def test_revert_sets_aside_layer_entries(boxes: Boxes) -> None:
    box = boxes(SCRIPT)
    before = told(box)
    with pytest.raises(TooLarge) as caught:
        box.revert(b"/app/keep.txt")
    assert not caught.value.choices.aside
    revert(box.id, b"/app/keep.txt", inspect=box.inspect, keep=BackupMode.ASIDE)
    assert "C /app/keep.txt" not in box.diff()
    box.undo()
    assert told(box) == before
    revert(box.id, b"/", inspect=box.inspect, keep=BackupMode.ASIDE)
    box.undo()
    assert told(box) == before


@pytest.mark.promise("set-aside-by-rename")
def test_set_aside_goes_with_its_container(boxes: Boxes) -> None:
    box = boxes(SCRIPT)
    remove(box, b"/srv/d", BackupMode.ASIDE)
    assert places(box)
    box.engine.docker("rm", box.name)
    assert not places(box)


def test_set_aside_is_refused_while_it_runs(boxes: Boxes) -> None:
    box = boxes(SCRIPT, alive=True)
    with pytest.raises(EditRefused, match="the container runs"):
        remove(box, b"/srv/d", BackupMode.ASIDE)
    assert box.exists(b"/srv/d/large")


def test_undo_of_set_aside_while_it_runs(boxes: Boxes) -> None:
    box = boxes(SCRIPT)
    remove(box, b"/srv/d/large", BackupMode.ASIDE)
    box.start()
    if box.details.container.driver.name == "vfs":
        box.undo()
    else:
        with pytest.raises(EditRefused, match="stop the container"):
            box.undo()
        box.stop()
        box.undo()
    assert len(box.read(b"/srv/d/large")) == 300_000


def test_undo_of_set_aside_keeps_new_entry(boxes: Boxes) -> None:
    box = boxes(SCRIPT)
    remove(box, b"/srv/d/large", BackupMode.ASIDE)
    (act,) = kept_acts(box.id)
    box.write(b"/srv/d/large", b"new\n", create=True)
    with pytest.raises(ChangedMeanwhile, match="exists again"):
        undo(act, inspect=box.inspect, save=box.files.save, force=True)
    assert box.read(b"/srv/d/large") == b"new\n"
    box.remove(b"/srv/d/large")
    undo(act, inspect=box.inspect, save=box.files.save)
    assert len(box.read(b"/srv/d/large")) == 300_000


@UNION
@STATES
@pytest.mark.promise("image-bytes-need-no-copy")
@pytest.mark.parametrize("path", [b"/l/d/large", b"/l"])
def test_image_file_delete_needs_no_copy(boxes: Boxes, alive: bool, path: bytes) -> None:
    script = "mkdir -p /l/d; head -c 300000 /dev/urandom > /l/d/large; ln /l/d/large /l/other; echo s > /l/small"
    boxes.engine.layered_image("shop/large:1", "shop/base:1", script)
    box = boxes(alive=alive, image="shop/large:1")
    before, diff = told(box), box.diff()
    act = box.remove(path, recursive=True).act
    assert act is not None
    assert act.size == 0
    assert act.data.stat().st_size == 0
    assert json.loads((act.folder / "act.json").read_text())["version"] == 2
    assert not box.exists(path)
    again = box.undo().act
    assert told(box) == before
    if not alive:
        assert box.diff() == diff  # what hid it is gone, and no copy is in the layer
    assert again is not None
    undo(find(again.id), inspect=box.inspect, save=box.files.save, keep=BackupMode.COPY)
    assert not box.exists(path)
    undo(next(kept_acts(box.id)), inspect=box.inspect, save=box.files.save)
    assert told(box) == before


@UNION
@STATES
@pytest.mark.promise("image-bytes-need-no-copy")
def test_other_process_restores_image_file(boxes: Boxes, alive: bool) -> None:
    box = boxes(alive=alive)
    before = told(box)
    box.remove(b"/app", recursive=True)
    dtui("-H", box.engine.host, "undo", "web")
    assert told(box) == before


@UNION
@pytest.mark.promise("image-bytes-need-no-copy")
def test_undo_after_start_restores_image_file(boxes: Boxes) -> None:
    box = boxes()
    before = told(box)
    box.remove(b"/app", recursive=True)
    box.start()
    box.undo()
    assert told(box) == before


LONE = b"/srv/lone"
EXCHANGED = (
    SCRIPT + f"; head -c 300000 /dev/urandom > {LONE.decode()}; chown 7:8 {LONE.decode()}; chmod 640 {LONE.decode()}"
)


def replacing(box: Box, tmp_path: Path, verb: str) -> Callable[[BackupMode], object]:
    """Return a change that replaces a large file by another large one, or takes away what made it large."""
    source = tmp_path / "lone"
    source.write_bytes(os.urandom(200_000))
    changes: dict[str, Callable[[BackupMode], object]] = {
        "write": lambda keep: box.files.save(LONE, source.read_bytes(), None, SaveOptions(keep=keep)),
        "copy in": lambda keep: copy_in(box.id, source, LONE, inspect=box.inspect, keep=keep),
        "undo": lambda keep: undo(last_to_undo(box.id), inspect=box.inspect, save=box.files.save, keep=keep),
    }
    if verb == "undo write":
        changes["write"](BackupMode.COPY)
    if verb == "undo copy in":
        copy_in(box.id, source, b"/srv/new", inspect=box.inspect)
    return changes["undo" if verb.startswith("undo") else verb]


VERBS = pytest.mark.parametrize("verb", ["write", "copy in", "undo write", "undo copy in"])


@VERBS
@pytest.mark.promise("set-aside-by-rename")
def test_every_verb_sets_a_large_file_aside(boxes: Boxes, tmp_path: Path, verb: str) -> None:
    box = boxes(EXCHANGED)
    act = replacing(box, tmp_path, verb)
    before = told(box)
    with pytest.raises(TooLarge) as caught:
        act(BackupMode.USUAL)
    assert not caught.value.choices.aside
    assert told(box) == before
    act(BackupMode.ASIDE)
    after = told(box)
    assert after != before
    kept = next(kept_acts(box.id))
    assert kept.aside is not None
    assert sum(file.stat().st_size for file in kept.folder.iterdir()) < 20_000
    back = undo(kept, inspect=box.inspect, save=box.files.save).act
    assert told(box) == before
    if back is not None:
        undo(find(back.id), inspect=box.inspect, save=box.files.save)
        assert told(box) == after
    dtui("backups", "purge", "--force")
    assert not places(box)
    assert told(box) == (before if back is None else after)


@VERBS
@pytest.mark.promise("limit-asked-before")
def test_set_aside_refusal_gives_reason(boxes: Boxes, tmp_path: Path, verb: str) -> None:
    box = boxes(EXCHANGED, alive=True)
    act = replacing(box, tmp_path, verb)
    with pytest.raises(TooLarge, match="the container runs") as caught:
        act(BackupMode.USUAL)
    assert "cannot be set aside: the container runs" in str(caught.value.hint)
    with pytest.raises(EditRefused, match="the container runs"):
        act(BackupMode.ASIDE)


@pytest.mark.promise("set-aside-by-rename")
def test_undo_of_exchange_keeps_later_write(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes(EXCHANGED)
    replacing(box, tmp_path, "write")(BackupMode.ASIDE)
    box.files.save(LONE, b"newer\n", None, SaveOptions(keep=BackupMode.COPY))
    act = list(kept_acts(box.id))[1]
    with pytest.raises(ChangedMeanwhile, match="was changed since"):
        undo(act, inspect=box.inspect, save=box.files.save)
    back = undo(act, inspect=box.inspect, save=box.files.save, force=True).act
    assert len(box.read(LONE)) == 300_000
    assert back is not None
    undo(find(back.id), inspect=box.inspect, save=box.files.save)
    assert box.read(LONE) == b"newer\n"


@pytest.mark.promise("set-aside-by-rename")
def test_undo_of_exchange_keeps_later_owner(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes(EXCHANGED)
    replacing(box, tmp_path, "write")(BackupMode.ASIDE)
    os.chown(box.upper / "srv" / "lone", 9, 10)
    undo(last_to_undo(box.id), inspect=box.inspect, save=box.files.save)
    status = (box.upper / "srv" / "lone").stat()
    assert (status.st_size, status.st_uid, status.st_gid, status.st_mode & 0o777) == (300_000, 9, 10, 0o640)


@UNION
@STATES
@pytest.mark.promise("image-bytes-need-no-copy")
def test_large_image_file_write_needs_no_copy(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    boxes.engine.layered_image(
        "shop/large:1", "shop/base:1", "mkdir /l; for f in a b; do head -c 300000 /dev/urandom > /l/$f; done"
    )
    box = boxes(alive=alive, image="shop/large:1")
    before = told(box)
    (tmp_path / "new").write_bytes(b"copied\n")
    for change in (
        lambda: box.write(b"/l/a", b"new\n"),
        lambda: copy_in(box.id, tmp_path / "new", b"/l/b", inspect=box.inspect),
    ):
        change()
        assert told(box) != before
        assert next(kept_acts(box.id)).data.stat().st_size == 0
        dtui("-H", box.engine.host, "undo", "web")
        assert told(box) == before


@VERBS
@pytest.mark.promise("set-aside-by-rename")
def test_exchange_killed_leaves_old_or_new(boxes: Boxes, tmp_path: Path, verb: str) -> None:
    box = boxes(EXCHANGED)
    act = replacing(box, tmp_path, verb)
    old = told(box)
    calls = ("renameat2",) if verb.startswith("undo") else ("renameat2", "fsync", "rename", "unlinkat")
    for call in calls:  # an act is taken back but once
        for turn in range(1, 40):
            ended = call_faults.run(lambda: act(BackupMode.ASIDE), f"inject={call}:signal=KILL:when={turn}")
            recover(box.inspect)
            if told(box) != old:
                assert len(places(box)) == 1
                undo(next(kept_acts(box.id)), inspect=box.inspect, save=box.files.save, keep=BackupMode.NOTHING)
                assert told(box) == old
                break
            assert not places(box)
            assert ended.how == "killed"


@pytest.mark.promise("set-aside-by-rename")
def test_exchange_undo_killed_is_old_or_new(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes(EXCHANGED)
    old = told(box)
    change = replacing(box, tmp_path, "write")
    for call in ("renameat2", "fsync", "rename", "unlinkat"):
        for turn in range(1, 40):
            if told(box) == old:
                change(BackupMode.ASIDE)
            new = told(box)
            ended = call_faults.run(box.undo, f"inject={call}:signal=KILL:when={turn}")
            recover(box.inspect)
            if ended.how != "killed":
                break
            if told(box) != old:
                assert told(box) == new
    if told(box) != old:
        box.undo()
    assert told(box) == old


KILLS = ("rename", "renameat2", "fsync", "unlink", "rmdir", "unlinkat")


@pytest.mark.promise("set-aside-by-rename")
@pytest.mark.parametrize("call", KILLS)
def test_set_aside_killed_leaves_old_or_new(boxes: Boxes, call: str) -> None:
    box = boxes(SCRIPT)
    old = told(box)
    ends = []
    for turn in range(1, 60):
        ended = call_faults.run(
            lambda: remove(box, b"/srv/d", BackupMode.ASIDE), f"inject={call}:signal=KILL:when={turn}"
        )
        recover(box.inspect)
        new = not box.exists(b"/srv/d")
        ends.append(new)
        if not new:
            assert told(box) == old
            assert not places(box)
        else:
            (act,) = [one for one in kept_acts(box.id) if one.done and not one.undone]
            undo(act, inspect=box.inspect, save=box.files.save)
            assert told(box) == old
        if ended.how != "killed":
            break
    assert ends[-1]


@pytest.mark.promise("set-aside-by-rename")
@pytest.mark.parametrize("call", ["rename", "renameat2", "fsync", "unlinkat", "rmdir"])
def test_set_aside_undo_killed_is_old_or_new(boxes: Boxes, call: str) -> None:
    box = boxes(SCRIPT)
    old = told(box)
    for turn in range(1, 30):
        if box.exists(b"/srv/d"):
            remove(box, b"/srv/d", BackupMode.ASIDE)
        ended = call_faults.run(box.undo, f"inject={call}:signal=KILL:when={turn}")
        recover(box.inspect)
        if box.exists(b"/srv/d"):
            assert told(box) == old
        if ended.how != "killed":
            break
    if not box.exists(b"/srv/d"):
        box.undo()
    assert told(box) == old


def test_cli_sets_aside_lists_and_purges(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes(SCRIPT)
    before = told(box)
    monkeypatch.setenv("DTUI_STATE", os.environ["DTUI_STATE"])
    words = ("-H", box.engine.host, "rm", "-r", "web:/srv/d")
    done = dtui_json(*words, "--set-aside")
    assert done["backup"]
    assert not box.exists(b"/srv/d")
    (listed,) = dtui_json("backups")
    assert listed["bytes"] >= 300_000
    assert set_aside.NAME in listed["place"]
    dtui("-H", box.engine.host, "undo", "web")
    assert told(box) == before
    dtui(*words, "--set-aside")
    dtui("backups", "purge", "--force")
    assert not box.exists(b"/srv/d")
    assert not places(box)
    assert dtui_json("backups") == []


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of a few pages for all that dtui keeps."""
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=512k", "tiny", place], check=True)
    monkeypatch.setenv("DTUI_STATE", str(place / "state"))
    yield place
    subprocess.run(["/bin/umount", "-l", place], check=True)


@STATES
@pytest.mark.promise("undo-without-room")
@pytest.mark.parametrize("what", ["write", "delete", "chmod"])
def test_undo_without_copy_on_full_state_disk(boxes: Boxes, tiny: Path, alive: bool, what: str) -> None:
    box = boxes(SCRIPT, alive=alive)
    before = told(box)
    changes: dict[str, Callable[[], object]] = {
        "write": lambda: box.write(b"/srv/d/small", b"y" * 50_000),
        "delete": lambda: box.remove(b"/srv/d/small"),
        "chmod": lambda: box.chmod(b"/srv/d/small", "600"),
    }
    changes[what]()
    (tiny / "filler").write_bytes(bytes(os.statvfs(tiny).f_bavail << 12))
    with pytest.raises(StateDiskFull):
        box.undo()
    outcome = undo(last_to_undo(box.id), inspect=box.inspect, save=box.files.save, keep=BackupMode.NOTHING)
    assert outcome.act is None
    assert told(box) == before
    with pytest.raises(DtuiError, match="nothing to"):
        box.undo()


@STATES
@pytest.mark.promise("undo-without-room")
def test_no_copy_undo_killed_is_old_or_new(boxes: Boxes, alive: bool) -> None:
    box = boxes(SCRIPT, alive=alive)
    before = told(box)
    for turn in range(1, 40):
        if box.exists(b"/srv/d/e"):
            call_faults.run(lambda: remove(box, b"/srv/d", BackupMode.COPY))
        act = last_to_undo(box.id)
        ended = call_faults.run(
            lambda act=act: undo(act, inspect=box.inspect, save=box.files.save, keep=BackupMode.NOTHING),
            f"inject=renameat2:signal=KILL:when={turn}",
        )
        recover(box.inspect)
        assert told(box) == before or not box.exists(b"/srv/d")
        if ended.how != "killed":
            break
    assert told(box) == before


@pytest.mark.promise("progress-in-bytes")
def test_progress_advances_within_one_file(boxes: Boxes) -> None:
    box = boxes("head -c 5000000 /dev/urandom > /srv/large")
    lines: list[tuple[Phase | None, int, int]] = []
    meter = Meter(lambda meter: lines.append((meter.phase, meter.done, meter.total)))
    with meter.watching():
        remove(box, b"/srv/large", BackupMode.COPY)
        box.undo()
    kept = [done for phase, done, total in lines if phase is Phase.KEEP and total >= 5_000_000]
    restored = [done for phase, done, total in lines if phase is Phase.RESTORE and total >= 5_000_000]
    assert len(set(kept)) > 4
    assert len(set(restored)) > 4
    assert kept[-1] == restored[-1] == 5_000_000
    assert meter.final


@pytest.mark.promise("progress-in-bytes")
def test_stop_within_one_file_changes_nothing(boxes: Boxes) -> None:
    box = boxes("head -c 5000000 /dev/urandom > /srv/large")
    meter = Meter(lambda meter: meter.stop() if meter.done > 2_000_000 else None)
    with meter.watching(), pytest.raises(DtuiError, match="stopped; nothing was changed"):
        remove(box, b"/srv/large", BackupMode.COPY)
    assert len(box.read(b"/srv/large")) == 5_000_000
    assert not list(kept_acts(box.id))
