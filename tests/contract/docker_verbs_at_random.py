"""Run every docker verb beside every change of dtui's, at random moments and between two of its steps.

``python -m tests.contract.docker_verbs_at_random --runs 400`` needs root, dockerd, podman, btrfs-progs and
fuse-overlayfs. It prints a line an engine and exits with 1 where a verb ended in another way than without dtui, where
dtui did not say what became of the container, or where something of dtui's stayed behind.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.kill_at_random import state_of_its_own
from tests.support import gate
from tests.support.dockerd import Dockerd, docker_cli
from tests.support.images import FILES, IMAGE
from tests.support.podman import Podman
from tui.core import state as state_module

ENGINES = ("overlay2", "vfs", "btrfs", "fuse-overlayfs", "podman")
STATES = ("stopped", "running")

Words = tuple[str, ...]

VERBS: dict[str, Words] = {
    "rm": ("rm", "{}"),
    "rm -f": ("rm", "-f", "{}"),
    "start": ("start", "{}"),
    "stop": ("stop", "-t0", "{}"),
    "restart": ("restart", "-t0", "{}"),
    "kill": ("kill", "{}"),
    "pause": ("pause", "{}"),
    "commit": ("commit", "{}", "{}-image"),
    "cp in": ("cp", "{out}/given", "{}:/app/given"),
    "cp out": ("cp", "{}:/app/keep.txt", "{out}/taken"),
    "rename": ("rename", "{}", "{}-renamed"),
    "export": ("export", "-o", "{out}/export.tar", "{}"),
    "diff": ("diff", "{}"),
    "container prune": ("container", "prune", "-f"),
    "image prune": ("image", "prune", "-f"),
    "system prune": ("system", "prune", "-f"),
    "system df": ("system", "df", "-v"),
}

PREPARE = "mkdir -p /tree/a /tree/b/c; cd /tree; echo af > a/f; echo ag > a/g; echo h > b/c/h; echo f > f; ln f g; "
PREPARE += "ln -s f s; mkdir -p /srv /old; for i in 1 2 3 4 5 6; do echo $i > /tree/b/$i; done"


@dataclass(frozen=True)
class Change:
    """A verb of dtui's, and what is done before: by dtui, or a dtui that is killed in the middle."""

    words: Words
    before: Words = ()
    killed: bool = False
    states: Words = STATES


CHANGES: dict[str, Change] = {
    "write": Change(("write", "{}:/app/start.sh")),
    "write in place": Change(("write", "{}:/app/start.sh", "--in-place")),
    "write new": Change(("write", "{}:/app/new", "--create")),
    "cp in": Change(("cp", "{out}/many", "{}:/srv/in")),
    "cp out": Change(("cp", "{}:/tree", "{out}/tree")),
    "rm": Change(("rm", "-r", "{}:/tree")),
    "rm aside": Change(("rm", "-r", "--set-aside", "{}:/tree"), states=("stopped",)),
    "mv": Change(("mv", "{}:/tree", "/moved")),
    "mkdir": Change(("mkdir", "-p", "{}:/srv/x/y")),
    "chmod": Change(("chmod", "-R", "700", "{}:/tree")),
    "chown": Change(("chown", "-R", "7:8", "{}:/tree")),
    "revert": Change(("revert", "{}:/tree"), ("chmod", "-R", "711", "{}:/tree")),
    "revert deleted": Change(("revert", "{}:/tree"), ("rm", "-r", "{}:/tree")),
    "undo write": Change(("undo", "{}"), ("write", "{}:/app/start.sh")),
    "undo rm": Change(("undo", "{}"), ("rm", "-r", "{}:/tree")),
    "undo cp": Change(("undo", "{}"), ("cp", "{out}/many", "{}:/srv/in")),
    "recover": Change(("mkdir", "{}:/srv/next"), ("cp", "{out}/many", "{}:/srv/in"), killed=True),
    "recover rm": Change(("mkdir", "{}:/srv/next"), ("rm", "-r", "{}:/tree"), killed=True),
}

GONE = re.compile(
    r"the container (is being removed|was removed)|no longer exists|is (removing|dead)|there is no container|"
    r"[Nn]o such container"
)
ENDED = re.compile(
    r"the container (has stopped|was stopped|was restarted|was started|is \w+ now|has stopped or was removed)|"
    r"the container was started or stopped meanwhile|the container is (running|exited|paused|created|restarting)|"
    r"is (removing|restarting|dead|paused)|the container's layer is in use|the layer is in use"
)
WRONG = re.compile(
    r"immutable|data-root|should not happen|read-only file|mount point or in use|damaged|Traceback|fails:|"
    r"killed|another root|errno|not a directory|stale|cannot be put right yet: (?!the container|the layer is in use)"
)
"""What blames another than who did it."""


