"""IOzone started by dtui against the same IOzone by hand in the same image, interleaved: prints the ratio of medians.

    python tests/benchmarks/iozone_without_dtui.py [ROUNDS]

Needs root, dockerd and iozone. The ratio should lie inside what the same command by hand, done twice, differs by.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.dockerd import Dockerd
from tui.bench.plan import TESTS, Plan, custom_plan
from tui.bench.runner import BenchRun
from tui.bench.store import Store
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab.engine_host import EndpointTarget

Numbers = dict[tuple[int, str], int]
PLAN = custom_plan((16384, 65536), (64,), repeats=1)


def by_dtui(engine: Dockerd, plan: Plan, folder: Path) -> Numbers:
    endpoint = LiveEndpoint("local", engine.host)
    run = BenchRun(plan, [EndpointTarget(endpoint)], Store(folder / "runs.sqlite").record())
    for _ in run:
        pass
    endpoint.close()
    assert run.result is not None
    assert run.result.problem == ""
    return {(s.cell.file_kb, s.cell.test.value): s.cell.kb_per_s for s in run.result.samples}


def by_hand(engine: Dockerd, plan: Plan, image: str) -> Numbers:
    text = engine.docker("run", "--rm", "--network=none", image, *plan.argv("/work/hand.tmp"))
    rows = [[int(word) for word in line.split()] for line in text.splitlines() if line.replace(" ", "").isdigit()]
    return {(row[0], test.value): value for row in rows for test, value in zip(TESTS, row[2:8], strict=True)}


def ratio(one: list[Numbers], other: list[Numbers]) -> list[float]:
    keys = one[0].keys()
    return [statistics.median(n[key] for n in one) / statistics.median(n[key] for n in other) for key in keys]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    engine = Dockerd()
    try:
        engine.start()
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            by_dtui(engine, PLAN, folder)  # puts the image there
            image = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}", "dtui/iozone").split()[0]
            ways: dict[str, Callable[[], Numbers]] = {
                "dtui": lambda: by_dtui(engine, PLAN, folder),
                "hand": lambda: by_hand(engine, PLAN, image),
                "hand again": lambda: by_hand(engine, PLAN, image),
            }
            found: dict[str, list[Numbers]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name in random.sample(list(ways), len(ways)):
                    found[name].append(ways[name]())
    finally:
        engine.close()
    same = [abs(math.log(value)) for value in ratio(found["hand again"], found["hand"])]
    mine = [abs(math.log(value)) for value in ratio(found["dtui"], found["hand"])]
    for name, values in (("hand again / hand", same), ("dtui / hand", mine)):
        print(f"{name:18} median {math.exp(statistics.median(values)):.3f}  worst {math.exp(max(values)):.3f}")
    inside = statistics.median(mine) <= max(same)
    print(f"{rounds} rounds of {len(PLAN.rows)} x {len(TESTS)} numbers: {'inside' if inside else 'OUTSIDE'} the spread")


if __name__ == "__main__":
    main()
