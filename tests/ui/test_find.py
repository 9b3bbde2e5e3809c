"""Finding names in the tree of a layer, unfolded or not."""

from __future__ import annotations

import threading

import pytest

from tests.support.waiting import pilot_until
from tests.ui.conftest import Layer, Open
from tui.core.records import Entry, View
from tui.layers.view import LayerView


async def find(layer: Layer, words: str) -> None:
    pilot, _ = layer
    await pilot.press("slash", *words, "enter")


async def test_find_path_opens_merged_view(open_layer: Open) -> None:
    async with open_layer() as (pilot, screen):
        await find((pilot, screen), "/usr/lib/python3/server.py")
        await pilot_until(
            pilot, lambda: bool(screen.tree_rows.entry and screen.tree_rows.entry.path.endswith(b"server.py"))
        )
        assert screen.tree_rows.entry is not None
        assert screen.tree_rows.entry.path == b"/usr/lib/python3/server.py"
        assert screen.tree_rows.shown_view is View.MERGED


async def test_missing_path_is_reported(open_layer: Open) -> None:
    async with open_layer() as (pilot, screen):
        await find((pilot, screen), "/no/such")
        await pilot_until(pilot, lambda: "no /no/such" in screen.status.message.plain)
        assert "there is no /no/such in the container" in screen.status.message.plain


async def test_find_searches_closed_directories(open_layer: Open) -> None:
    async with open_layer() as (pilot, screen):
        await pilot.press("m")
        await pilot_until(pilot, lambda: screen.tree_rows.model.index(b"/usr") is not None)
        screen.tree_rows.go_to(b"/usr")
        await find((pilot, screen), ".py")
        await pilot_until(pilot, lambda: "3 names" in screen.status.message.plain)
        seen = []
        for key in ("n", "n", "n", "N"):
            await pilot.press(key)
            await pilot_until(pilot, lambda: screen.layer_tree.goal == b"/")
            assert screen.tree_rows.entry is not None
            seen.append(screen.tree_rows.entry.path)
        assert set(seen) == {b"/app/main.py", b"/usr/lib/python3/json5.py", b"/usr/lib/python3/server.py"}
        assert seen[1] == seen[3]


async def test_escape_stops_search_only(open_layer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    children, gate = LayerView.children, threading.Event()

    def slow(self: LayerView, path: bytes, view: View) -> list[Entry]:
        if path != b"/":
            gate.wait(10)
        return children(self, path, view)

    async with open_layer() as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.model.index(b"/app/run") is not None)
        monkeypatch.setattr(LayerView, "children", slow)
        await find((pilot, screen), "nowhere")
        await pilot_until(pilot, lambda: screen.names.is_searching)
        await pilot.press("escape")
        await pilot.pause()
        gate.set()
        assert "stopped" in screen.status.message.plain
        assert pilot.app.screen is screen
        assert not screen.names.is_searching
