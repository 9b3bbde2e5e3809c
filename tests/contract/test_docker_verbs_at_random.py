"""docker's and podman's verbs between any two steps of a change; ``DTUI_VERB_PAIRS`` makes it longer."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.contract.docker_verbs_at_random import CHANGES, VERBS, pairs_on
from tests.support.boxes import Boxes
from tui.core import state
from tui.core.ids import ContainerId
from tui.core.state import container_lock, sweep_locks
from tui.layers import private_mounts

PAIRS = int(os.environ.get("DTUI_VERB_PAIRS", "3"))
"""Pairs on each engine; ``python -m tests.contract.docker_verbs_at_random`` makes 400 in all."""

ENDING = ["rm", "rm -f", "start", "stop", "restart", "kill", "container prune", "system prune"]


@pytest.mark.engine
@pytest.mark.promise("docker-verbs-succeed")
@pytest.mark.promise("message-names-what-happened")
@pytest.mark.promise("nothing-left-of-removed-container")
@pytest.mark.parametrize("engine", ["overlay2", "podman"])
def test_verbs_between_steps_end_unaffected(engine: str) -> None:
    seed = random.randrange(1 << 32)
    tally = pairs_on(engine, PAIRS, random.Random(seed), list(CHANGES), ENDING if len(VERBS) > PAIRS else list(VERBS))
    print(f"\n{engine}, seed {seed}: {tally}")
    assert tally.wrong == [], seed
    assert tally.pairs == PAIRS


@pytest.mark.engine
@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_chmod_survives_storage_self_mount(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes()
    storage = str(box.upper.parent.parent)
    plain, mounted = private_mounts._make_work, []

    def make_work(beside: int, name: str) -> int:
        """Do what podman does whenever it works."""
        work = plain(beside, name)
        if not mounted:
            subprocess.run(["/bin/mount", "--bind", storage, storage], check=True)
            mounted.append(storage)
        return work

    monkeypatch.setattr(private_mounts, "_make_work", make_work)
    try:
        box.chmod(b"/etc/motd", "600")
    finally:
        for place in mounted:
            subprocess.run(["/bin/umount", place], check=True)
    assert (box.upper / "etc/motd").stat().st_mode & 0o777 == 0o600


@pytest.mark.promise("nothing-left-of-removed-container")
@pytest.mark.root  # whose locks are in /run
def test_lock_file_goes_with_its_holder() -> None:
    name = ContainerId("d" * 64)
    with container_lock(name):
        assert [path.name for path in _locks()] == [f"{name}.lock"]
        sweep_locks()
        assert len(_locks()) == 1
    assert _locks() == []
    (state.LOCKS / f"{name}.lock").touch()  # as kill -9 leaves it
    sweep_locks()
    assert _locks() == []


def _locks() -> list[Path]:
    return list(state.LOCKS.iterdir())
