"""Directories and files that are swapped for links out of the container while dtui acts on them.

``DTUI_RACE_SECONDS`` sets for how long each kind of act is tried again and again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tui.core.errors import DtuiError, NotFound
from tui.core.id_maps import HOST_IDS
from tui.files.history.backups import UndoKind, last_to_undo
from tui.files.history.crash_recovery import recover
from tui.files.verbs import acts
from tui.files.verbs.acts import ChangeResult
from tui.files.verbs.copy import copy_in, copy_out
from tui.files.verbs.permissions import mode_change, owner_change
from tui.files.verbs.undo import undo
from tui.files.write.options import SaveOptions
from tui.linux.syscalls import renameat2

pytestmark = pytest.mark.engine

SECONDS = float(os.environ.get("DTUI_RACE_SECONDS", "5"))
SECRET = b"SECRET of this host"
PATIENCE = 30.0
"""Seconds that are given to an act which the race starved, beside others on the same machine."""

LONGEST = 40
AT_FDCWD, EXCHANGE = -100, 2

MADE = (
    "mkdir -p /race/www/d/sub /race/pair; cd /race; for i in 1 2 3; do echo $i > www/d/$i; echo $i > www/d/sub/$i; "
    "done; for i in www/file www/a www/added pair/file; do echo inside > $i; done; echo mine > /tree/f"
)
"""What is swapped must be the container's own: a union does not rename an image's directory."""

SWAPPER = """
import ctypes, os, random, signal, sys, time
libc = ctypes.CDLL(None)
here = os.open(sys.argv[1], os.O_RDONLY)
PAIRS = [(b"race/www", b"race/evil"), (b"race/pair/file", b"race/pair/link"), (b"tree/f", b"tree/link")]
going, count = True, 0
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
print("on", flush=True)
while going:
    one, other = random.choice(PAIRS)
    for _ in range(random.choice((1, 1, 2, 3, 50))):
        count += not libc.renameat2(here, one, here, other, 2)
    is_out = any(os.path.islink(os.path.join(os.fsencode(sys.argv[1]), one)) for one, _ in PAIRS)
    time.sleep(random.choice((0, 0.0005, 0.003) if is_out else (0.001, 0.005, 0.02)))
