"""An act on all of a directory is done beside what is mounted below, and can be taken back whatever runs by then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.boxes import Box, Boxes, mount_inside
from tui.core.errors import EditRefused
from tui.core.id_maps import HOST_IDS
from tui.files.history.backups import UndoKind
from tui.files.verbs.acts import change_metadata
from tui.files.verbs.permissions import mode_change, owner_change

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
THEN = pytest.mark.parametrize("alive_then", [False, True], ids=["undone stopped", "undone running"])
MODES = "find / -xdev -print0 | sort -z | xargs -0 stat -c '%n %a %u'"


@pytest.fixture
def volume(boxes: Boxes) -> Iterator[str]:
    """A volume with something in it."""
    name = boxes.engine.docker("volume", "create").strip()
    yield name
    for container in boxes.engine.docker("ps", "-aq").split():
        boxes.engine.docker("rm", "-f", container)
    boxes.engine.docker("volume", "rm", name)


def seen(box: Box) -> str:
    """Return what the container sees, itself left in the state it is in."""
    alive = box.details.container.state.alive
    if not alive:
        box.start()
    found = box.sh(MODES)
    if not alive:
        box.stop()
    return found


def turn(box: Box, *, alive: bool) -> None:
    if box.details.container.state.alive != alive:
        (box.start if alive else box.stop)()


@STATES
@THEN
@pytest.mark.parametrize("kind", [UndoKind.CHMOD, UndoKind.CHOWN])
def test_recursive_chmod_chown_skips_volume(
    boxes: Boxes, volume: str, kind: UndoKind, alive: bool, alive_then: bool
) -> None:
    script = "mkdir -p /srv/a; echo x > /srv/a/f; echo y > /srv/beside; echo row > /srv/data/row"
    box = boxes(script, "-v", f"{volume}:/srv/data", alive=alive)
    before = seen(box)
    change = mode_change("700") if kind is UndoKind.CHMOD else owner_change("12", int, int, HOST_IDS)
    outcome = change_metadata(box.id, b"/srv", change, kind, inspect=box.inspect, recursive=True)
    assert outcome.notes == ("what is in the volume at /srv/data was left out",)
    changed = {line.split()[0] for line in set(seen(box).splitlines()) - set(before.splitlines())}
    assert changed == {"/srv", "/srv/a", "/srv/a/f", "/srv/beside", "/srv/www"}
    turn(box, alive=alive_then)
    box.undo()
    assert seen(box) == before


@STATES
@THEN
@pytest.mark.parametrize("path", ["/etc", "/"])
def test_recursive_chmod_skips_engine_mounts(boxes: Boxes, path: str, alive: bool, alive_then: bool) -> None:
    box = boxes(alive=alive)
    before = seen(box)
    outcome = box.chmod(path.encode(), "g+w", recursive=True)
    assert "what is in the engine's mount at /etc/resolv.conf was left out" in outcome.notes
    assert len(outcome.notes) == (3 if path == "/etc" else 6)
    changed = {line.split()[0] for line in set(seen(box).splitlines()) - set(before.splitlines())}
    assert changed > {"/etc", "/etc/motd", "/etc/passwd"}
    assert changed.isdisjoint({"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/proc", "/sys", "/dev"})
    turn(box, alive=alive_then)
    box.undo()
    assert seen(box) == before


def test_chmod_skips_mount_made_inside(boxes: Boxes) -> None:
    box = boxes("mkdir /srv/own; echo x > /srv/beside", alive=True)
    mount_inside(box, "/srv/own")
    before = seen(box)
    assert box.chmod(b"/srv", "700", recursive=True).notes == ("/srv/own is a mount point: left out",)
    box.undo()
    assert seen(box) == before


@STATES
def test_chmod_of_mount_point_is_refused(boxes: Boxes, volume: str, alive: bool) -> None:
    box = boxes("true", "-v", f"{volume}:/srv/data", alive=alive)
    with pytest.raises(EditRefused, match=r"is hidden by the volume|is a mount point"):
        box.chmod(b"/srv/data", "700", recursive=True)
