"""Who owns what must be cleaned up after a kill."""

from __future__ import annotations

import subprocess
import sys

from tui.linux.process_marks import owner_lives, owner_mark


def test_running_process_lives() -> None:
    assert owner_lives(owner_mark())


def test_unreaped_process_is_dead() -> None:
    code = "from tui.linux.process_marks import owner_mark; print(owner_mark(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        mark = process.stdout.readline().strip()
        assert owner_lives(mark)
        process.kill()
        process.stdout.read()  # it has closed its end, but nobody has waited for it
        while _state(process.pid) != "Z":
            pass
        assert not owner_lives(mark)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]