print(count, flush=True)
"""
"""Exchanges names in one step (RENAME_EXCHANGE), in bursts between which all is in its place more often than not, so
that no act is starved."""


@dataclass
class Race:
    """What is tried on one container, and how often each kind of it was done or refused."""

    box: Box
    folder: Path
    top: Path
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        box, host = self.box, self.folder / "host"
        self.names = names_below(self.top / "race" / "www")
        words = {"inspect": box.inspect}
        mode, owner = mode_change("u=rwx,go="), owner_change("7:8", int, int, HOST_IDS)
        self.acts: list[tuple[str, Callable[[], object]]] = [
            ("list", lambda: self.listed(b"/race/www")),
            ("read", lambda: self.clean(box.read(b"/race/www/file"))),
            ("read", lambda: self.clean(box.read(b"/race/pair/file"))),
            ("save", lambda: box.write(b"/race/www/file", b"saved\n")),
            ("save", lambda: box.write(b"/race/pair/file", b"saved\n")),
            ("save", lambda: box.write(b"/race/www/new", b"saved\n", create=True)),
            ("save", lambda: box.files.save(b"/race/www/file", b"in place\n", None, SaveOptions(in_place=True))),
            ("delete", lambda: box.remove(b"/race/www/d", recursive=True)),
            ("delete", lambda: box.remove(b"/race/www/a")),
            ("rename", lambda: box.rename(b"/race/www/a", b"/race/www/b")),
            ("rename", lambda: box.rename(b"/race/www/d", b"/race/elsewhere")),
            ("mkdir", lambda: acts.make_directory(box.id, b"/race/www/m/m", parents=True, **words)),
            ("chmod", lambda: self.changed(b"/race/www/d", mode, UndoKind.CHMOD)),
            ("chmod", lambda: self.changed(b"/race/pair/file", mode, UndoKind.CHMOD)),
            ("chown", lambda: self.changed(b"/race/www/d", owner, UndoKind.CHOWN)),
            ("copy in", lambda: copy_in(box.id, host, b"/race/www/in", **words)),
            ("copy in", lambda: copy_in(box.id, host / "file", b"/race/pair/file", **words)),
            ("copy out", lambda: self.copied(b"/race/www/d")),
            ("copy out", lambda: self.copied(b"/race/pair/file")),
            ("revert", lambda: box.revert(b"/race/www/added")),
            ("revert", lambda: box.revert(b"/tree/f")),
        ]

    def changed(self, path: bytes, change: acts.NodeChange, kind: UndoKind) -> ChangeResult:
        return acts.change_metadata(self.box.id, path, change, kind, inspect=self.box.inspect, recursive=True)

    def listed(self, path: bytes) -> None:
        assert not {b"only-outside"} & set(self.box.names(path))

    def clean(self, data: bytes) -> None:
        assert SECRET not in data

    def copied(self, path: bytes) -> None:
        target = self.folder / "copied"
        target.mkdir()
        try:
            copy_out(self.box.inspect(self.box.id), path, target)
        finally:
            assert not holders_of_secret(target)
            assert not {"only-outside"} & {one.name for one in target.rglob("*")}
            shutil.rmtree(target)

    def attempt(self, name: str, act: Callable[[], object]) -> bool:
        """Do an act and count it; whatever else than a refusal comes out of it is a failure."""
        try:
            act()
        except DtuiError as error:
            self.refused[name] += 1
            self.said.append(f"{name}: {error}")
            return False
        self.done[name] += 1
        return True

    def take_back(self, tries: int) -> bool:
        """Undo until nothing is left to undo; say whether that came about."""
        for number in range(tries):
            try:
                act = last_to_undo(self.box.id)
            except NotFound:
                return True
            # what is itself swapped may be another entry for good: then by force
            force = number > 3 and not act.path.startswith(b"/race/www")
            save = self.box.files.save
            self.attempt("undo", lambda: undo(act, inspect=self.box.inspect, save=save, force=force))  # noqa: B023
        return False

    def calmly(self) -> None:
        """Do each act and take it back while nobody swaps: nothing is refused."""
        for name, act in self.acts:
            assert self.attempt(name, act), self.said
            assert self.take_back(2), self.said
        assert not self.refused, self.said
        self.done.clear()

    def go(self, seconds: float) -> None:
        """Try one act after the other, and to take back what it did; longer while one was not yet done and refused."""
        begin = time.monotonic()
        while (spent := time.monotonic() - begin) < seconds or (self.rare() and spent < seconds + PATIENCE):
            for name, act in self.acts:
                self.attempt(name, act)
                if self.take_back(LONGEST):
                    assert self.whole(), (name, self.said[-5:])

    def whole(self) -> bool:
        """Say whether all that was in the directory is there, under whichever of its two names it has just now."""
        places = [self.top / "race" / name for name in ("www", "evil")]
        return any(names_below(place) == self.names for place in places * 500)  # it may be swapped while it is listed

    def rare(self) -> dict[str, tuple[int, int]]:
        """Return what was not done a few times, or never refused because of the race."""
        names = {name for name, _ in self.acts} | {"undo"}
        counts = {name: (self.done[name], self.refused[name]) for name in sorted(names)}
        return {name: count for name, count in counts.items() if count[0] < 3 or not count[1]}

    def end(self) -> None:
        """Swap back what is in the other's place, and take back what was in the middle when the time was over."""
        for one, other in (("race/www", "race/evil"), ("race/pair/file", "race/pair/link"), ("tree/f", "tree/link")):
            if (self.top / one).is_symlink():
                places = (os.fsencode(self.top / one), os.fsencode(self.top / other))
                renameat2(AT_FDCWD, places[0], AT_FDCWD, places[1], EXCHANGE)
        assert recover(self.box.inspect) == ()
        assert self.take_back(LONGEST), self.said[-5:]


