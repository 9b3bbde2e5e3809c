"""Undo and redo whatever they do to the size of a text: the editor's cursor is always in it."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets.text_area import Selection

from tui.files.document import Document
from tui.ui.widgets.code_area import CodeArea
from tui.ui.widgets.file_pane import FilePane

pytestmark = pytest.mark.promise("undo-never-crashes")

EXAMPLES = int(os.environ.get("DTUI_EXAMPLES", "8"))
"""How many runs of random keys; CI has no time for thousands."""


class PaneApp(App[None]):
    """The editor alone."""

    def __init__(self, text: str, *, soft_wrap: bool = False) -> None:
        super().__init__()
        self._text = text
        self._soft_wrap = soft_wrap

    def compose(self) -> ComposeResult:
        yield FilePane(id="file")

    def copy_to_clipboard(self, text: str) -> None:
        self._clipboard = text

    def on_mount(self) -> None:
        pane = self.query_one(FilePane)
        pane.area.soft_wrap = self._soft_wrap
        pane.show_document(Document.parse(self._text.encode()), None)
        pane.begin_edit()


async def test_undo_hiding_scrollbar_keeps_cursor() -> None:
    app = PaneApp("\n".join("x" * 22))
    async with app.run_test(size=(80, 24)) as pilot:
        area = app.query_one(CodeArea)
        area.move_cursor(area.document.end)
        await pilot.press("enter", "enter", "enter", "ctrl+z", "ctrl+z", "ctrl+z")
        assert area.text == "\n".join("x" * 22)
        assert area.cursor_location == area.document.end


async def test_undo_of_long_paste_keeps_cursor() -> None:
    app = PaneApp("one\ntwo")
    async with app.run_test(size=(120, 36)) as pilot:
        area = app.query_one(CodeArea)
        for _ in range(2):
            area.post_message(events.Paste("line\n" * 60))
            await pilot.pause()
            assert area.document.line_count == 62
            await pilot.press("ctrl+z")
            assert area.text == "one\ntwo"
            await pilot.press("ctrl+y", "ctrl+z")


EDITING = ["enter", "backspace", "delete", "tab", "shift+tab", "ctrl+x", "ctrl+v", "ctrl+k", "ctrl+u", "ctrl+w", "a"]
MOVING = ["end", "home", "up", "down", "left", "pageup", "pagedown", "shift+down", "shift+up", "shift+end", "f7"]

pieces = st.text(st.sampled_from("ab \t\n漢😀é(]\u0301\u2028\x0b"), max_size=30) | st.integers(1, 60).map(
    lambda count: "row\n" * count
)
steps = st.one_of(
    st.tuples(st.just("paste"), pieces),
    st.tuples(
        st.just("press"),
        st.sampled_from([*EDITING, *MOVING]),
    ),
    st.tuples(st.just("press"), st.sampled_from(["ctrl+z", "ctrl+y"])),
    st.tuples(st.just("size"), st.tuples(st.integers(6, 60), st.integers(2, 30))),
    st.tuples(st.just("select"), st.tuples(*[st.integers(0, 70)] * 4)),
    st.tuples(st.just("replace"), pieces),
)


async def carry_out(pilot: Pilot[None], area: CodeArea, kind: str, what: object) -> None:
    match kind, what:
        case "paste", str(text):
            await area._on_paste(events.Paste(text))
        case "replace", str(text):
            pilot.app.query_one(FilePane).replace_text(area.file.shield_pasted(text))
        case "press", str(key):
            await pilot.press(key)
        case "size", (int(width), int(height)):
            await pilot.resize_terminal(width, height)
        case "select", (int(a), int(b), int(c), int(d)):
            area.selection = Selection((a, b), (c, d))
    await pilot.pause()


def in_text(area: CodeArea) -> bool:
    return all(
        row < area.document.line_count and column <= len(area.document.get_line(row)) for row, column in area.selection
    )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=pieces, soft_wrap=st.booleans(), keys=st.lists(steps, min_size=5, max_size=25))
async def test_undo_and_redo_restore_every_text(text: str, soft_wrap: bool, keys: list[tuple[str, object]]) -> None:
    app = PaneApp(text, soft_wrap=soft_wrap)
    async with app.run_test(size=(30, 8)) as pilot:
        area = app.query_one(CodeArea)
        first = area.text
        for kind, what in keys:
            await carry_out(pilot, area, kind, what)
            assert in_text(area)
            assert len(area.wrapped_document._line_index_to_offsets) == area.document.line_count
        last = area.text
        undone = 0
        while area.history.undo_stack:
            area.undo()
            undone += 1
            assert in_text(area)
        await pilot.pause()
        assert area.text == first
        for _ in range(undone):
            area.redo()
        if not undone:
            return
        await pilot.pause()
        if not any(kind == "press" and what == "ctrl+z" for kind, what in keys):
            assert area.text == last
