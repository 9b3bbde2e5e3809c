"""Acts on many entries and on deep trees: the work for an entry does not grow with the tree, and nothing is parted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tui.core.records import View
from tui.files.history import journal
from tui.files.history.backups import BackupWriter, undo_records
from tui.files.verbs.copy import copy_in
from tui.files.verbs.undo import undo
from tui.layers.changes import changes, walk
from tui.layers.usage import usage, usage_of
from tui.layers.view import LayerView
from tui.linux import rooted_paths, syscalls
from tui.linux.remove_tree import remove_tree

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
LONG = "d" * 250
LEVELS = 40
"""So many long names are more than twice what a system call takes."""


def inside(box: Box) -> Path:
    """Return where the host sees what the container has at /srv."""
    alive = box.details.container.state.alive
    return Path(f"/proc/{box.details.pid}/root/srv") if alive else box.upper / "srv"


def plant(top: Path, levels: int, name: str = "d", *, comb: bool = True) -> None:
    """Make directories one in the other, each with a file and another directory in it."""
    top.mkdir(parents=True)
    fd = os.open(top, os.O_RDONLY)
    for level in range(levels):
        os.mkdir(name, dir_fd=fd)
        with open(os.open("f", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd), "w") as file:
            file.write(f"{level}\n")
        if comb:
            os.mkdir("e", dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def clear(top: Path) -> None:
    fd = os.open(top.parent, os.O_RDONLY)
    remove_tree(fd, os.fsencode(top.name))
    os.close(fd)


def listed(top: Path) -> list[tuple[str, int, bytes]]:
    """Return depth, mode and content of all below a directory, by descriptor."""
    found: list[tuple[str, int, bytes]] = []
    todo = [("", os.open(top, os.O_RDONLY))]
    while todo:
        path, fd = todo.pop()
        for name in sorted(os.listdir(fd)):
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
            if os.path.isdir(f"/proc/self/fd/{fd}/{name}"):
                todo.append((path + name[:2], os.open(name, os.O_RDONLY, dir_fd=fd)))
                found.append((path + name[:2], mode, b""))
            else:
                with open(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as file:
                    found.append((path + name[:2], mode, file.read()))
        os.close(fd)
    return sorted(found)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count calls by which paths are opened, by which something is made durable, and records of the journal."""
    found: Counter[str] = Counter()

    def counting(name: str, plain: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            found[name] += 1
            return plain(*given, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(syscalls, "_openat2", counting("open", syscalls._openat2))
        patch.setattr(os, "fsync", counting("fsync", os.fsync))
        patch.setattr(journal, "_store", counting("record", journal._store))
        nodes = BackupWriter.nodes.fget
        assert nodes is not None
        patch.setattr(BackupWriter, "nodes", property(counting("nodes", nodes)))
        yield found


def acts_on(box: Box, path: bytes, out: Path) -> dict[str, Callable[[], object]]:
    return {
        "chmod": lambda: box.chmod(path, "o-rx", recursive=True),
        "undo chmod": box.undo,
        "delete": lambda: box.remove(path, recursive=True),
        "undo delete": box.undo,
        "revert": lambda: box.revert(path),
        "undo revert": box.undo,
        "copy out": lambda: box.copy_out(path, out),
        "copy in": lambda: box.copy_in(out, path + b"-copy"),
        "undo copy in": box.undo,
    }


@pytest.mark.promise("deep-trees-linear")
@STATES
def test_opens_per_entry_ignore_depth(
    boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    monkeypatch.setattr(rooted_paths, "_TRAIL_MAX_AGE", 0.0)  # on a busy machine the way is looked up again more often
    box = boxes("mkdir /srv/x", alive=alive)
    opens: dict[int, dict[str, float]] = {}
    for levels in (30, 150):
        plant(inside(box) / f"t{levels}", levels)
        opens[levels] = {}
        for name, act in acts_on(box, b"/srv/t%d" % levels, tmp_path / f"out{levels}").items():
            with counted(monkeypatch) as calls:
                act()
            opens[levels][name] = calls["open"] / (3 * levels)
    for name, count in opens[30].items():
        assert opens[150][name] <= 1.5 * count + 2, (name, opens)


@pytest.mark.promise("deep-trees-linear")
@STATES
def test_acts_work_beyond_path_max(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    box = boxes("mkdir /srv/x", alive=alive)
    top = inside(box) / "t"
    plant(top, LEVELS, LONG)
    before = listed(top)
    stack = box.details.stack
    assert stack is not None
    with LayerView.open(stack) as view:
        assert len([one for one in changes(view) if one.path.startswith(b"/srv/t/")]) == 3 * LEVELS
        assert len([one for _, one in walk(view, b"/srv/t", View.MERGED, 0)]) == 3 * LEVELS
        assert usage(view) >= sum(len(data) for _, _, data in before)
        assert usage_of(box.upper) > 0
    for name, act in acts_on(box, b"/srv/t", tmp_path / "out").items():
        act()
        if name == "chmod":
            assert all(not mode & 0o5 for _, mode, _ in listed(top))
        if name in ("delete", "revert"):
            assert not top.exists()
        if name.startswith("undo"):
            assert listed(top) == before, name
        if name == "copy in":
            assert [one[::2] for one in listed(top.with_name("t-copy"))] == [one[::2] for one in before]
    assert [one[::2] for one in listed(tmp_path / "out")] == [one[::2] for one in before]
    box.rename(b"/srv/t", b"/srv/other")
    assert listed(top.with_name("other")) == before
    for place in (top.with_name("other"), tmp_path / "out"):
        clear(place)


MANY = 400


@pytest.mark.promise("one-record-a-directory")
@STATES
def test_record_and_sync_counts_stay_bounded(
    boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    box = boxes(
        f"mkdir -p /srv/t/d; cd /srv/t; for i in $(seq {MANY}); do echo $i > f$i; ln -s $i d/l$i; done", alive=alive
    )
    for name, act in acts_on(box, b"/srv/t", tmp_path / "out").items():
        with counted(monkeypatch) as calls:
            act()
        assert calls["fsync"] < 60, (name, calls)
        assert calls["record"] <= 4, (name, calls)
        assert calls["nodes"] <= 4, (name, calls)
        if name == "undo chmod":  # before, right before the change, and for the change
            assert calls["open"] <= 3 * (2 * MANY + 20), calls
        if name == "undo delete":
            assert [node.path for node in next(undo_records(box.id)).nodes] == [b"/srv/t"]


@pytest.mark.promise("big-acts-bounded-descriptors")
@STATES
def test_deep_trees_take_few_descriptors(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    box = boxes("mkdir /srv/x", alive=alive)
    top = inside(box) / "t"
    plant(top, 200)
    before = listed(top)
    command = [sys.executable, "-m", "tui", "-H", box.engine.host]
    few = ["/usr/bin/prlimit", "--nofile=64", *command]
    subprocess.run([*few, "cp", "web:/srv/t", tmp_path / "out"], check=True, stdout=subprocess.DEVNULL)
    for words in (("chmod", "-R", "u+x", "web:/srv/t"), ("rm", "-r", "web:/srv/t"), ("undo", "web"), ("undo", "web")):
        subprocess.run([*few, *words], check=True, stdout=subprocess.DEVNULL)
    assert listed(top) == before
    clear(tmp_path / "out")


def names_of(top: Path) -> dict[str, set[str]]:
    """Return which names below a directory are one file, by the first of them."""
    found: dict[tuple[int, int], set[str]] = {}
    for place, _, files in os.walk(top):
        for name in files:
            status = os.lstat(os.path.join(place, name))
            found.setdefault((status.st_dev, status.st_ino), set()).add(os.path.relpath(os.path.join(place, name), top))
    return {min(names): names for names in found.values()}


LINKED = {"a": {"a", "d/b", "d/e/c"}, "alone": {"alone"}, "d/x": {"d/x", "y"}}
PLANT_LINKS = (
    "mkdir -p /srv/t/d/e; cd /srv/t; echo one > a; ln a d/b; ln a d/e/c; echo x > d/x; ln d/x y; echo 1 > alone"
)


@pytest.mark.promise("hard-links-kept-in-copies")
@STATES
def test_copy_out_and_in_keeps_hard_links(boxes: Boxes, tmp_path: Path, alive: bool) -> None:
    box = boxes(PLANT_LINKS, alive=alive)
    box.copy_out(b"/srv/t", tmp_path / "out")
    assert names_of(tmp_path / "out") == LINKED
    box.copy_in(tmp_path / "out", b"/srv/back")
    back = inside(box) / "back"
    assert names_of(back) == LINKED
    undone = box.undo().act
    assert undone is not None
    assert not back.exists()
    undo(undone, inspect=box.inspect, save=box.files.save)
    assert names_of(back) == LINKED
    assert (back / "d" / "e" / "c").read_text() == "one\n"


@pytest.mark.promise("hard-links-kept-in-copies")
def test_link_changed_during_copy_is_split(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes("true")
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("old\n")
    os.link(source / "a", source / "b")
    (source / "c").write_text("c\n")

    def write(count: int, path: bytes) -> None:
        if path == b"/srv/copy/b":
            (source / "a").write_text("newer\n")

    copy_in(box.id, source, b"/srv/copy", inspect=box.inspect, step=write)
    assert box.read(b"/srv/copy/a") == b"old\n"
    assert box.read(b"/srv/copy/b") == b"newer\n"


@pytest.mark.promise("one-record-a-directory")
def test_undo_restores_thousand_hard_links(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes("mkdir /srv/t")
    top = inside(box) / "t"
    (top / "n0").write_text("shared\n")
    for number in range(1, 1_000):
        os.link(top / "n0", top / f"n{number}")
    box.remove(b"/srv/t", recursive=True)
    with counted(monkeypatch) as calls:
        box.undo()
    assert (top / "n999").stat().st_nlink == 1_000
    assert calls["open"] < 10 * 1_000
    assert calls["fsync"] < 60
