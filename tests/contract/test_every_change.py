"""One contract for all ways to a container's files: each change, its undo and its redo do the same, or are refused.

The ways are layers that the kernel unites, layers that dtui unites, a full tree, a running container, and the archive
API of an engine that is elsewhere. A kind of change, a verb or an option without a row fails the test.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.attribute_tree import place_of
from tests.support.boxes import Box, Boxes
from tests.support.dockerd import Dockerd
from tests.support.tree_state import CAPABILITY, acl
from tui.cli import parser
from tui.core.errors import ChangedMeanwhile, DtuiError, NotFound
from tui.core.records import EntryKind
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files import ways
from tui.files.container_files import ContainerFiles, Verb
from tui.files.history.backups import BackupMode, UndoKind, UndoRecord, last_to_undo
from tui.files.history.backups import undo_records as kept_acts
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.verbs import remote_save
from tui.files.verbs.copy import readable_tree
from tui.files.write.options import SaveOptions
from tui.linux.syscalls import syncfs
from tui.services.files_of import files_of

pytestmark = [pytest.mark.engine, pytest.mark.promise("one-contract-for-all-files")]

OLD = 1_600_000_000_123_456_789
OF_THE_IMAGE = (b"/tree", b"/conf.d")
LOST = "only the Engine reaches the files"
"""Why an act on names or metadata is refused where only the archive API is."""


@dataclass(frozen=True)
class World:
    """A container reached in one way, and the directory in it that a change has for itself."""

    box: Box
    files: ContainerFiles
    endpoint: LiveEndpoint
    top: bytes
    host: Path

    @property
    def by_engine(self) -> bool:
        return self.files.archive is not None

    def place(self, path: bytes) -> bytes:
        return path if path.startswith(OF_THE_IMAGE) else self.top + path


Do = Callable[[World], object]


@dataclass(frozen=True)
class Row:
    """A change: how it is done, what it is kept as, and why a way refuses it."""

    verb: str
    kind: UndoKind | None
    do: Do
    engine: str = ""
    """Why the archive API refuses it."""
    undo_at_rest: str = ""
    """Why the archive API cannot take it back in a container that does not run."""
    foreign: str = ""
    """The file that somebody else writes before it is taken back."""


def save(path: bytes, data: bytes = b"new bytes\n", **options: Any) -> Do:
    return lambda world: world.files.save(world.top + path, data, None, SaveOptions(**options))


def in_place(world: World) -> None:
    assert world.files.save(world.top + b"/f", b"new bytes\n", None, SaveOptions(in_place=True)).in_place


def act(verb: Verb, path: bytes, *arguments: object, **options: Any) -> Do:
    """Return an act on a path below the directory of the row, or on one of the image's."""
    return lambda world: getattr(world.files, verb)(world.place(path), *arguments, **options)


def moved(old: bytes, new: bytes) -> Do:
    return lambda world: world.files.rename(world.place(old), world.top + new)


def copied(name: str, goal: bytes) -> Do:
    return lambda world: world.files.copy_in(world.host / name, world.top + goal)


NO_RM = "cannot delete .* in a container that does not run"
IN_PLACE = "cannot be overwritten in place through the Engine"