@dataclass
class Tally:
    """What the pairs came to."""

    pairs: int = 0
    met: int = 0
    finished: int = 0
    wrong: list[str] = field(default_factory=list)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __str__(self) -> str:
        counted = f"{self.pairs} pairs of a verb and a change, {self.met} met in the middle"
        return (
            f"{counted}; {self.finished} changes done, {self.pairs - self.finished} given up; wrong {len(self.wrong)}"
        )


class Field:
    """An engine, and what the pairs are made with."""

    def __init__(self, name: str, engine: Dockerd, home: Path, dice: random.Random) -> None:
        self.name, self.engine, self.home, self.dice = name, engine, home, dice
        self.is_podman = isinstance(engine, Podman)
        self.expected: dict[tuple[str, str], tuple[int, str]] = {}
        self.lengths: dict[tuple[str, str], int] = {}
        self.seconds: dict[tuple[str, str], float] = {}
        self.number = 0
        many = home / "many"
        for directory in "abc":
            (many / directory).mkdir(parents=True)
            for file in range(8):
                (many / directory / str(file)).write_text("x")
        (home / "given").write_text("given")
        (home / "new").write_bytes(b"N" * 50_000)

    # the engine's side -------------------------------------------------------------------------------------

    def make(self, state: str) -> str:
        """Make a container in a state; return its name."""
        self.number += 1
        name = f"web{self.number}"
        self.engine.docker("run", "-d", "--network=none", f"--name={name}", IMAGE, "sleep", "1000")
        if state == "stopped":
            self.engine.docker("kill", name)
            self.engine.docker("wait", name)
        return name

    def verb(self, verb: str, name: str) -> tuple[int, str]:
        """Run a verb of the engine's; return how it ended and what it complained of, without names and ids."""
        for made in ("taken", "export.tar"):
            (self.home / made).unlink(missing_ok=True)
        words = [word.format(name, out=self.home) for word in VERBS[verb]]
        if self.is_podman and words[:2] in (["rm", "-f"], ["system", "df"]):
            words = words[:2] + (["--time=0"] if words[0] == "rm" else []) + words[2:]
        command = self.engine._podman() if self.is_podman else [docker_cli() or "docker", "-H", self.engine.host]
        result = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=60)
        told = re.sub(r"[0-9a-f]{12,}", "ID", result.stderr).replace(name, "NAME")
        return result.returncode, re.sub(r"\b\d+(\.\d+)?\w*\b", "N", told)

    def without(self, verb: str, state: str) -> tuple[int, str]:
        """Return how a verb ends where there is no dtui."""
        if (verb, state) not in self.expected:
            name = self.make(state)
            self.expected[verb, state] = self.verb(verb, name)
            self.clear()
        return self.expected[verb, state]

    def clear(self) -> None:
        """Remove all containers, which must work, and the images that were made."""
        for container in self.engine.docker("ps", "-aq").split():
            self.engine.docker("rm", "-f", container)
        for image in self.engine.docker("images", "-q", "--filter", "reference=*-image").split():
            self.engine.docker("rmi", "-f", image, check=False)

    def exists(self, container: str) -> bool:
        return container[:12] in self.engine.docker("ps", "-a", "-q").split()

    # dtui's side -------------------------------------------------------------------------------------------

    def words(self, words: Words, name: str) -> list[str]:
        return ["-H", self.engine.host, *(word.format(name, out=self.home) for word in words)]

    def start(self, words: Words, name: str, turn: int = 0) -> gate.Run:
        shutil.rmtree(self.home / "tree", ignore_errors=True)
        return gate.start(
            self.words(words, name), self.home / "told", stdin=self.home / "new", turn=turn, early=words[0] == "cp"
        )

    def prepare(self, change: Change, name: str) -> None:
        """Do what comes before a change."""
        if not change.before:
            return
        key = (" ".join(change.before), "killed")
        turn = self.dice.randrange(2, self.lengths[key] + 1) if change.killed and key in self.lengths else 0
        run = self.start(change.before, name, turn)
        if turn and run.wait_for_gate():
            run.kill()
            run.end()
            return
        code, told = run.end()
        assert code == 0 or turn, (change.before, told)
        self.lengths[key] = len(run.steps)

    def measure(self, change: str, state: str) -> None:
        """Find out how many steps a change has, and how long it takes."""
        for _ in range(2 if CHANGES[change].killed else 1):
            name = self.make(state)
            self.prepare(CHANGES[change], name)
            began = time.monotonic()
            run = self.start(CHANGES[change].words, name)
            code, told = run.end()
            self.seconds[change, state] = time.monotonic() - began
            assert code == 0 or CHANGES[change].killed, (self.name, change, state, told)
            self.lengths[change, state] = len(run.steps)
            self.clear()

    def pair(self, change: str, verb: str, state: str, tally: Tally, turn: int | None = None) -> None:
        """Run a verb beside a change, and note what is wrong."""
        expected = self.without(verb, state)
        if (change, state) not in self.lengths:
            self.measure(change, state)
        name = self.make(state)
        container = self.engine.docker("inspect", "--format", "{{.Id}}", name).strip()
        self.prepare(CHANGES[change], name)
        tally.pairs += 1
        tally.cells[change, verb] += 1
        if turn is None and self.dice.random() < 0.7:
            turn = self.dice.randrange(1, self.lengths[change, state] + 1)
        if turn:
            run = self.start(CHANGES[change].words, name, turn)
            met = run.wait_for_gate()
            tally.met += met
            result = self.verb(verb, name)
            if met:
                run.go_on()
        else:
            run = self.start(CHANGES[change].words, name)
            time.sleep(self.dice.uniform(0, self.seconds[change, state]))  # the moment is the subject
            result = self.verb(verb, name)
            tally.met += 1
        code, told = run.end()
        tally.finished += code == 0
        there = self.exists(container)
        problems = []
        if result != expected:
            problems.append(f"{verb} ended with {result}, without dtui {expected}")
        problems += self.misleading(code, told, there=there)
        if there:
            self.engine.docker("unpause", name, check=False)
        try:
            self.clear()
        except RuntimeError as error:
            problems.append(f"a later rm fails: {error}")
            self.clear()
        if CHANGES[change].killed:  # the next dtui removes the lock of a killed one
            state_module.sweep_locks()
        problems += [f"left over: {path}" for path in self.leftovers(container)]
        at = f"step {turn} {run.waits_at[:90]}" if turn else "at random"
        tally.wrong += [f"{self.name} {state} {change} / {verb} [{at}]: {problem}" for problem in problems]

    def misleading(self, code: int, told: str, *, there: bool) -> Iterator[str]:
        """Yield what dtui said that is not what happened."""
        said = told.strip()
        if code not in (0, 1, 3, 4) or WRONG.search(said):
            yield f"dtui ended with {code}: {said}"
        elif code and not there and not GONE.search(said):
            yield f"dtui ended with {code} and did not say removed: {said}"
        elif code and there and not ENDED.search(said):
            yield f"dtui ended with {code} and did not say why: {said}"

    def leftovers(self, container: str) -> Iterator[str]:
        """Yield what is there of a container that is gone."""
        for path in self.engine.root.rglob("*"):
            if "dtui" in path.name or container in path.name:
                yield str(path)
        yield from map(str, state_module.LOCKS.glob(f"{container}*"))
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        yield from (line for line in mounts if str(self.engine.root) in line and container in line)


