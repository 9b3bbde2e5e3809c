"""The app over an Engine that floods it, says nothing or nonsense: keys are obeyed, and q leaves."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator

import pytest
from textual.widgets import Static

from tests.engine.test_hostile_engine import CHANGES, INSPECT, LIST, LOGS, event
from tests.support.hostile_engine import ID, Answer, HostileEngine, endless, http, in_chunks, inspected, row
from tests.support.waiting import pilot_until
from tui.core.records import Container, Event
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.services import feed
from tui.ui.app import DtuiApp
from tui.ui.screens.containers import ContainersScreen
from tui.ui.screens.logs import LogsScreen
from tui.ui.widgets.container_rows import ContainerRows
from tui.ui.widgets.log_pane import LogPane

FLOODS: dict[str, dict[str, Answer]] = {
    "events": {"GET /events": lambda: in_chunks(endless(event("rename") * 200))},
    "events of others": {
        "GET /events": lambda: in_chunks(
            event("die", Actor={"ID": f"{number:064x}", "Attributes": {"exitCode": "1"}})
            for number in itertools.count()
        )
    },
    "odd events": {"GET /events": lambda: in_chunks(endless(b"null\n" * 1000))},
    "log": {LOGS: lambda: in_chunks(endless(b"\1\0\0\0\0\0\0\x0a123456789\n" * 500))},
    "log without lines": {
        LOGS: lambda: in_chunks(itertools.chain([b"\1\0\0\0\xff\xff\xff\xff"], endless(b"x" * 65_536)))
    },
}


def hang() -> Iterator[bytes]:
    yield b""
    threading.Event().wait(120)


SILENCES: dict[str, dict[str, Answer]] = {
    "list": {LIST: hang},
    "inspect": {INSPECT: hang},
    "events": {"GET /events": hang},
    "changes": {CHANGES: hang},
    "log": {LOGS: hang},
}


@pytest.mark.promise("answers-parsed-at-border")
async def test_skipped_events_are_told_once() -> None:
    odd = [b"null\n" * 3, event("rename"), b"7\n"]
    with HostileEngine({"GET /events": lambda: in_chunks(odd)}) as engine:  # it ends, and is listened to again
        app = DtuiApp([LiveEndpoint("far", engine.address)])
        async with app.run_test(size=(120, 30), notifications=True) as pilot:
            await pilot_until(pilot, lambda: engine.requests.count("GET /events") > 1)
            await pilot_until(pilot, lambda: bool(app._notifications))
            assert [one.message for one in app._notifications if "does not understand" in one.message] == [
                "far: its Engine announces what dtui does not understand; the list is asked for each time"
            ]


@pytest.mark.promise("quit-never-waits")
@pytest.mark.promise("streams-bounded")
@pytest.mark.parametrize("name", FLOODS)
async def test_keys_are_obeyed_in_a_flood(name: str) -> None:
    with HostileEngine(FLOODS[name]) as engine:
        app = DtuiApp([LiveEndpoint("far", engine.address)])
        async with app.run_test(size=(120, 30)) as pilot:
            await pilot_until(pilot, lambda: bool(app.feed.containers) and isinstance(app.screen, ContainersScreen))
            if name.startswith("log"):
                await pilot.press("l")
                await pilot_until(pilot, lambda: isinstance(app.screen, LogsScreen))
                pane = app.screen.query_one("#log", LogPane)
                await pilot_until(pilot, lambda: len(pane.lines) > 50)
                assert sum(map(len, pane.lines)) <= 16 << 20
            await pilot.press("q")
            await pilot_until(pilot, lambda: app._exit)
        assert app.return_code == 0


@pytest.mark.promise("quit-never-waits")
@pytest.mark.parametrize("name", SILENCES)
async def test_q_leaves_silent_engine(name: str) -> None:
    with HostileEngine(SILENCES[name]) as engine:
        app = DtuiApp([LiveEndpoint("far", engine.address)])
        async with app.run_test(size=(120, 30)) as pilot:
            await pilot_until(pilot, lambda: isinstance(app.screen, ContainersScreen) and len(engine.requests) > 1)
            if name == "log":
                await pilot_until(pilot, lambda: bool(app.feed.containers))
                await pilot.press("l")
            await pilot.press("q")
            await pilot_until(pilot, lambda: app._exit)
        assert app.return_code == 0


@pytest.mark.promise("streams-bounded")
def test_event_flood_waits_for_screen() -> None:
    told: list[Event] = []
    frames = feed._EventBatches(told.append)
    sent, done = itertools.count(), threading.Event()

    def send() -> None:
        while not done.is_set():
            frames.add(Event(str(next(sent)), ID))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    while len(frames._waiting) < feed._FRAME_LIMIT:
        pass
    assert not told
    assert len(frames._waiting) == feed._FRAME_LIMIT
    done.set()
    frames.close()
    sender.join(30)
    assert not sender.is_alive()


@pytest.mark.promise("answers-parsed-at-border")
@pytest.mark.parametrize("body", ["null", "[[]]", '{"Id": 7}', json.dumps(inspected(Mounts=[7])), "[" * 100_000])
async def test_malformed_details_are_one_line(body: str) -> None:
    with HostileEngine({INSPECT: http(body), CHANGES: http('[{"Path": "/x", "Kind": 9}]')}) as engine:
        app = DtuiApp([LiveEndpoint("far", engine.address)])
        async with app.run_test(size=(120, 30)) as pilot:
            await pilot_until(pilot, lambda: isinstance(app.screen, ContainersScreen) and bool(app.feed.containers))
            detail = app.screen.query_one("#detail", Static)
            await pilot_until(pilot, lambda: "is not" in " ".join(str(detail.render()).split()))
            assert not app._exit


@pytest.mark.promise("one-odd-row-costs-one-row")
async def test_malformed_rows_hide_no_container() -> None:
    rows = [7, None, row(), row(Id="../../etc"), row(Id="cd" * 32, Names=["/other"], Created=1e300, Ports={})]
    with HostileEngine({LIST: http(json.dumps(rows))}) as engine:
        app = DtuiApp([LiveEndpoint("far", engine.address)])
        async with app.run_test(size=(120, 30)) as pilot:
            await pilot_until(pilot, lambda: isinstance(app.screen, ContainersScreen) and bool(app.feed.containers))
            assert {"web", "other"} <= {found.name for found in app.feed.containers}
            assert app.screen.query_one("#rows", ContainerRows).current is not None


async def test_worker_exception_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(self: LiveEndpoint, container_id: str) -> Container:
        raise ZeroDivisionError(container_id[:3])

    monkeypatch.setattr(LiveEndpoint, "inspect", mistaken)
    with HostileEngine() as engine:
        app = DtuiApp([LiveEndpoint("far", engine.address)])
        async with app.run_test(size=(120, 30)) as pilot:
            await pilot_until(pilot, lambda: isinstance(app.screen, ContainersScreen) and bool(app.feed.containers))
            screen = app.screen
            assert isinstance(screen, ContainersScreen)
            await pilot_until(pilot, lambda: "ZeroDivisionError: aba" in str(screen.status.render()))
            await pilot.press("q")
            await pilot_until(pilot, lambda: app._exit)
