"""Acts that take long show how far they are; one that must not be cut short says so and goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tui.core import progress
from tui.core.errors import StateDiskFull
from tui.core.progress import Phase
from tui.files import ways
from tui.files.history import backups
from tui.files.history.backups import BackupWriter
from tui.files.verbs import acts
from tui.files.verbs.undo import undo
from tui.ui.dialogs.working import ProgressDialog


def held_at(gate: threading.Event, act: Callable[..., acts.ChangeResult]) -> Callable[..., acts.ChangeResult]:
    """Return the same act, which waits at each entry until a gate is open."""

    def slow(*words: Any, step: acts.Step, **options: Any) -> acts.ChangeResult:
        def told(count: int, path: bytes) -> None:
            step(count, path)
            gate.wait(20)
            step(count, path)

        return act(*words, step=told, **options)

    return slow


def held_in(
    phase: Phase, gate: threading.Event, act: Callable[..., acts.ChangeResult]
) -> Callable[..., acts.ChangeResult]:
    """Return the same act, which waits in one phase until a gate is open."""

    def slow(*words: Any, step: acts.Step, **options: Any) -> acts.ChangeResult:
        def told(count: int, path: bytes) -> None:
            step(count, path)
            meter = progress._CURRENT.get()
            if meter is not None and meter.phase is phase:
                gate.wait(20)

        return act(*words, step=told, **options)

    return slow


@pytest.mark.promise("progress-in-bytes")
async def test_restoring_undo_cannot_be_stopped(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(ways, "undo", held_in(Phase.RESTORE, gate, undo))
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d")
        await pilot_until(pilot, lambda: "Delete /app/new.txt?" in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(pilot, lambda: not (app_dir / "new.txt").exists() and "z undoes this" in screen_text(pilot))
        await pilot.press("z")
        await pilot_until(pilot, lambda: "Undo the deletion of /app/new.txt" in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(
            pilot, lambda: isinstance(pilot.app.screen, ProgressDialog) and "restoring: 0 B of" in screen_text(pilot)
        )
        assert "This step cannot be stopped" in screen_text(pilot)
        assert not [line for line in screen_text(pilot).splitlines()[:-1] if "esc" in line]  # below it is the footer
        await pilot.press("escape")
        gate.set()
        await pilot_until(
            pilot, lambda: (app_dir / "new.txt").exists() and "is as it was" in screen.status.message.plain
        )
    assert (app_dir / "new.txt").exists()


async def test_undo_stops_before_restoring(open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(ways, "undo", held_in(Phase.KEEP, gate, undo))
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d", "y")
        await pilot_until(pilot, lambda: not (app_dir / "new.txt").exists() and "z undoes this" in screen_text(pilot))
        await pilot.press("z", "y")
        await pilot_until(
            pilot, lambda: isinstance(pilot.app.screen, ProgressDialog) and "esc  stop" in screen_text(pilot)
        )
        await pilot.press("escape")
        gate.set()
        await pilot_until(pilot, lambda: "stopped; nothing was changed" in screen.status.message.plain)
    assert not (app_dir / "new.txt").exists()


async def test_escape_stops_deletion(open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(acts, "remove", held_at(gate, acts.remove))
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d")
        await pilot_until(pilot, lambda: "Delete /app/new.txt?" in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(
            pilot, lambda: isinstance(pilot.app.screen, ProgressDialog) and "esc  stop" in screen_text(pilot)
        )
        await pilot.press("escape")
        await pilot_until(pilot, lambda: "stopping…" in screen_text(pilot))
        gate.set()
        await pilot_until(pilot, lambda: "stopped; nothing was changed" in screen.status.message.plain)
    assert (app_dir / "new.txt").exists()


@pytest.mark.promise("limit-asked-before")
@pytest.mark.parametrize(("key", "kept"), [("k", "copy"), ("a", "aside"), ("p", "nothing")])
async def test_delete_beyond_limit_offers_choices(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch, key: str, kept: str
) -> None:
    monkeypatch.setattr(backups, "ACT_LIMIT", 1)
    file = app_dir / "new.txt"
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d", "y")
        await pilot_until(pilot, lambda: "what should happen to the old contents?" in screen_text(pilot))
        assert "more than the 1 B that are kept" in screen_text(pilot)
        await pilot.press("enter", "d", "y")
        await pilot.pause(0.2)  # Enter must not answer: nothing tells that nothing comes
        assert file.exists()
        await pilot.press(key)
        await pilot_until(pilot, lambda: not file.exists() and "deleted" in screen.status.message.plain)
        assert ("z undoes this" in screen.status.message.plain) == (kept != "nothing")
        assert bool(list(app_dir.parents[1].glob("dtui-aside/*/new.txt"))) == (kept == "aside")
        if kept == "nothing":
            return
        await pilot.press("z")
        await pilot_until(pilot, lambda: "Undo the deletion" in screen_text(pilot))
        await pilot.press("y")
        await pilot_until(pilot, lambda: file.exists() and "is as it was" in screen.status.message.plain)
    assert file.exists()


async def test_escape_cancels_delete_beyond_limit(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "ACT_LIMIT", 1)
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d", "y")
        await pilot_until(pilot, lambda: "what should happen to the old contents?" in screen_text(pilot))
        await pilot.press("escape")
        await pilot_until(pilot, lambda: "what should happen" not in screen_text(pilot))
    assert (app_dir / "new.txt").exists()


@pytest.mark.promise("undo-without-room")
async def test_undo_without_room_offers_no_backup(
    open_layer: Open, app_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(b"/app/new.txt"))
        await pilot.press("d", "y")
        await pilot_until(pilot, lambda: not (app_dir / "new.txt").exists() and "z undoes this" in screen_text(pilot))

        def full(*words: Any, **options: Any) -> None:
            raise StateDiskFull("/var/lib/dtui: no space left on device", "no backup, no change")

        monkeypatch.setattr(BackupWriter, "commit", full)
        await pilot.press("z", "y")
        await pilot_until(pilot, lambda: "no room for a copy" in screen_text(pilot))
        await pilot.press("p")
        await pilot_until(pilot, lambda: "is as it was" in screen.status.message.plain)
        assert "z undoes this" not in screen.status.message.plain
    assert (app_dir / "new.txt").exists()