ROWS = {
    "write": Row("write", UndoKind.WRITE, save(b"/f")),
    "write, and theirs comes": Row("write", UndoKind.WRITE, save(b"/f"), foreign="f"),
    "write nothing": Row("write", UndoKind.WRITE, save(b"/f", b"")),
    "write a mode": Row("write", UndoKind.WRITE, save(b"/f", mode=0o604)),
    "write a time": Row("write", UndoKind.WRITE, save(b"/f", mtime_ns=OLD + 7 * 10**9)),
    "write through a link": Row("write", UndoKind.WRITE, save(b"/to-f")),
    "write in place": Row("write", UndoKind.WRITE, in_place, engine=IN_PLACE),
    "write in place, and theirs comes": Row("write", UndoKind.WRITE, in_place, engine=IN_PLACE, foreign="f"),
    "write for good": Row("write", None, save(b"/f", keep=BackupMode.NOTHING)),
    "create": Row("write", UndoKind.CREATE, save(b"/n", create=True), undo_at_rest=NO_RM),
    "create, and theirs comes": Row(
        "write", UndoKind.CREATE, save(b"/n", create=True), undo_at_rest=NO_RM, foreign="n"
    ),
    "create with a mode": Row("write", UndoKind.CREATE, save(b"/n", create=True, mode=0o600), undo_at_rest=NO_RM),
    "create at a lost link": Row("write", UndoKind.CREATE, save(b"/lost", create=True), undo_at_rest=NO_RM),
    "create for good": Row("write", None, save(b"/n", create=True, keep=BackupMode.NOTHING)),
    "rm": Row("rm", UndoKind.REMOVE, act(Verb.REMOVE, b"/f"), engine=LOST),
    "rm, and theirs comes": Row("rm", UndoKind.REMOVE, act(Verb.REMOVE, b"/f"), engine=LOST, foreign="f"),
    "rm of one name": Row("rm", UndoKind.REMOVE, act(Verb.REMOVE, b"/d/one"), engine=LOST),
    "rm -r": Row("rm", UndoKind.REMOVE, act(Verb.REMOVE, b"/d", recursive=True), engine=LOST),
    "rm -r of the image": Row("rm", UndoKind.REMOVE, act(Verb.REMOVE, b"/tree/b", recursive=True), engine=LOST),
    "rm for good": Row("rm", None, act(Verb.REMOVE, b"/d", recursive=True, keep=BackupMode.NOTHING), engine=LOST),
    "mv": Row("mv", UndoKind.RENAME, moved(b"/f", b"/g"), engine=LOST),
    "mv, and theirs comes": Row("mv", UndoKind.RENAME, moved(b"/f", b"/g"), engine=LOST, foreign="g"),
    "mv of a directory": Row("mv", UndoKind.RENAME, moved(b"/d", b"/moved"), engine=LOST),
    "mv of the image's": Row("mv", UndoKind.RENAME, moved(b"/tree/a", b"/moved"), engine=LOST),
    "mkdir": Row("mkdir", UndoKind.MKDIR, act(Verb.MKDIR, b"/m"), engine=LOST),
    "mkdir -p": Row("mkdir", UndoKind.MKDIR, act(Verb.MKDIR, b"/m/n/o", parents=True), engine=LOST),
    "chmod -R": Row("chmod", UndoKind.CHMOD, act(Verb.CHMOD, b"", "u=rwx,go-rwx", recursive=True), engine=LOST),
    "chown -R": Row("chown", UndoKind.CHOWN, act(Verb.CHOWN, b"", "7:8", recursive=True), engine=LOST),
    "cp of a file": Row("cp", UndoKind.COPY, copied("file", b"/copied"), engine=LOST),
    "cp of a file, and theirs comes": Row(
        "cp", UndoKind.COPY, copied("file", b"/copied"), engine=LOST, foreign="copied"
    ),
    "cp over a file": Row("cp", UndoKind.COPY, copied("file", b"/f"), engine=LOST),
    "cp of a directory": Row("cp", UndoKind.COPY, copied("pack", b""), engine=LOST),
    "revert of an edit": Row("revert", UndoKind.REVERT, act(Verb.REVERT, b"/conf.d/a.conf"), engine=LOST),
    "revert of a deletion": Row("revert", UndoKind.REVERT, act(Verb.REVERT, b"/conf.d/b.conf"), engine=LOST),
    "revert of an addition": Row("revert", UndoKind.REVERT, act(Verb.REVERT, b"/conf.d/added"), engine=LOST),
    "revert of a directory": Row("revert", UndoKind.REVERT, act(Verb.REVERT, b"/conf.d"), engine=LOST),
}

VERBS = {
    "write": Verb.SAVE,
    "rm": Verb.REMOVE,
    "mv": Verb.RENAME,
    "mkdir": Verb.MKDIR,
    "chmod": Verb.CHMOD,
    "chown": Verb.CHOWN,
    "cp": Verb.COPY_IN,
    "revert": Verb.REVERT,
}
"""The method of a container's files that each verb of the command line calls."""

