"""Makes the screenshots here from the real app: the demo's sample, and a private dockerd for the benchmark.

    python screenshots/make.py

writes SVG files, and PNG files too where rsvg-convert (librsvg2-bin) and fonts-dejavu are installed.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from textual.pilot import Pilot

from tests.support.dockerd import Dockerd
from tui.core.errors import BenchError
from tui.engine.endpoint import Endpoint
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.render.picture import png_of
from tui.services.discover import FailedAttempt, discover, open_sample
from tui.ui.app import DtuiApp

HERE = Path(__file__).parent
Steps = Callable[[Pilot[int]], Awaitable[None]]


async def settle(pilot: Pilot[int], seconds: float = 1.0) -> None:
    await pilot.pause(seconds)
    await pilot.pause()


async def containers(pilot: Pilot[int]) -> None:
    await pilot.press("down")


async def layer(pilot: Pilot[int]) -> None:
    await pilot.press("down", "enter")
    await settle(pilot)
    await pilot.press("down", "down", "down", "down", "down", "down")


async def editor(pilot: Pilot[int]) -> None:
    await layer(pilot)
    await pilot.press("m")
    await settle(pilot)
    await pilot.press("/", *"server.json", "enter")
    await settle(pilot)
    await pilot.press("e")
    await settle(pilot, 0.4)
    await pilot.press("ctrl+f", *"prot", "enter")
    await settle(pilot, 0.4)
    await pilot.press("backspace", *"port")


async def save(pilot: Pilot[int]) -> None:
    await editor(pilot)
    await pilot.press("ctrl+s")


async def revert(pilot: Pilot[int]) -> None:
    await layer(pilot)
    await pilot.press("u")


async def disk(pilot: Pilot[int]) -> None:
    await pilot.press("D")


async def keys(pilot: Pilot[int]) -> None:
    await pilot.press("question_mark")


async def nothing(pilot: Pilot[int]) -> None:
    await pilot.pause()


async def bench(pilot: Pilot[int]) -> None:
    await pilot.press("b")
    await settle(pilot)
    await pilot.press("d")
    await settle(pilot, 2)
    await pilot.press("space", "down", "space", "down", "down", "space", "down", "space", "down", "space", "enter")
    await settle(pilot)
    await pilot.press("c", "c", "enter")
    for _ in range(1200):
        await pilot.pause(0.25)
        if "done:" in str(pilot.app.screen.query_one("StatusLine").message):  # type: ignore[attr-defined]
            return


async def bench_again(pilot: Pilot[int]) -> None:
    await pilot.press("b")
    await settle(pilot)
    await pilot.press("h")
    await settle(pilot)
    await pilot.press("enter")
    await settle(pilot)


async def bench_tables(pilot: Pilot[int]) -> None:
    await bench_again(pilot)
    await pilot.press("v")


async def bench_plan(pilot: Pilot[int]) -> None:
    await bench_again(pilot)
    await pilot.press("P")
    await settle(pilot)
    await pilot.press("tab", "tab", "tab", "tab", "end", "space")


def still(svg: str) -> str:
    """Take out what differs from run to run: the random part of temporary directories."""
    return re.sub(r"dtui-(demo|test)-[a-z0-9_]{8}", r"dtui-\1", svg)


def write(name: str, svg: str) -> None:
    (HERE / f"{name}.svg").write_text(svg)
    with suppress(BenchError):  # without rsvg-convert there are SVGs alone
        (HERE / f"{name}.png").write_bytes(png_of(svg, 1200))


async def shoot(
    name: str,
    endpoints: tuple[Endpoint, ...],
    steps: Steps,
    size: tuple[int, int] = (120, 40),
    tried: tuple[FailedAttempt, ...] = (),
) -> None:
    app = DtuiApp(endpoints, tried)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await steps(pilot)
        await settle(pilot)
        svg = still(app.export_screenshot(title=f"dtui · {name}"))
        app.exit()
    write(name, svg)


async def main() -> None:
    shots: dict[str, tuple[Steps, tuple[int, int]]] = {
        "containers": (containers, (120, 40)),
        "containers-80x24": (containers, (80, 24)),
        "layer": (layer, (120, 40)),
        "editor": (editor, (120, 40)),
        "save": (save, (120, 40)),
        "revert": (revert, (120, 40)),
        "disk": (disk, (120, 40)),
        "keys": (keys, (120, 40)),
    }
    for name, (steps, size) in shots.items():
        with tempfile.TemporaryDirectory(prefix="dtui-demo-") as folder:
            os.environ["DTUI_STATE"] = f"{folder}-state"
            await shoot(name, open_sample(Path(folder)).endpoints, steps, size)
    os.environ["DOCKER_HOST"] = "unix:///run/docker-elsewhere.sock"
    await shoot("welcome", (), nothing, (100, 30), discover().tried)
    daemon = Dockerd()
    try:
        daemon.start()
        with tempfile.TemporaryDirectory(prefix="dtui-demo-") as folder:
            os.environ["DTUI_STATE"] = folder
            await shoot("bench", (LiveEndpoint("local", daemon.host),), bench, (160, 48))
            await shoot("bench-80x24", (LiveEndpoint("local", daemon.host),), bench_again, (80, 24))
            await shoot("bench-tables", (LiveEndpoint("local", daemon.host),), bench_tables, (160, 48))
            await shoot("bench-plan", (LiveEndpoint("local", daemon.host),), bench_plan, (120, 40))
    finally:
        daemon.close()


if __name__ == "__main__":
    asyncio.run(main())
