"""Kill -9 at random moments on each storage driver; ``DTUI_KILL_RUNS`` makes it longer."""

from __future__ import annotations

import os
import random

import pytest

from tests.contract.kill_at_random import DRIVERS, kill_on

RUNS = int(os.environ.get("DTUI_KILL_RUNS", "6"))
"""Runs on each driver; the script of the same name makes 200."""


@pytest.mark.engine
@pytest.mark.promise("killed-anywhere-old-or-new")
@pytest.mark.parametrize("driver", DRIVERS)
def test_random_kill_leaves_old_or_new(driver: str) -> None:
    seed = random.randrange(1 << 32)
    tally = kill_on(driver, RUNS, random.Random(seed))
    print(f"\n{driver}, seed {seed}: {tally}")
    assert tally.wrong == [], seed
    assert tally.runs == RUNS
