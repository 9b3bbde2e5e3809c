"""What stands on the screen while an Engine or a file takes its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from textual.widgets import Static

from tests.support.waiting import pilot_until
from tests.ui.conftest import Open
from tui.core.records import Details
from tui.files.document import Document
from tui.services.discover import Discovery
from tui.ui.app import DtuiApp
from tui.ui.commands import preview as previewing
from tui.ui.screens.containers import ContainersScreen
from tui.ui.widgets.container_rows import ContainerRows


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Set while answers come; the test clears it to keep them back."""
    gate = threading.Event()
    gate.set()
    yield gate
    gate.set()


def detail(screen: ContainersScreen) -> str:
    return str(screen.query_one("#detail", Static).render())


async def test_stale_details_are_cleared(
    demo: Discovery, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(demo.endpoints[0])
    inspect = kind.inspect

    def slow(self: object, container_id: str) -> Details:
        held.wait(10)
        return inspect(self, container_id)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "inspect", slow)
    app = DtuiApp(demo.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot_until(pilot, lambda: isinstance(app.screen, ContainersScreen) and "stack" in detail(app.screen))
        screen = app.screen
        assert isinstance(screen, ContainersScreen)
        held.clear()
        await pilot.press("down")
        current = screen.query_one("#rows", ContainerRows).current
        assert current is not None
        assert str(screen.query_one("#detail").border_title) == current.name
        await pilot_until(pilot, lambda: "reading" in detail(screen))
        assert "stack" not in detail(screen)
        held.set()
        await pilot_until(pilot, lambda: "stack" in detail(screen))
        assert "stack" in detail(screen)


async def test_stale_file_text_is_cleared(
    open_layer: Open, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    files_of = previewing.files_of

    class Slow:
        def __init__(self, *args: object) -> None:
            self._files = files_of(*args)  # type: ignore[arg-type]

        def peek(self, path: bytes) -> Document:
            held.wait(10)
            return self._files.peek(path)

    monkeypatch.setattr(previewing, "files_of", Slow)
    async with open_layer() as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/static/s.css"))
        await pilot_until(pilot, lambda: screen.file_pane.face == "text")
        held.clear()
        screen.tree_rows.go_to(b"/app/new.txt")
        await pilot.pause()
        assert "/app/new.txt" in str(screen.file_pane.border_title)
        await pilot_until(pilot, lambda: screen.file_pane.face == "info")
        assert screen.file_pane.face == "info"
        held.set()
        await pilot_until(pilot, lambda: screen.file_pane.face == "text")
        assert screen.file_pane.face == "text"
