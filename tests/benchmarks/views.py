"""How the union of layers compares with the kernel's own listing, and one list call with the app's first paint.

python tests/benchmarks/views.py        prints times and ratios; asserts nothing
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.terminal import Terminal
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, View
from tui.drivers.data_root import DataRoot
from tui.layers.changes import changes
from tui.layers.view import LayerView


def timed(work: Callable[[], object], runs: int = 5) -> float:
    """Return the median milliseconds of some runs."""
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


def stack(folder: Path, layers: int, names: int) -> LayerStack:
    """Make layers that each hold one directory, the lowest one with many files."""
    found = []
    for number in range(layers):
        path = folder / f"l{number}"
        (path / "dir").mkdir(parents=True)
        role = LayerRole.WRITABLE if number == 0 else LayerRole.IMAGE
        found.append(Layer(str(number), role, path))
    for number in range(names):
        (found[-1].path / "dir" / f"file-{number:06}").write_bytes(b"x")
    return LayerStack(Driver(DriverKind.GRAPH, "overlay2"), tuple(found), "", "", root=DataRoot(folder).directory)


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        many = stack(Path(name), 20, 10_000)
        plain = timed(lambda: [os.stat(e.path) for e in os.scandir(many.layers[-1].path / "dir")])
        with LayerView.open(many) as view:
            union = timed(lambda: view.children(b"/dir", View.MERGED))
            walked = timed(lambda: changes(view))
        print(
            f"10,000 names in 20 layers: union {union:.0f} ms, scandir+stat {plain:.0f} ms, ratio {union / plain:.1f}"
        )
        print(f"changes, where the layer has that directory: {walked:.2f} ms")

    def paint() -> None:
        term = Terminal("demo")
        term.wait("exited (137)")
        term.abandon()

    print(f"dtui demo, from exec to the list on the screen: {timed(paint):.0f} ms")


if __name__ == "__main__":
    main()
