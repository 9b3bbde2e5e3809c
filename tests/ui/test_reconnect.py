"""An Engine that comes back: what was said of its absence goes, and what it could not answer is asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.scripted_engine import Pretend, _Stream
from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tests.ui.test_container_commands import opened, status
from tui.core.errors import EngineLost
from tui.core.records import Container, Details, State
from tui.services import feed
from tui.ui.commands import open_layer as opening

LOST = EngineLost("pretend: there is no such socket", "start Docker: systemctl start docker")


class Away(Pretend):
    """An Engine that goes away and comes back as the test says."""

    away = False

    def _answer(self) -> None:
        if self.away:
            raise LOST

    def snapshot(self) -> tuple[Container, ...]:
        self._answer()
        return super().snapshot()

    def inspect(self, container_id: str) -> Details:
        self._answer()
        return super().inspect(container_id)

    def events(self) -> _Stream:
        self._answer()
        return super().events()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_RETRY", (60.0,))  # f5 tries at once


async def test_engine_error_clears_on_reconnect() -> None:
    engine = Away({"web": State.EXITED, "other": State.EXITED})
    async with opened(engine) as pilot:
        await pilot_until(pilot, lambda: "restarts 0" in screen_text(pilot))
        engine.away = True
        await pilot.press("f5", "down")
        await pilot_until(pilot, lambda: "not reloaded" in status(pilot))
        await pilot_until(pilot, lambda: screen_text(pilot).count("there is no such socket") >= 3)
        assert "pretend: there is no such socket; start Docker" in screen_text(pilot)
        assert "pretend: pretend" not in screen_text(pilot)
        engine.away = False
        await pilot.press("f5")
        await pilot_until(pilot, lambda: "no such socket" not in screen_text(pilot))
        assert "no such socket" not in screen_text(pilot)
        await pilot_until(pilot, lambda: "restarts 0" in screen_text(pilot))
        assert "restarts 0" in screen_text(pilot)


async def test_unopened_layer_opens_on_reconnect(open_layer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    tree_of = opening.tree_of

    def lost(*_args: object) -> object:
        raise LOST

    monkeypatch.setattr(opening, "tree_of", lost)
    async with open_layer(wait=False) as (pilot, screen):
        await pilot_until(pilot, lambda: "f5 tries again" in screen_text(pilot))
        assert "the layer could not be opened: f5 tries again" in screen_text(pilot)
        app = screen.app
        source = app.feed.sources[0]
        app.feed = app.feed.with_source(replace(source, problem="lost"))
        monkeypatch.setattr(opening, "tree_of", tree_of)
        await pilot.pause(0.2)  # nothing must be opened: nothing tells that nothing comes
        assert not screen.tree_rows.model.lines
        app.feed = app.feed.with_source(source)
        await pilot_until(pilot, lambda: bool(screen.tree_rows.model.lines))
        assert screen.tree_rows.model.lines
        assert "the layer is open now" in screen.status.message.plain