@contextmanager
def field_of(name: str, dice: random.Random) -> Iterator[Field]:
    """Run an engine, with the image that the changes are made on."""
    engine = Podman("overlay") if name == "podman" else Dockerd(name)
    home = Path(tempfile.mkdtemp(prefix="dtui-verbs-", dir="/var/tmp"))
    try:
        engine.start()
        engine.import_image("shop/base:1", FILES)
        engine.layered_image(IMAGE, "shop/base:1", PREPARE)
        yield Field(name, engine, home, dice)
    finally:
        engine.close()
        shutil.rmtree(home, ignore_errors=True)


def pairs_on(
    name: str,
    runs: int,
    dice: random.Random,
    changes: list[str],
    verbs: list[str],
    states: list[str] | None = None,
    seconds: float = 1e9,
) -> Tally:
    """Run so many pairs on one engine, or as many as so many seconds are enough for."""
    tally, end = Tally(), time.monotonic() + seconds
    every = [
        (change, verb, state)
        for change in changes
        for verb in verbs
        for state in states or STATES
        if state in CHANGES[change].states and not (name == "btrfs" and change == "rm aside")
    ]
    with state_of_its_own(), field_of(name, dice) as found:
        for number in range(runs):
            if number % len(every) == 0:
                dice.shuffle(every)
            change, verb, state = every[number % len(every)]
            before = len(tally.wrong)
            try:
                found.pair(change, verb, state, tally)
            except (AssertionError, RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
                tally.wrong.append(f"{name} {state} {change} / {verb}: {type(error).__name__}: {error}")
                found.clear()
            for line in tally.wrong[before:]:
                print("  ", line, flush=True)
            if time.monotonic() > end:
                break
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=1e9, help="for each engine at most")
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--change", action="append", choices=CHANGES)
    parser.add_argument("--verb", action="append", choices=VERBS)
    parser.add_argument("--state", action="append", choices=STATES)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the engines are stopped and removed
    engines = options.engine or list(ENGINES)
    dice = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    wrong = 0
    for number, name in enumerate(engines):
        runs = options.runs // len(engines) + (number < options.runs % len(engines))
        tally = pairs_on(
            name,
            runs,
            dice,
            options.change or list(CHANGES),
            options.verb or list(VERBS),
            options.state,
            options.seconds,
        )
        print(f"{name:15} {tally}", flush=True)
        wrong += len(tally.wrong)
    print("every verb ended as without dtui" if not wrong else f"{wrong} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
