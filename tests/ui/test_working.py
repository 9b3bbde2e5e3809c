"""Acts that take long show how far they are; one that must not be cut short says so and goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Open, shown, until
from tui.editing import acts
from tui.editing.undo import undo
from tui.ui.dialogs.working import Working
from tui.ui.screens import changing


def held_at(gate: threading.Event, act: Callable[..., acts.Outcome]) -> Callable[..., acts.Outcome]:
    """Return the same act, which waits at each entry until a gate is open."""

    def slow(*words: Any, step: acts.Step, **options: Any) -> acts.Outcome:
        def told(count: int, path: bytes) -> None:
            step(count, path)
            gate.wait(20)
            step(count, path)

        return act(*words, step=told, **options)

    return slow


async def test_taking_back_shows_how_far_it_is_and_escape_does_not_cut_it_short(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(changing, "undo", held_at(gate, undo))
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d")
        await until(pilot, lambda: "Delete /app/new.txt?" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: not (app_dir / "new.txt").exists() and "z undoes this" in shown(pilot))
        await pilot.press("z")
        await until(pilot, lambda: "Undo the deletion of /app/new.txt" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Working) and "0 entries  /app/new.txt" in shown(pilot))
        assert not [line for line in shown(pilot).splitlines()[:-1] if "esc" in line]  # below it is the footer
        await pilot.press("escape")
        await until(pilot, lambda: "it goes to its end" in shown(pilot))
        gate.set()
        await until(pilot, lambda: (app_dir / "new.txt").exists() and "is as it was" in screen.status.message.plain)


async def test_escape_stops_a_deletion_before_the_next_entry(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(acts, "remove", held_at(gate, acts.remove))
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d")
        await until(pilot, lambda: "Delete /app/new.txt?" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Working) and "esc  stop" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "stopping…" in shown(pilot))
        gate.set()
        await until(pilot, lambda: "stopped; nothing was changed" in screen.status.message.plain)
    assert (app_dir / "new.txt").exists()
