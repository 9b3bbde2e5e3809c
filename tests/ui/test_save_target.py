"""What is typed reaches the file it was typed for, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support.waiting import settle
from tests.ui.test_screens import first, layer
from tui.services.discover import Discovery, open_sample
from tui.ui.app import DtuiApp
from tui.ui.commands import external_editor
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.outside import Edited
from tui.ui.screens.layer import LayerScreen


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[Discovery]:
    """The sample in a directory of the test's own."""
    (tmp_path / "sample").mkdir()
    found = open_sample(tmp_path / "sample")
    yield found
    found.close()


async def test_external_edit_stays_with_its_file(sample: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_editor, "edit_outside", lambda data, *_: Edited(data + b"mine\n"))
    monkeypatch.setattr(DtuiApp, "suspend", lambda _self: nullcontext())
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await layer(pilot)
        screen = app.screen
        assert isinstance(screen, LayerScreen)
        assert screen.tree_rows.entry is not None
        first = screen.open_layer.files.open(screen.tree_rows.entry.path)
        screen.open_layer.opened = None  # as it is once another entry is looked at
        screen.run_worker(screen.external.edit(first, first.document.data))
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.file_pane.modified
        assert screen.unsaved == first.path.decode()


async def typed(pilot: Pilot[int]) -> LayerScreen:
    """The editor with text in it that is not saved."""
    await layer(pilot)
    await pilot.press("e")
    await settle(pilot)
    await pilot.press("end", "x")
    screen = pilot.app.screen
    assert isinstance(screen, LayerScreen)
    assert screen.unsaved
    return screen


@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c"])
async def test_quit_keys_ask_before_text_loss(sample: Discovery, key: str) -> None:
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await typed(pilot)
        await pilot.press(key)
        await settle(pilot)
        assert isinstance(app.screen, ChooseDialog)
        await pilot.press("ctrl+q", "escape")
        await settle(pilot)
        assert app.screen is screen
        assert app.return_value is None
        await pilot.press(key)
        await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        assert app.return_value == 0


@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c"])
async def test_quit_keys_end_app(sample: Discovery, key: str) -> None:
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        await first(pilot)
        await pilot.press("slash", key)
        await settle(pilot)
    assert app.return_value == 0


async def test_ctrl_c_copies_editor_selection(sample: Discovery) -> None:
    app = DtuiApp(sample.endpoints)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await typed(pilot)
        await pilot.press("home", "shift+end", "ctrl+c")
        await settle(pilot)
        assert app.screen is screen
        assert app.clipboard == screen.file_pane.area.selected_text != ""
