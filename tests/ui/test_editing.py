"""What is typed reaches the file it was typed for, and nothing of it is lost."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from tests.ui.test_screens import layer, sample, settle
from tui.engine.discover import Discovery
from tui.ui.app import DtuiApp
from tui.ui.screens import saving
from tui.ui.screens.layer import LayerScreen

__all__ = ["sample"]


async def test_what_the_users_editor_left_belongs_to_its_file_though_the_cursor_went_on(
    sample: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "edit_outside", lambda data, _path: data + b"mine\n")
    monkeypatch.setattr(DtuiApp, "suspend", lambda _self: nullcontext())
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await layer(pilot)
        screen = app.screen
        assert isinstance(screen, LayerScreen)
        first = screen.opened
        assert first is not None
        screen.opened = None  # as it is once another entry is looked at
        screen.run_worker(screen._external(first, first.document.data))
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.file_pane.modified
        assert screen.unsaved == first.path.decode()
