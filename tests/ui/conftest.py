"""The sample as a data-root of the test's own, and its layer screen with or without the editor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from textual.pilot import Pilot

from tests.support.waiting import pilot_until
from tui.services.discover import Discovery, open_sample
from tui.ui.app import DtuiApp
from tui.ui.screens.layer import LayerScreen

Layer = tuple[Pilot[int], LayerScreen]
Open = Callable[..., AbstractAsyncContextManager[Layer]]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Discovery]:
    root = tmp_path / "sample"
    root.mkdir()
    found = open_sample(root)
    yield found
    found.close()


@pytest.fixture
def open_layer(demo: Discovery) -> Open:
    """Open the layer of a container of the sample, with the editor on a path of it."""

    @asynccontextmanager
    async def opened(
        path: bytes = b"", name: str = "web", size: tuple[int, int] = (120, 40), *, wait: bool = True
    ) -> AsyncIterator[Layer]:
        endpoint = demo.endpoints[0]
        container = next(c for c in endpoint.snapshot() if c.name == name)
        app = DtuiApp(demo.endpoints, open_path=(container, path) if path else None)
        async with app.run_test(size=size) as pilot:
            if not path:
                await pilot.pause()
                app.open_layer(container)
            await pilot_until(pilot, lambda: isinstance(app.screen, LayerScreen) and app.screen.is_mounted)
            if wait:
                await pilot_until(pilot, lambda: bool(cast("LayerScreen", app.screen).tree_rows.model.lines))
            screen = cast("LayerScreen", app.screen)
            if path:
                await pilot_until(pilot, lambda: screen.file_pane.editing)
            yield pilot, screen

    return opened


@pytest.fixture
def app_dir(demo: Discovery) -> Path:
    """The directory /app in the writable layer of the sample's web."""
    endpoint = demo.endpoints[0]
    web = next(c for c in endpoint.snapshot() if c.name == "web")
    stack = endpoint.inspect(web.id).stack
    assert stack is not None
    return stack.writable.path / "app"
