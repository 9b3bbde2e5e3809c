"""docker's verbs beside long changes of dtui's end as they do without it, and dtui says what came of the container."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui
from tests.support.dockerd import docker_cli
from tests.support.waiting import until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.promise("docker-verbs-succeed"),
    pytest.mark.promise("message-names-what-happened"),
]

FILES = 1_500
BEGUN = 200
"""Entries that a change has come to before docker does anything."""

Verb = tuple[str, ...]
Result = tuple[int, str]

STAYING: list[Verb] = [
    ("cp", "{}:/app/keep.txt", "{out}"),
    ("cp", "{out}", "{}:/app/copied.txt"),
    ("exec", "{}", "true"),
    ("rename", "{}", "{}-renamed"),
    ("rename", "{}-renamed", "{}"),
    ("commit", "{}", "{}-image"),
]
"""What leaves a container where it is; at rest ``exec`` fails, with dtui as without."""

ENDS = re.compile(
    r"dtui: (the container (is being removed|was removed|has stopped|was restarted|has stopped or was removed)"
    r"|the container was started (or stopped )?meanwhile[^\n]*|the container's layer is in use)\b[^\n]*\n"
)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A tree of small files."""
    top = tmp_path / "many"
    for directory in range(10):
        (top / str(directory)).mkdir(parents=True)
        for file in range(FILES // 10):
            (top / str(directory) / str(file)).write_text("x")
    return top


def entries(top: Path) -> int:
    """Count the files below a directory of a layer, which may go away meanwhile."""
    return sum(len(files) for _, _, files in os.walk(top))


def prepared(box: Box, change: str, many: Path, *, alive: bool) -> tuple[list[str], Callable[[], bool]]:
    """Return the words of a change, and what says that it is under way."""
    inside = box.upper / "srv" / "many"
    if change == "cp":
        return ["cp", str(many), "web:/srv/many"], lambda: entries(inside) >= BEGUN
    box.engine.docker("cp", str(many), "web:/srv/many")
    if change == "rm" and alive:
        return ["rm", "-r", "web:/srv/many"], lambda: entries(inside) <= FILES - BEGUN
    if change == "chmod":
        first = inside / "0" / "1"
        return [
            "chmod",
            "-R",
            "700",
            "web:/srv/many",
        ], lambda: not first.exists() or first.stat().st_mode & 0o777 == 0o700
    if change == "undo":
        dtui("-H", box.engine.host, "rm", "-r", "web:/srv/many")
        return ["undo", "web"], lambda: entries(inside) >= BEGUN
    state = Path(os.environ["DTUI_STATE"])  # at rest both are one rename, before which they keep a copy
    words = ["rm", "-r"] if change == "rm" else ["revert"]
    return [*words, "web:/srv/many"], lambda: any(file.stat().st_size for file in state.rglob("data"))


@contextmanager
def under_way(box: Box, change: str, many: Path, *, alive: bool) -> Iterator[list[str]]:
    """Begin a change; at the end the list has what dtui said, which is nothing odd and one line at most."""
    words, begun = prepared(box, change, many, alive=alive)
    said: list[str] = []
    command = [sys.executable, "-m", "tui", "-H", box.engine.host, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: begun() or process.poll() is not None, pause=0.001)
        assert process.poll() is None, process.communicate()
        yield said
        out, told = process.communicate(timeout=120)
    assert process.returncode in (0, 4), (process.returncode, told)
    assert process.returncode == 0 or ENDS.fullmatch(told), told
    said.append(out + told)


def verbs(box: Box, wanted: list[Verb], place: Path) -> list[Result]:
    """Run docker's verbs on a container; return how each ended and what it complained of, without names and ids."""
    results = []
    for verb in wanted:
        words = [word.format(box.name, out=place / "out") for word in verb]
        result = subprocess.run(
            [docker_cli() or "docker", "-H", box.engine.host, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        told = re.sub(r"[0-9a-f]{12,}", "ID", result.stderr).replace(box.name, "NAME")
        results.append((result.returncode, f"{verb[0]}: {told}"))
    return results


def left(box: Box, upper: Path) -> list[Path]:
    """Return what of dtui's is in a layer or beside it."""
    beside = upper.parent if upper.name == "diff" else upper
    return [path for path in beside.rglob("*dtui*") if "merged" not in path.parts]


def cases(*rows: tuple[str, str, str]) -> pytest.MarkDecorator:
    """Run a test for a storage driver, a change and the state of its container."""
    return pytest.mark.parametrize(("daemon", "change", "state"), rows, indirect=["daemon"], scope="session")


@cases(
    ("overlay2", "cp", "stopped"),
    ("overlay2", "revert", "stopped"),
    ("overlay2", "undo", "running"),
    ("vfs", "rm", "stopped"),
)
def test_verbs_during_change_end_unaffected(boxes: Boxes, many: Path, tmp_path: Path, change: str, state: str) -> None:
    alive = state == "running"
    wanted: list[Verb] = [*STAYING, ("rm", "{}"), ("stop", "-t0", "{}")] if alive else [*STAYING, ("start", "{}")]
    twin = boxes("mkdir -p /srv", alive=alive, name="twin")
    without = verbs(twin, wanted, tmp_path)
    box = boxes("mkdir -p /srv", alive=alive)
    upper = box.upper
    with under_way(box, change, many, alive=alive):
        beside = verbs(box, wanted, tmp_path)
    assert beside == without
    assert not left(box, upper)
    box.engine.docker("start", "web")
    assert box.sh("cat /app/copied.txt") == "kept\n"
    boxes.engine.docker("rmi", "web-image", "twin-image")


@cases(
    *(("overlay2", change, "stopped") for change in ("cp", "rm", "chmod", "revert", "undo")),
    *(("overlay2", change, "running") for change in ("cp", "undo")),
    ("vfs", "rm", "running"),
    ("fuse-overlayfs", "cp", "stopped"),
)
def test_removal_during_change_is_named(boxes: Boxes, many: Path, tmp_path: Path, change: str, state: str) -> None:
    box = boxes("mkdir -p /srv", alive=state == "running")
    upper = box.upper
    removal = ("container", "prune", "-f") if change in ("rm", "undo") else ("rm", "{}")
    with under_way(box, change, many, alive=state == "running") as said:
        results = verbs(box, [("rm", "-f", "{}") if state == "running" else removal], tmp_path)
    assert results == [(0, f"{'rm' if state == 'running' else removal[0]}: ")]
    assert "removed" in said[0]
    assert box.engine.docker("ps", "-aq", "--filter", "name=^web$") == ""
    assert not upper.exists()
    assert not left(box, upper)