TAKING_BACK = {"undo": UndoKind.UNDO, "redo": UndoKind.REDO}
"""What takes a change back, and that again: done to each row."""

SCRIPT = "echo mine > /conf.d/a.conf; rm /conf.d/b.conf; mkdir /conf.d/added; echo n > /conf.d/added/n; mkdir /c"


def test_no_kind_of_change_is_without_a_row() -> None:
    assert {row.kind for row in ROWS.values()} - {None} | set(TAKING_BACK.values()) == set(UndoKind)


def test_every_changing_verb_has_a_row() -> None:
    changing = set()
    for verb, arguments in parser._ARGUMENTS.items():
        words = argparse.ArgumentParser()
        arguments(words)
        if "--wait" in words._option_string_actions:
            changing.add(verb)
    assert changing == {row.verb for row in ROWS.values()} | {"undo"}


@pytest.mark.promise("options-honoured-or-refused")
def test_files_classes_share_signatures() -> None:
    """An option that one way does not take, or takes and drops, is found here."""
    for name, method in inspect.getmembers(ways.Files, inspect.isfunction):
        if name.startswith("_"):
            continue
        for way in (ways.LayerFiles, ways.EngineFiles):
            assert inspect.signature(getattr(way, name)) == inspect.signature(method), (way, name)
        assert inspect.signature(getattr(ContainerFiles, name)) == inspect.signature(method), name
    options = set(inspect.signature(ways.Files.save).parameters) - {"self"}
    assert options - {"stamp"} <= set(inspect.signature(remote_save.save_by_engine).parameters)
    dropped = set(re.findall(r"^ +del (.*)$", inspect.getsource(ways), re.MULTILINE))
    assert dropped <= {"step"}  # an undo that is one request has no steps


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"of the host\n")
    (tmp_path / "pack" / "sub").mkdir(parents=True)
    (tmp_path / "pack" / "sub" / "one").write_bytes(b"one\n")
    (tmp_path / "pack" / "to").symlink_to("sub/one")
    return tmp_path


def furnish(place: Path) -> None:
    """Put everything that a file can have beside its bytes into a directory."""
    (place / "d").mkdir()
    for name, data in (("f", b"old bytes\n"), ("d/one", b"two names\n"), ("d/plain", b"plain\n")):
        (place / name).write_bytes(data)
    os.link(place / "d/one", place / "d/two")
    (place / "to-f").symlink_to("f")
    (place / "lost").symlink_to("made")
    os.mkfifo(place / "d/pipe")
    for name in ("f", "d/plain"):
        os.chown(place / name, 1001, 1002)
        os.setxattr(place / name, "system.posix_acl_access", acl(1234))
        os.setxattr(place / name, "user.note", b"\0mine\xff")
        (place / name).chmod(0o4755)
        os.setxattr(place / name, "security.capability", CAPABILITY)
    os.chown(place, 5, 6)
    for path in (*place.rglob("*"), place):
        os.utime(path, ns=(OLD, OLD), follow_symlinks=False)


Look = dict[bytes, tuple[EntrySnapshot, bytes, bytes]]


def inode_in_layer(box: Box, path: bytes, node: EntrySnapshot) -> tuple[int, int]:
    """Return what tells that two names are of one file, (0, 0) for a file with one name.

    fuse-overlayfs numbers a file of two names differently until the kernel has forgotten it, so the layer's own number
    counts.
    """
    if box.engine.driver != "fuse-overlayfs":
        return node.inode
    try:
        status = os.lstat(os.fsencode(box.upper) + path)
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else (0, 0)