def holders_of_secret(top: Path) -> list[Path]:
    """Return the files below a directory that hold this host's secret."""
    return [path for path in top.rglob("*") if path.is_file() and not path.is_symlink() and SECRET in path.read_bytes()]


def outside_of(folder: Path) -> tuple[Path, ...]:
    """Make what must not be touched nor looked at: a directory, and what is in it."""
    outside = folder / "outside"
    (outside / "d" / "sub").mkdir(parents=True)
    files = [outside / name for name in ("file", "a", "b", "added", "only-outside", "d/1", "d/sub/1", "f")]
    for path in files:
        path.write_bytes(SECRET)
        path.chmod(0o640)
    made = (outside, outside / "d", outside / "d" / "sub", *files)
    for path in made:
        os.utime(path, ns=(0, 10**18))  # who read it would make the first of them younger
    return made


def state_of(made: tuple[Path, ...]) -> list[tuple[object, ...]]:
    """Describe what is outside without reading it: mode, inode, names, owner, size, and its three times."""
    states = [path.lstat() for path in made]
    return [(*one[:7], one.st_atime_ns, one.st_mtime_ns, one.st_ctime_ns) for one in states]


def entries_of(top: Path) -> dict[str, tuple[object, ...]]:
    """Describe what is below a directory."""
    found: dict[str, tuple[object, ...]] = {}
    for path in top.rglob("*"):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(top))] = (status.st_mode, status.st_uid, status.st_gid, data)
    return found


def names_below(top: Path) -> set[str]:
    """List what is below a directory, nothing of one that is a link just now."""
    try:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return set()
    try:
        return {
            os.path.join(here, name).removeprefix("./")
            for here, directories, files, _ in os.fwalk(dir_fd=fd)
            for name in (*directories, *files)
        }
    finally:
        os.close(fd)


@contextmanager
def swapping(top: Path) -> Iterator[list[int]]:
    """Swap all the time in a process of its own; afterwards the list tells how often it could."""
    swaps: list[int] = []
    with subprocess.Popen([sys.executable, "-c", SWAPPER, str(top)], stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        try:
            yield swaps
        finally:
            swapper.send_signal(signal.SIGTERM)
            swaps.append(int(swapper.stdout.readline()))


@pytest.mark.case(4)
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_link_swaps_leak_nothing(boxes: Boxes, alive: bool, tmp_path: Path, private_state: Path) -> None:
    box = boxes(MADE, alive=alive)
    top = Path(f"/proc/{box.details.pid}/root") if alive else box.upper
    made = outside_of(tmp_path)
    _prepare(top, made[0], tmp_path / "host")
    details = box.details
    box.hooked = lambda _: details  # the engine is not asked each time, so that more is tried
    race = Race(box, tmp_path, top)
    inside, outside = entries_of(top / "race" / "www"), state_of(made)
    race.calmly()
    with swapping(top) as swaps:
        race.go(SECONDS)
    print(f"\n{swaps[0]} swaps; done {dict(race.done)}, refused {dict(race.refused)}")
    assert swaps[0] > 50 * SECONDS
    assert state_of(made) == outside
    assert sorted(made[0].rglob("*")) == sorted(made[1:])
    assert holders_of_secret(private_state) == holders_of_secret(top / "race") == []
    race.end()
    assert entries_of(top / "race" / "www") == inside
    assert race.rare() == {}


def _prepare(top: Path, outside: Path, host: Path) -> None:
    """Lay the links that lead out, one of them absolute, and what is copied in."""
    climbing = "../" * 30 + str(outside).lstrip("/")
    (top / "race" / "evil").symlink_to(climbing)
    (top / "race" / "pair" / "link").symlink_to(outside / "file")
    (top / "tree" / "link").symlink_to(climbing + "/file")
    (host / "sub").mkdir(parents=True)
    for name in ("file", "sub/x", "sub/y"):
        (host / name).write_text("from the host\n")
