"""Tab and shift+Tab: lines go in and out, and the editor is never left by them."""

from __future__ import annotations

import pytest

from tests.ui.conftest import Open
from tests.ui.test_undo_layout import PaneApp
from tui.files.document import Document, indent_unit
from tui.ui.widgets.code_area import CodeArea


async def test_tab_indents_all_selected_lines() -> None:
    app = PaneApp("if x:\n  a\n\n  b\nend\n")
    async with app.run_test(size=(40, 10)) as pilot:
        area = app.query_one(CodeArea)
        await pilot.press("down", "shift+down", "shift+down", "shift+down", "tab")
        assert area.text == "if x:\n    a\n\n    b\nend\n"
        await pilot.press("tab", "shift+tab")
        assert area.text == "if x:\n    a\n\n    b\nend\n"
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
        assert area.text == "if x:\n  a\n\n  b\nend\n"
        await pilot.press("ctrl+y")
        assert area.text == "if x:\n    a\n\n    b\nend\n"


async def test_shift_tab_unindents_cursor_line() -> None:
    app = PaneApp("\t\ta\n\tb\nc\n")
    async with app.run_test(size=(40, 10)) as pilot:
        area = app.query_one(CodeArea)
        await pilot.press("end", "shift+tab")
        assert area.text == "\ta\n\tb\nc\n"
        assert area.cursor_location == (0, 2)
        await pilot.press("shift+tab", "shift+tab")
        assert area.text == "a\n\tb\nc\n"
        await pilot.press("ctrl+z", "ctrl+z")
        assert area.text == "\t\ta\n\tb\nc\n"


async def test_shift_tab_never_leaves_the_editor(open_layer: Open) -> None:
    async with open_layer(b"/app/server.json") as (pilot, screen):
        await pilot.press("shift+tab", "x")
        assert screen.focused is screen.file_pane.area
        assert screen.file_pane.area.text.startswith("x{")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("a:\n  b:\n    c\n", "  "),
        ("a\n    b\n        c\n", "    "),
        ("a\n   b\n", "   "),
        ("a\n\tb\n", "\t"),
        ("a\nb\n", "\t"),
    ],
)
def test_indent_unit_is_read_from_file(text: str, unit: str) -> None:
    assert indent_unit(Document.parse(text.encode()), None) == unit
