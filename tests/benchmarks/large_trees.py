"""How long acts on many entries and on deep trees take, beside the plain commands that do the same work.

python tests/benchmarks/large_trees.py [--driver overlay2] [--entries 20000] [--levels 1500] [--alive] [--profile rm]
prints seconds by the clock and of the processors, which say more on a busy machine, microseconds an entry, and ratios
of the latter; asserts nothing.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.boxes import Box, Boxes
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE
from tui.core.records import View
from tui.files.history.backups import UndoKind
from tui.files.verbs.acts import change_metadata
from tui.layers.changes import changes, walk
from tui.layers.view import LayerView
from tui.linux.remove_tree import remove_tree

FOLDERS = 100
"""Directories that the files of the wide tree lie in."""


class Took(NamedTuple):
    """What some work took: seconds by the clock, and of the processors, children's too."""

    clock: float
    processor: float


def timed(work: Callable[[], object]) -> Took:
    began, before = time.perf_counter(), os.times()
    work()
    clock, after = time.perf_counter() - began, os.times()
    return Took(clock, sum(after[:4]) - sum(before[:4]))


def profiled(words: str, acts: dict[str, Callable[[], object]]) -> dict[str, Took]:
    """Time each act, one of them with the functions that took longest."""
    found = {}
    for what, work in acts.items():
        if what != words:
            found[what] = timed(work)
            continue
        profile = cProfile.Profile()
        found[what] = timed(partial(profile.runcall, work))
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    return found


def plant_wide(top: Path, entries: int) -> None:
    """Make as many small files in a hundred directories."""
    for folder in range(FOLDERS):
        place = top / f"d{folder:03}"
        place.mkdir(parents=True)
        for number in range(entries // FOLDERS):
            (place / f"f{number:05}").write_bytes(b"x" * 100)


def plant_links(top: Path, names: int) -> None:
    """Make one file of many names."""
    top.mkdir(parents=True)
    (top / "n0").write_bytes(b"x" * 4096)
    for number in range(1, names):
        os.link(top / "n0", top / f"n{number}")


def plant_deep(top: Path, levels: int, name: str = "d") -> None:
    """Make directories one in the other, a small file in each."""
    top.mkdir(parents=True)
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        os.close(os.open("f", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
    os.close(fd)


def plant_shallow(top: Path, levels: int) -> None:
    """Make as many directories with a small file in each, side by side."""
    for number in range(levels):
        (top / f"d{number}").mkdir(parents=True)
        (top / f"d{number}" / "f").touch()


def remove(top: Path) -> None:
    fd = os.open(top.parent, os.O_RDONLY)
    remove_tree(fd, os.fsencode(top.name))
    os.close(fd)


def acts_on(box: Box, path: bytes, profile: str) -> dict[str, Took]:
    """Return what each act takes on a tree which ends as it was."""
    copy, moved = path + b"-copy", path + b"-moved"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        out = Path(name) / "out"
        stack = box.details.stack
        assert stack is not None
        with LayerView.open(stack) as view:
            reading = {
                "changes": lambda: changes(view),
                "tree": lambda: sum(1 for _ in walk(view, path, View.MERGED, 0)),
            }
            found = profiled(profile, reading)
        found |= profiled(
            profile,
            {
                "chmod -R": lambda: box.chmod(path, "u+x,o-r", recursive=True),
                "undo chmod": box.undo,
                "chown -R": lambda: change_metadata(
                    box.id, path, lambda node: replace(node, uid=7), UndoKind.CHOWN, inspect=box.inspect, recursive=True
                ),
                "undo chown": box.undo,
                "mv": lambda: box.rename(path, moved),
                "undo mv": box.undo,
                "rm -r": lambda: box.remove(path, recursive=True),
                "undo rm": box.undo,
                "revert": lambda: box.revert(path),
                "undo revert": box.undo,
                "cp out": lambda: box.copy_out(path, out),
                "cp in": lambda: box.copy_in(out, copy),
                "undo cp in": box.undo,
            },
        )
        remove(out)
    return found


LIKE = {
    "undo chmod": "chmod -R",
    "undo chown": "chown -R",
    "undo mv": "mv",
    "undo rm": "cp -a",
    "undo revert": "cp -a",
    "cp in": "cp -a",
    "cp out": "cp -a",
    "undo cp in": "rm -r",
    "revert": "rm -r",
    "changes": "find",
    "tree": "find",
}
"""Which plain command does the work of an act."""


def plain(plant: Callable[[Path], None]) -> dict[str, Took]:
    """Return what the plain commands take on the same tree on the host's own file system."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        top = Path(name) / "top"
        plant(top)
        commands = {
            "find": ["find", top, "-size", "+1000000"],
            "chmod -R": ["chmod", "-R", "u+x,o-r", top],
            "chown -R": ["chown", "-R", "7", top],
            "cp -a": ["cp", "-a", top, f"{top}2"],
            "mv": ["mv", top, f"{top}3"],
            "rm -r": ["rm", "-r", f"{top}2"],
        }
        found = {what: timed(partial(subprocess.run, words, check=True)) for what, words in commands.items()}
        return found | {what: found[like] for what, like in LIKE.items()}


def report(title: str, took: dict[str, Took], entries: int, beside: dict[str, Took] | None = None) -> None:
    print(title, flush=True)
    for what, one in took.items():
        times = one.processor / max(beside[what].processor, 0.01) if beside and what in beside else 0
        ratio = f", {times:.1f} times {LIKE.get(what, what)}" if times else ""
        each = f"{one.processor / entries * 1e6:5.0f} us an entry"
        print(f"  {what:12} {one.clock:7.2f} s, {one.processor:6.2f} s of processors, {each}{ratio}", flush=True)


def ratio(took: dict[str, Took], beside: dict[str, Took], what: str) -> float:
    return took[what].processor / max(beside[what].processor, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", default="overlay2")
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--levels", type=int, default=1_500)
    parser.add_argument("--names", type=int, default=1_000)
    parser.add_argument("--alive", action="store_true")
    parser.add_argument("--profile", default="", help="an act of the wide tree, such as cp out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as state:
        os.environ["DTUI_STATE"] = state
        engine = Dockerd(given.driver)
        try:
            engine.start()
            engine.import_image(IMAGE, FILES)
            box = Boxes(engine)("mkdir /srv", alive=given.alive)
            srv = box.upper / "srv" if not given.alive else Path(f"/proc/{box.details.pid}/root/srv")
            if given.entries:
                beside = plain(lambda top: plant_wide(top, given.entries))
                plant_wide(srv / "wide", given.entries)
                took = acts_on(box, b"/srv/wide", given.profile)
                report(f"{given.entries:,} files in {FOLDERS} directories", took, given.entries, beside)
            if given.names:
                plant_links(srv / "links", given.names)
                box.remove(b"/srv/links", recursive=True)
                report(f"one file of {given.names:,} names", {"undo rm": timed(box.undo)}, given.names)
            if given.levels:
                plant_shallow(srv / "shallow", given.levels)
                flat = acts_on(box, b"/srv/shallow", "")
                report(f"{given.levels:,} directories side by side", flat, 2 * given.levels)
                plant_deep(srv / "deep", given.levels)
                took = acts_on(box, b"/srv/deep", "")
                report(f"{given.levels:,} directories one in the other", took, 2 * given.levels)
                print("  deep beside shallow: " + ", ".join(f"{what} {ratio(took, flat, what):.2f}" for what in flat))
        finally:
            engine.close()


if __name__ == "__main__":
    main()
