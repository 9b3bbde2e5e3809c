"""Eight faults times five acts, each with the real thing: what the user saw, and that nothing was lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tests.support.call_faults import CallOutcome, failed_at, killed_at, points
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE
from tests.support.stopped_lab import CHANGED, Lab, of_box
from tests.support.tree_state import View
from tui.core.errors import DtuiError
from tui.core.records import Details
from tui.files.history.backups import last_to_undo, undo_records
from tui.files.history.crash_recovery import recover
from tui.files.verbs.undo import undo
from tui.files.ways import LayerFiles

pytestmark = pytest.mark.engine

ACTS = ("save", "delete", "rename", "revert", "undo delete")


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def small(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    """A dockerd on a disk that can be filled."""
    found = Dockerd(request.param, disk=160)
    try:
        found.start()
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", "echo two > /app/layer2.txt")
        yield found
    finally:
        found.close()


@dataclass
class Bench:
    """A container on the small disk, and the engine that it belongs to."""

    engine: Dockerd
    lab: Lab

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        filler = self.engine.root / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue
        try:
            yield
        finally:
            filler.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        place = str(self.lab.layer.parent)
        subprocess.run(["/bin/mount", "--bind", place, place], check=True)
        subprocess.run(["/bin/mount", "-o", "remount,bind,ro", place], check=True)
        try:
            yield
        finally:
            subprocess.run(["/bin/umount", place], check=True)

    @contextmanager
    def immutable(self) -> Iterator[None]:
        places = [self.lab.layer, self.lab.layer / "app", self.lab.layer / "etc", self.lab.layer / "conf.d"]
        fixed = [str(place) for place in places if place.exists()]
        subprocess.run(["/usr/bin/chattr", "+i", *fixed], check=True)
        try:
            yield
        finally:
            subprocess.run(["/usr/bin/chattr", "-i", *fixed], check=True)

    def hooked(self, fault: Callable[[], object]) -> None:
        """Let a fault happen right after dtui has looked at the container."""
        plain = self.lab.endpoint

        def endpoint() -> object:
            made = plain()
            look = made.inspect
            looks: list[str] = []

            def inspect(container: str) -> Details:
                found = look(container)
                looks.append(container)
                if len(looks) == 1:
                    fault()
                return found

            made.inspect = inspect  # type: ignore[method-assign]
            return made

        self.lab.endpoint = endpoint  # type: ignore[assignment]


def plainly(act: Callable[[], object]) -> CallOutcome:
    try:
        told = act()
    except DtuiError as error:
        return CallOutcome("refused", str(error))
    return CallOutcome("done", "; ".join(getattr(told, "notes", ())))


def with_fault(bench: Bench, fault: str, act: str) -> CallOutcome:
    """Do an act while something goes wrong; return what the user is told."""
    lab = bench.lab
    if fault in ("EIO", "kill -9"):
        found = points(lab.act(act))
        lab.reset()
        (point, *_) = [one for one in found[len(found) // 2 :] if one.call == "fsync" or fault == "kill -9"]
        return failed_at(lab.act(act), point, "EIO") if fault == "EIO" else killed_at(lab.act(act), point)
    held: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "ENOSPC": bench.full_disk,
        "EROFS": bench.read_only,
        "EPERM": bench.immutable,
    }
    engine = bench.engine
    happens: dict[str, Callable[[], object]] = {
        "daemon dies": engine.die,
        "container starts": lambda: engine.docker("start", "web"),
        "container removed": lambda: engine.docker("rm", "-f", "web"),
    }
    if fault in happens:
        bench.hooked(happens[fault])
    with held.get(fault, nullcontext)():
        return plainly(lab.act(act))


FAULTS = ("ENOSPC", "EIO", "EROFS", "EPERM", "kill -9", "daemon dies", "container starts", "container removed")


def what_is_there(bench: Bench, old: View, new: View, ended: CallOutcome) -> str:
    """Return "old" or "new"; undo what is neither, as dtui said."""
    lab = bench.lab
    recover(lab.inspect)
    now = lab.view()
    if now not in (old, new):
        assert "undo takes back" in ended.message, ended
        undo(last_to_undo(lab.id), inspect=lab.inspect, save=LayerFiles(lab.details, lab.inspect).save)
        assert lab.view() == old
        return "old, by undo"
    assert lab.leftovers() == []
    return "new" if now == new else "old"


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_reported_without_loss(
    small: Dockerd, private_state: Path, record_property: Callable[[str, object], None], fault: str, act: str
) -> None:
    boxes = Boxes(small)
    box = boxes(CHANGED)
    lab = of_box(box, private_state)
    bench = Bench(small, lab)
    plain = lab.endpoint
    try:
        if act.startswith("undo "):
            lab.act(act.removeprefix("undo "))()
            lab.keep()
        old = lab.view()
        lab.act(act)()
        new = lab.view()
        lab.reset()
        ended = with_fault(bench, fault, act)
        lab.endpoint = plain
        if fault == "daemon dies":
            small.start()
        if fault == "container removed":
            assert not lab.layer.exists()
            there = "gone with its container"
            assert all(one.done or one.undone or one.cut_off for one in undo_records(lab.id))
        elif fault == "container starts":
            small.docker("exec", "web", "sh", "-ec", "echo w >> /app/keep.txt; rm /app/layer2.txt; touch /etc/w")
            small.docker("stop", "-t0", "web")
            for view in (old, new):  # what the container itself did just now
                view.pop("app/layer2.txt", None)
            now = lab.view()
            kept = {path: seen for path, seen in now.items() if path not in ("app/keep.txt", "etc/w")}
            old.pop("app/keep.txt"), new.pop("app/keep.txt")
            assert kept in (old, new)
            there = "new" if kept == new else "old"
        else:
            there = what_is_there(bench, old, new, ended)
        assert "\n" not in ended.message
        assert ended.how != "broke", ended.message
        assert ended.message or ended.how in ("done", "killed")
        shown = ended.message.replace(str(small.home), "…")[:110] or ended.how
        record_property("matrix", f"{small.driver:9} {fault:18} {act:12} {there:24} {shown}")
    finally:
        boxes.endpoint.close()
        lab.close()
        if not small._answers():
            small.start()
        small.docker("rm", "-f", "web", check=False)
    assert str(lab.layer) not in Path("/proc/self/mounts").read_text()
