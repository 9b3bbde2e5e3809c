"""How long acts on many entries and on deep trees take, beside the plain commands that do the same work.

python tests/benchmarks/big_acts.py [--driver overlay2] [--entries 20000] [--levels 1500] [--alive]
prints seconds, microseconds an entry and ratios; asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import FILES, IMAGE
from tests.support.boxes import Box, Boxes
from tests.support.dockerd import Dockerd
from tui.layers.removal import remove_tree

FOLDERS = 100
"""Directories that the files of the wide tree lie in."""


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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


def acts_on(box: Box, path: bytes) -> dict[str, float]:
    """Return the seconds that each act takes on a tree which ends as it was."""
    found = {"chmod -R": timed(lambda: box.chmod(path, "u+x,o-r", recursive=True))}
    found["undo chmod"] = timed(box.undo)
    found["rm -r"] = timed(lambda: box.remove(path, recursive=True))
    found["undo rm"] = timed(box.undo)
    found["revert"] = timed(lambda: box.revert(path))
    found["undo revert"] = timed(box.undo)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        out = Path(name) / "out"
        found["cp out"] = timed(lambda: box.copy_out(path, out))
        found["cp in"] = timed(lambda: box.copy_in(out, path + b"-copy"))
        remove(out)
        found["rm copy"] = timed(lambda: box.remove(path + b"-copy", recursive=True))
    return found


def plain(plant: Callable[[Path], None]) -> dict[str, float]:
    """Return the seconds that the plain commands take on the same tree on the host's own file system."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        top = Path(name) / "top"
        plant(top)
        commands = {"chmod -R": ["chmod", "-R", "u+x,o-r", top], "cp out": ["cp", "-a", top, f"{top}2"]}
        found = {what: timed(partial(subprocess.run, words, check=True)) for what, words in commands.items()}
        found["rm -r"] = timed(lambda: subprocess.run(["rm", "-r", top], check=True))
        subprocess.run(["rm", "-r", f"{top}2"], check=True)
        same = {"undo chmod": "chmod -R", "undo rm": "cp out", "undo revert": "cp out", "cp in": "cp out"}
        same |= {"revert": "rm -r", "rm copy": "rm -r"}
        return found | {what: found[like] for what, like in same.items()}


def report(title: str, took: dict[str, float], entries: int, beside: dict[str, float] | None = None) -> None:
    print(title, flush=True)
    for what, seconds in took.items():
        ratio = f", {seconds / beside[what]:.1f} times the plain command" if beside and what in beside else ""
        print(f"  {what:12} {seconds:7.2f} s, {seconds / entries * 1e6:7.0f} us an entry{ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", default="overlay2")
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--levels", type=int, default=1_500)
    parser.add_argument("--names", type=int, default=1_000)
    parser.add_argument("--alive", action="store_true")
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
                took = acts_on(box, b"/srv/wide")
                report(f"{given.entries:,} files in {FOLDERS} directories", took, given.entries, beside)
            if given.names:
                plant_links(srv / "links", given.names)
                box.remove(b"/srv/links", recursive=True)
                report(f"one file of {given.names:,} names", {"undo rm": timed(box.undo)}, given.names)
            if given.levels:
                plant_shallow(srv / "shallow", given.levels)
                flat = acts_on(box, b"/srv/shallow")
                report(f"{given.levels:,} directories side by side", flat, 2 * given.levels)
                plant_deep(srv / "deep", given.levels)
                took = acts_on(box, b"/srv/deep")
                report(f"{given.levels:,} directories one in the other", took, 2 * given.levels)
                print("  deep beside shallow: " + ", ".join(f"{what} {took[what] / flat[what]:.2f}" for what in flat))
        finally:
            engine.close()


if __name__ == "__main__":
    main()
