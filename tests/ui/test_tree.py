"""The tree of a layer: its cursor is always seen, and what was open is open again when it comes back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tui.core.records import Change, Entry, EntryKind, View
from tui.layers.view import LayerView
from tui.render.entries import tree_line
from tui.services.tree_model import TreeLine


def nest(top: Path, depth: int, width: int) -> bytes:
    """Make directories in one another, each with files; return the path of the innermost as the container has it."""
    path = top
    for number in range(depth):
        path /= f"deep{number:02}"
        path.mkdir()
        for name in range(width):
            (path / f"{chr(ord('a') + name)}-{number:02}").write_text("x")
    return b"/app/" + str(path.relative_to(top)).encode()


async def test_cursor_is_visible_while_tree_loads(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest(app_dir, 15, 3)
    children, gate = LayerView.children, threading.Event()

    def slow(self: LayerView, path: bytes, view: View) -> list[Entry]:
        if b"deep" in path:
            gate.wait(10)
        return children(self, path, view)

    monkeypatch.setattr(LayerView, "children", slow)
    async with open_layer(size=(80, 24)) as (pilot, screen):
        rows = screen.tree_rows
        await pilot_until(pilot, lambda: rows.model.index(b"/app/new.txt") is not None)
        await pilot.press("G")
        assert rows.entry is not None
        last = rows.entry.path
        gate.set()
        await pilot_until(pilot, lambda: (rows.model.index(last) or 0) > 30)
        await pilot.pause()
        assert rows.entry.path == last
        assert 0 <= rows.cursor - int(rows.scroll_y) < rows.visible_rows
        assert last.rsplit(b"/", 1)[-1].decode() in screen_text(pilot)


async def test_undo_reopens_restored_directory(open_layer: Open, app_dir: Path) -> None:
    nest(app_dir, 2, 1)
    inner = b"/app/deep00/deep01/a-01"
    async with open_layer() as (pilot, screen):
        rows = screen.tree_rows
        await pilot_until(pilot, lambda: rows.model.index(inner) is not None)
        rows.go_to(b"/app/deep00")
        await pilot.press("d")
        await pilot.pause()
        await pilot.press("y")
        await pilot_until(pilot, lambda: rows.model.index(b"/app/deep00") is None)
        assert rows.model.index(b"/app/deep00") is None, screen.status.message.plain
        await pilot.press("home")
        await pilot.press("z")
        await pilot_until(pilot, lambda: pilot.app.screen is not screen)
        await pilot.press("y")
        await pilot_until(pilot, lambda: rows.model.index(inner) is not None)
        assert rows.model.index(inner) is not None
        await pilot_until(pilot, lambda: bool(rows.entry and rows.entry.path == b"/app/deep00"))
        assert rows.entry is not None
        assert rows.entry.path == b"/app/deep00"
        assert "is as it was" in screen.status.message.plain


@pytest.mark.parametrize(("name", "remark"), [(b"conf.d", "replaced"), (b"a-name-that-is-long.d", "repl.")])
def test_opaque_directory_is_marked_replaced(name: bytes, remark: str) -> None:
    entry = Entry(b"/app/" + name, EntryKind.DIRECTORY, 0, 0o755, 0, 0, 0, layer=0, change=Change.ADDED, opaque=True)
    line = tree_line(TreeLine(entry, 1, False), None, View.LAYER, 32).plain
    assert remark in line
    assert line.startswith(" O ")
    assert len(line) == 32