def look(world: World) -> Look:
    """Return all there is in the directories that a row may change: what each entry is, its bytes, its first name."""
    if world.box.engine.driver == "fuse-overlayfs" and world.box.details.container.state.alive:
        # until then the kernel and fuse-overlayfs each have a time of their own for what was just written
        mount = os.open(place_of(world.box), os.O_RDONLY | os.O_DIRECTORY)
        syncfs(mount)
        os.close(mount)
    found: Look = {}
    first: dict[tuple[int, int], bytes] = {}
    with readable_tree(world.box.details) as tree:
        todo = [world.top, *OF_THE_IMAGE]
        for path in todo:
            node = tree.look(path)
            if node is None:
                continue
            data = b""
            if node.kind is EntryKind.DIRECTORY:
                todo += [path + b"/" + name for name in sorted(tree.names(path))]
                node = replace(node, mtime_ns=0)  # its names came and went
            elif node.kind is EntryKind.FILE:
                with os.fdopen(tree.open_file(path), "rb") as file:
                    data = file.read()
            inode = inode_in_layer(world.box, path, node)
            name = first.setdefault(inode, path) if inode != (0, 0) else path
            if world.by_engine:  # which tells of a capability alone, and makes a file of its own
                node, name = replace(node, xattrs=tuple(x for x in node.xattrs if "capability" in x[0])), path
            found[path] = (replace(node, inode=(0, 0), names=0), data, name)
    return found


def same(now: Look, wanted: Look, name: str) -> None:
    """Compare two looks, and say of each entry what is not as it was."""
    told = [
        f"{os.fsdecode(path)}: {now.get(path)} is not {wanted.get(path)}"
        for path in sorted(now.keys() | wanted.keys())
        if now.get(path) != wanted.get(path)
    ]
    assert not told, "\n".join([name, *told])


def take_back(world: World, one: UndoRecord, *, force: bool = False) -> UndoRecord | None:
    return world.files.undo(one, force=force).act


def refused(do: Callable[[], object], why: str) -> None:
    """Do what must be refused in one line, which says why."""
    with pytest.raises(DtuiError) as caught:
        do()
    assert re.search(why, str(caught.value)), caught.value
    assert len(str(caught.value).splitlines()) == 1


def cycle(world: World, name: str, row: Row, *, alive: bool) -> None:
    before = look(world)
    why_not = world.files.can(VERBS[row.verb])
    assert bool(why_not) == (world.by_engine and row.engine == LOST), (name, why_not)
    if world.by_engine and row.engine:
        refused(lambda: row.do(world), re.escape(why_not) or row.engine)
        same(look(world), before, name)
        assert not list(kept_acts(world.box.id)), name
        return
    row.do(world)
    after = look(world)
    assert after != before, name
    if row.kind is None:
        assert not list(kept_acts(world.box.id)), name
        return
    (done,) = kept_acts(world.box.id)
    assert (done.kind, done.done, done.undone) == (row.kind, True, False), name
    if world.by_engine and row.undo_at_rest and not alive:
        refused(lambda: take_back(world, done), row.undo_at_rest)
        same(look(world), after, name)
        assert last_to_undo(world.box.id) == done
        return
    if row.foreign:
        _foreign(world, name, row, done, before)
        return
    undone = take_back(world, done)
    same(look(world), before, name)
    refused(lambda: take_back(world, done), "was taken back already")
    if undone is None:  # one rename takes another back, and needs nothing kept
        assert row.kind is UndoKind.RENAME
        return
    assert undone.kind is UndoKind.UNDO
    redone = take_back(world, undone)
    assert redone is not None
    assert redone.kind is UndoKind.REDO
    same(look(world), after, name)
    assert last_to_undo(world.box.id).id == redone.id
    take_back(world, last_to_undo(world.box.id))
    same(look(world), before, name)
    with pytest.raises(NotFound, match="nothing to take back"):
        last_to_undo(world.box.id)


def _foreign(world: World, name: str, row: Row, done: UndoRecord, before: Look) -> None:
    """Have somebody else write what a change left: only force takes that back, and keeps it."""
    place = place_of(world.box) / os.fsdecode(world.top[1:]) / row.foreign
    place.write_bytes(b"theirs\n")
    theirs = look(world)
    with pytest.raises(ChangedMeanwhile, match="was changed since"):
        take_back(world, done)
    same(look(world), theirs, name)
    kept = take_back(world, done, force=True)
    if row.kind is UndoKind.RENAME:  # the file that was renamed has its old name, and their bytes
        assert look(world)[world.top + b"/f"][1] == b"theirs\n"
        return
    same(look(world), before, name)
    assert kept is not None
    assert b"theirs\n" in kept.data.read_bytes(), name


