"""Progress of what copies: bytes, percent and time left; and where it may be stopped."""

from __future__ import annotations

import threading

import pytest

from tui.core import progress
from tui.core.errors import Stopped
from tui.core.progress import Meter, Phase


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.promise("progress-in-bytes")
def test_progress_shows_bytes_and_time_left() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    with meter.watching():
        progress.begin(Phase.KEEP, 500_000_000)
        assert meter.numbers == "keeping a copy: 0 B of 500.0 MB · 0 %"
        progress.copied(100_000_000)
        clock.now = 4.0
        assert meter.numbers == "keeping a copy: 100.0 MB of 500.0 MB · 20 % · 16 s left"
        progress.copied(600_000_000)  # it has grown since it was measured
        assert meter.numbers == "keeping a copy: 500.0 MB of 500.0 MB · 100 % · 0 s left"
        progress.begin(Phase.DELETE, entries=4000)
        meter.step(1000, b"/a")
        clock.now = 7204.0
        assert meter.numbers == "deleting: 1,000 of 4,000 entries · 25 % · 6 h left"
        meter.step(2000, b"/\x1b[2J")
        assert meter.path == "/\\e[2J"


def test_stop_is_ignored_in_final_phase() -> None:
    meter = Meter()
    with meter.watching():
        progress.begin(Phase.RESTORE, 10, final=True)
        meter.stop()
        progress.copied(5)
        meter.step(1, b"/a")
    meter = Meter()
    with meter.watching():
        progress.begin(Phase.KEEP, 10)
        meter.stop()
        with pytest.raises(Stopped):
            progress.copied(5)
        with pytest.raises(Stopped):
            progress.begin(Phase.RESTORE, 10, final=True)
        assert not meter.final
        progress.ignore_stop()
        progress.copied(5)


def test_other_threads_are_not_counted() -> None:
    meter = Meter()
    with meter.watching():
        thread = threading.Thread(target=progress.copied, args=(5,))
        thread.start()
        thread.join()
    assert meter.done == 0
