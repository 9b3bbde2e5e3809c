"""A tree of a container at rest goes in one step, whoever starts the container or reads its layer meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support import call_faults
from tests.support.attribute_tree import seen, without_times
from tests.support.boxes import Box, Boxes
from tests.support.dockerd import docker_cli
from tests.support.waiting import until
from tui.core.errors import ChangedMeanwhile, EditRefused, Stopped
from tui.core.progress import Meter, Phase
from tui.core.records import Details
from tui.files.history.backups import BackupMode, undo_records
from tui.files.history.crash_recovery import recover
from tui.files.verbs import acts

pytestmark = pytest.mark.engine

UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
FULL_TREE = pytest.mark.parametrize("daemon", ["vfs"], indirect=True, scope="session")
KEEP = pytest.mark.parametrize("keep", [BackupMode.USUAL, BackupMode.NOTHING])
WHOLE = pytest.mark.promise("delete-at-rest-in-one-step")

MANY = "mkdir -p /srv/many/deep; cd /srv/many; for i in $(seq 60); do echo $i > f$i; done; echo x > deep/x"
COUNT = 61


def files_below(top: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(top))


def remove(box: Box, path: bytes = b"/srv/many", keep: BackupMode = BackupMode.USUAL) -> acts.ChangeResult:
    return acts.remove(box.id, path, inspect=box.inspect, recursive=True, keep=keep)


def at_look(box: Box, look: int, happens: Callable[[], object]) -> None:
    """Let something happen right before dtui looks at the container for the ``look``-th time."""
    looks: list[str] = []

    def look_again(container: str) -> Details:
        looks.append(container)
        if len(looks) == look:
            happens()
        return box.endpoint.inspect(container)

    box.hooked = look_again


@WHOLE
@KEEP
def test_delete_at_rest_is_never_half_done(boxes: Boxes, keep: BackupMode) -> None:
    box = boxes(MANY)
    inside = box.upper / "srv" / "many"
    counts: set[int] = set()
    phases: set[Phase | None] = set()

    def look(meter: Meter) -> None:
        counts.add(files_below(inside))
        phases.add(meter.phase)

    meter = Meter(look)
    with meter.watching():
        acts.remove(box.id, b"/srv/many", inspect=box.inspect, recursive=True, keep=keep, step=meter.step)
    assert counts == {COUNT, 0}
    assert Phase.DELETE in phases
    assert not box.exists(b"/srv/many")
    if keep is not BackupMode.NOTHING:
        box.undo()
        assert files_below(inside) == COUNT


@WHOLE
@UNION
def test_delete_hides_image_in_the_same_step(boxes: Boxes) -> None:
    box = boxes("echo mine > /app/mine; rm /app/keep.txt; mkdir /app/new; echo n > /app/new/n")
    before, diff = without_times(seen(box, "/app")), box.diff()
    kinds: set[bool] = set()
    place = box.upper / "app"
    meter = Meter(lambda _: kinds.add(place.is_char_device()))
    with meter.watching():
        remove(box, b"/app")
    assert kinds == {False, True}
    assert "D /app" in box.diff()
    box.undo()
    assert without_times(seen(box, "/app")) == before
    assert [line for line in box.diff() if "/app" in line] == [line for line in diff if "/app" in line]


@WHOLE
@KEEP
@pytest.mark.parametrize("look", [2, 3], ids=["before", "after"])
def test_start_during_delete_keeps_tree(boxes: Boxes, keep: BackupMode, look: int) -> None:
    box = boxes(MANY)
    at_look(box, look, box.start)
    with pytest.raises(ChangedMeanwhile, match="was started meanwhile"):
        remove(box, keep=keep)
    assert box.sh("find /srv/many -type f | wc -l; cat /srv/many/f60 /srv/many/deep/x").split() == [
        str(COUNT),
        "60",
        "x",
    ]
    box.sh("echo more >> /srv/many/f1; rm /srv/many/f2; rm -r /srv/many")
    assert list(undo_records(box.id)) == []


@WHOLE
@KEEP
@pytest.mark.parametrize("look", [2, 3], ids=["before", "after"])
def test_delete_keeps_what_is_new_in_tree(boxes: Boxes, keep: BackupMode, look: int) -> None:
    box = boxes(MANY)
    place = box.upper / "srv" / "many"

    def theirs() -> None:
        tops = [place, *(trash / "many" for trash in box.engine.root.rglob("dtui-trash"))]
        (top,) = [top for top in tops if top.exists()]
        (top / "deep" / "new").write_text("theirs\n")

    at_look(box, look, theirs)
    with pytest.raises(ChangedMeanwhile, match="/srv/many was changed meanwhile"):
        remove(box, keep=keep)
    assert (place / "deep" / "new").read_text() == "theirs\n"
    assert files_below(place) == COUNT + 1
    assert list(undo_records(box.id)) == []


@WHOLE
@KEEP
@pytest.mark.parametrize("look", [2, 3], ids=["before", "after"])
def test_unforeseen_error_puts_tree_back(boxes: Boxes, keep: BackupMode, look: int) -> None:
    box = boxes(MANY)

    def broken() -> None:
        raise MemoryError

    at_look(box, look, broken)
    with pytest.raises(MemoryError) as caught:
        remove(box, keep=keep)
    assert caught.value.__notes__ == ["nothing was changed"]
    assert files_below(box.upper / "srv" / "many") == COUNT
    assert list(undo_records(box.id)) == []
    assert not list(box.engine.root.rglob("dtui-*"))


def test_stop_before_delete_changes_nothing(boxes: Boxes) -> None:
    box = boxes(MANY)
    meter = Meter(lambda meter: meter.stop() if meter.phase is Phase.DELETE else None)
    with meter.watching(), pytest.raises(Stopped, match="nothing was changed"):
        acts.remove(box.id, b"/srv/many", inspect=box.inspect, recursive=True, step=meter.step)
    assert files_below(box.upper / "srv" / "many") == COUNT
    assert list(undo_records(box.id)) == []


def test_delete_goes_one_by_one_without_rename(boxes: Boxes) -> None:
    box = boxes(MANY)
    for failure in ("inject=renameat2:error=EINVAL", "inject=mkdir,mkdirat:error=ENOSPC:when=2"):
        ended = call_faults.run(lambda: remove(box), failure)
        assert ended.how in ("done", "refused"), ended
        assert files_below(box.upper / "srv" / "many") == (0 if ended.how == "done" else COUNT)
        if ended.how == "done":
            box.undo()
        assert files_below(box.upper / "srv" / "many") == COUNT


def test_immutable_entry_is_refused_before(boxes: Boxes) -> None:
    box = boxes(MANY)
    fixed = box.upper / "srv" / "many" / "deep" / "x"
    subprocess.run(["/usr/bin/chattr", "+i", fixed], check=True)
    try:
        with pytest.raises(EditRefused, match="immutable"):
            remove(box)
        assert files_below(box.upper / "srv" / "many") == COUNT
        assert list(undo_records(box.id)) == []
    finally:
        subprocess.run(["/usr/bin/chattr", "-i", fixed], check=True)


@WHOLE
@KEEP
@pytest.mark.parametrize("call", ["renameat2", "fsync", "rename", "unlink,unlinkat,rmdir"])
def test_killed_delete_leaves_old_or_new(boxes: Boxes, keep: BackupMode, call: str) -> None:
    box = boxes("mkdir -p /srv/d/e; echo a > /srv/d/a; ln /srv/d/a /srv/d/e/b; ln -s a /srv/d/link")
    old = without_times(seen(box, "/srv"))
    for turn in range(1, 60):
        ended = call_faults.run(lambda: remove(box, b"/srv/d", keep), f"inject={call}:signal=KILL:when={turn}")
        recover(box.inspect)
        assert not list(box.engine.root.rglob("dtui-*"))
        if box.exists(b"/srv/d"):
            assert without_times(seen(box, "/srv")) == old
        elif keep is BackupMode.NOTHING:
            break
        else:
            box.undo()
            assert without_times(seen(box, "/srv")) == old
        if ended.how != "killed":
            break
    assert keep is BackupMode.NOTHING or ended.how == "done"


# an engine that reads the layer -----------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A tree that no pipe can hold."""
    top = tmp_path / "many"
    for directory in range(10):
        (top / str(directory)).mkdir(parents=True)
        for file in range(200):
            (top / str(directory) / str(file)).write_bytes(b"x" * 1500)
    return top


