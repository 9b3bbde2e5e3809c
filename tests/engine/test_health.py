"""A container's health, from the Engine's list, its inspect answer, and its record on disk."""

from __future__ import annotations

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.waiting import until
from tui.core.records import State
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.render.containers import count_words

pytestmark = pytest.mark.engine


def test_health_and_pause_are_shown_as_they_are(engine: Dockerd) -> None:
    check = ("--health-cmd=false", "--health-interval=1s", "--health-retries=1")
    for name, options in (("sick", check), ("plain", ()), ("held", ())):
        engine.docker("run", "-d", "--network=none", f"--name={name}", *options, IMAGE, "sleep", "1000")
    engine.docker("pause", "held")
    endpoint = LiveEndpoint("local", engine.host)
    until(lambda: any(row.health == "unhealthy" for row in endpoint.snapshot()))
    rows = {row.name: row for row in endpoint.snapshot()}
    assert (rows["plain"].health, rows["held"].state) == ("", State.PAUSED)
    assert endpoint.inspect(rows["sick"].id).container.health == "unhealthy"
    assert count_words(rows.values()) == "3 containers · 2 running · 1 paused · 1 unhealthy"
    endpoint.close()
    assert {row["name"]: row["health"] for row in dtui_json("-H", engine.host, "ls")} == {
        "sick": "unhealthy",
        "plain": None,
        "held": None,
    }
    assert b"running (unhealthy)" in dtui("-H", engine.host, "ls")
    assert b"running (unhealthy)" in dtui("--root", str(engine.root), "ls")
