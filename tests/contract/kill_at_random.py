"""Kill changes, undo and recovery with ``kill -9`` at random moments, and compare what is left with old and new.

``python -m tests.contract.kill_at_random --runs 200`` needs root, dockerd, btrfs-progs and fuse-overlayfs; it prints
what was killed where, and exits with 1 when a run left anything but the old or the new state. It compares names, types,
modes, owners, times, attributes, bytes, holes and hard links, as the container sees them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.boxes import Boxes
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE, PREPARE
from tests.support.stopped_lab import ACTS, CHANGED, UNDONE, Lab, of_box
from tests.support.tree_state import View, difference
from tui.core import state as state_module
from tui.files.history.crash_recovery import recover

DRIVERS = ("overlay2", "vfs", "btrfs", "fuse-overlayfs")
SCENARIOS = (*ACTS, *(f"undo {name}" for name in UNDONE))


@dataclass
class Tally:
    """What the runs came to."""

    runs: int = 0
    killed: int = 0
    recovery_killed: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        killed = f"{self.killed} killed in the middle, {self.recovery_killed} of their recoveries killed too"
        left = f"left old {self.ends['old']}, new {self.ends['new']}, wrong {len(self.wrong)}"
        return f"{self.runs} runs: {killed}; {left}"


def in_child(act: Callable[[], object], kill_after: float | None) -> str:
    """Run an act in a process of its own; return ``done``, ``killed``, or what it died of."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.close(reader)
            os.write(writer, b"g")
            act()
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    if kill_after is not None:
        time.sleep(kill_after)  # the moment is the subject
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return "done" if os.WEXITSTATUS(status) == 0 else f"ended with code {os.WEXITSTATUS(status)}"


def seconds_of(act: Callable[[], object]) -> float:
    began = time.monotonic()
    how = in_child(act, None)
    assert how == "done", how
    return time.monotonic() - began


def run_scenario(lab: Lab, name: str, runs: int, dice: random.Random, tally: Tally) -> None:
    """Kill one kind of act so many times, each time from the same beginning."""
    if name.startswith("undo "):
        assert in_child(lab.act(name.removeprefix("undo ")), None) == "done"
        lab.keep()
    act = lab.act(name)
    old = lab.view()
    length = seconds_of(act)
    new = lab.view()
    assert old != new, name
    recovery_length = length / 4
    for _ in range(runs):
        lab.reset()
        tally.runs += 1
        if in_child(act, dice.uniform(0, length)) == "killed":
            tally.killed += 1
        for _ in range(dice.randrange(3)):
            began = time.monotonic()
            if in_child(lambda: recover(lab.inspect), dice.uniform(0, recovery_length)) == "killed":
                tally.recovery_killed += 1
            else:  # it was done by then
                recovery_length = min(recovery_length, time.monotonic() - began)
        settle(lab, old, new, name, tally)


def settle(lab: Lab, old: View, new: View, name: str, tally: Tally) -> None:
    """Let a recovery come to its end, and take down what is there then."""
    said = recover(lab.inspect)
    now = lab.view()
    if now in (old, new) and not lab.leftovers() and recover(lab.inspect) == ():
        tally.ends["new" if now == new else "old"] += 1
        return
    from_old, from_new = difference(now, old), difference(now, new)
    tally.wrong.append(f"{name}: {said}; left over {lab.leftovers()}; from old {from_old}; from new {from_new}")


@contextmanager
def engine_on(driver: str) -> Iterator[Boxes]:
    """Run an engine on a storage driver, with the image that the acts change."""
    engine = Dockerd(driver)
    try:
        engine.start()
        engine.import_image("shop/base:1", FILES)
        engine.layered_image(IMAGE, "shop/base:1", PREPARE, "echo three > /app/layer3.txt")
        boxes = Boxes(engine)
        yield boxes
        boxes.endpoint.close()
    finally:
        engine.close()


@contextmanager
def state_of_its_own() -> Iterator[Path]:
    """Keep backups, journals and locks out of the host's."""
    home = Path(tempfile.mkdtemp(prefix="dtui-kill-", dir="/var/tmp"))
    before, locks = os.environ.get("DTUI_STATE"), state_module.LOCKS
    os.environ["DTUI_STATE"] = str(home / "state")
    state_module.LOCKS = home / "locks"
    try:
        yield home / "state"
    finally:
        state_module.LOCKS = locks
        os.environ.pop("DTUI_STATE")
        if before is not None:
            os.environ["DTUI_STATE"] = before
        shutil.rmtree(home, ignore_errors=True)


def kill_on(driver: str, runs: int, dice: random.Random) -> Tally:
    """Kill acts on one storage driver so many times in all; each kind of act has a container of its own."""
    tally = Tally()
    share, rest = divmod(runs, len(SCENARIOS))
    order = dice.sample(SCENARIOS, len(SCENARIOS))
    with engine_on(driver) as boxes:
        for number, name in enumerate(order):
            count = share + (number < rest)
            if not count:
                continue
            with state_of_its_own() as state:
                lab = of_box(boxes(CHANGED), state)
                try:
                    run_scenario(lab, name, count, dice, tally)
                finally:
                    lab.close()
            boxes.engine.docker("rm", "-f", "web")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--driver", action="append", choices=DRIVERS)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    drivers = options.driver or list(DRIVERS)
    dice = random.Random(options.seed)
    print(f"seed {options.seed}")
    wrong = 0
    for number, driver in enumerate(drivers):
        runs = options.runs // len(drivers) + (number < options.runs % len(drivers))
        tally = kill_on(driver, runs, dice)
        print(f"{driver:15} {tally}", flush=True)
        for line in tally.wrong:
            print("  ", line)
        wrong += len(tally.wrong)
    print("every run left the old or the new state" if not wrong else f"{wrong} runs left something else")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