@contextmanager
def copying_out(box: Box, out: Path) -> Iterator[None]:
    """Let ``docker cp`` read a tree that nobody takes, until the end of the context."""
    words = [docker_cli() or "docker", "-H", box.engine.host, "cp", "web:/srv/many", "-"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        yield
        out.write_bytes(first + process.stdout.read())
    assert process.returncode == 0
    with tarfile.open(out) as tar:
        assert sum(member.isreg() for member in tar) == 2000


@contextmanager
def committing(box: Box, out: Path) -> Iterator[None]:
    """Let ``docker commit`` read a tree for an image layer that is not written on, until the end of the context."""
    del out
    words = [docker_cli() or "docker", "-H", box.engine.host, "commit", "web", "web-image"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: layer_writers(box) or process.poll() is not None, pause=0.001)
        writers = layer_writers(box)
        for pid in writers:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert writers
            yield
        finally:
            for pid in writers:
                os.kill(pid, signal.SIGCONT)
        assert process.wait(120) == 0, process.communicate()
    box.engine.docker("create", "--network=none", "--name=copy", "web-image", "true")
    copied = Box(box.engine, box.endpoint, "copy").upper
    assert files_below(copied / "srv" / "many") == 2000
    box.engine.docker("rm", "copy")
    box.engine.docker("rmi", "web-image")


def layer_writers(box: Box) -> list[int]:
    """Return the processes in which a dockerd of a test writes an image layer."""
    home = os.fsencode(box.engine.root)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"docker-applyLayer") and home in words:
            found.append(int(pid))
    return found


@FULL_TREE
@pytest.mark.promise("docker-verbs-succeed")
@pytest.mark.parametrize("reading", [copying_out, committing])
def test_engine_reads_whole_tree_during_delete(
    boxes: Boxes, large: Path, tmp_path: Path, reading: Callable[[Box, Path], AbstractContextManager[None]]
) -> None:
    box = boxes()
    box.engine.docker("cp", str(large), "web:/srv/many")
    details = box.details
    box.hooked = lambda _: details  # while docker cp is at work, the daemon does not tell about the container
    with reading(box, tmp_path / "out.tar"), pytest.raises(ChangedMeanwhile, match="the container's layer is in use"):
        remove(box)
    assert list(undo_records(box.id)) == []
    box.hooked = None
    remove(box)
    assert not (box.upper / "srv" / "many").exists()