WAYS = [
    *((driver, way) for driver in ("overlay2", "vfs", "fuse-overlayfs") for way in ("stopped", "running")),
    *(("overlay2", way) for way in ("engine, stopped", "engine, running")),
]


@pytest.mark.parametrize(("daemon", "way"), WAYS, indirect=["daemon"], scope="session")
def test_every_change_keeps_the_contract(
    boxes: Boxes,
    daemon: Dockerd,
    way: str,
    host: Path,
    listening: Callable[[Dockerd], str],
) -> None:
    alive = "running" in way
    box = boxes(SCRIPT, alive=alive)
    address = listening(daemon) if "engine" in way else daemon.host
    endpoint = LiveEndpoint("local", address)
    failed = []
    for number, (name, row) in enumerate(ROWS.items()):
        top = place_of(box) / "c" / str(number)
        top.mkdir()
        furnish(top)
        world = World(box, files_of(endpoint, endpoint.inspect(box.id)), endpoint, f"/c/{number}".encode(), host)
        try:
            cycle(world, name, row, alive=alive)
        except (AssertionError, DtuiError, pytest.fail.Exception) as error:  # the other rows tell more
            failed.append(f"{name}: {type(error).__name__}: {error}"[:2000])
        for one in kept_acts(box.id):
            one.forget()
    endpoint.close()
    assert not failed, "\n".join(failed)


AWAY = "by a link that was not there"
SINCE = "was changed since"
PLACES = {
    "a link to its directory": ("mv /d /e; ln -s e /d", AWAY, AWAY),
    "another directory": ("mv /d /e; mkdir /d", "", ""),
    "no directory": ("rm -r /d", "", "does not exist|is no directory"),
    "a file for its directory": ("mv /d /e; echo > /d", "", "does not exist|is no directory|not a directory"),
    "a link": ("mv /d/f /e; ln -s /e /d/f", f"{SINCE}|{AWAY}", f"{SINCE}|{AWAY}"),
    "a directory": ("rm /d/f; mkdir /d/f; echo 3 > /d/f/3", SINCE, SINCE),
    "a fifo": ("rm /d/f; mkfifo /d/f", SINCE, SINCE),
    "other bytes": ("echo y >> /d/f", SINCE, SINCE),
    "the same bytes": ("rm /d/f; printf new > /d/f; chmod 600 /d/f; chown 3 /d/f", "", ""),
}
"""What somebody puts in the place of a file: why the undo of its creation is refused, and that of a write."""


@pytest.mark.parametrize("way", ["running", "engine, running"])
@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_undo_leaves_replacement_untouched(
    boxes: Boxes, daemon: Dockerd, way: str, listening: Callable[[Dockerd], str], host: Path
) -> None:
    box = boxes(alive=True)
    endpoint = LiveEndpoint("local", listening(daemon) if "engine" in way else daemon.host)
    world = World(box, files_of(endpoint, endpoint.inspect(box.id)), endpoint, b"/d", host)
    for name, (script, created, written) in PLACES.items():
        for seed, why in (("mkdir /d", created), ("mkdir /d; echo old > /d/f", written)):
            box.sh(f"rm -rf /d /e; {seed}")
            world.files.save(b"/d/f", b"new", None, SaveOptions(create=True))
            box.sh(script)
            state = "cd /; ls -lnR d e; for f in d/f e/f e; do test -f $f && cat $f; done; true"
            before, done = box.sh(state), last_to_undo(box.id)
            if why:
                refused(lambda done=done: world.files.undo(done), why)  # type: ignore[misc]
                assert box.sh(state) == before, name
            else:
                world.files.undo(done)
                assert box.sh("test -e /d/f && cat /d/f || true") == ("old\n" if "old" in seed else ""), name
            for one in kept_acts(box.id):
                one.forget()
    endpoint.close()
