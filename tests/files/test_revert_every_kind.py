"""Every kind of change reverted, one by one, to what the image has, and every one of them brought back."""

from __future__ import annotations

import os
import socket

import pytest

from tests.support.attribute_tree import Facts, place_of, seen, without_times
from tests.support.boxes import Box, Boxes
from tests.support.tree_state import CAPABILITY
from tui.files.tree import workspace

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])

KINDS = {
    b"/app/start.sh": "chmod 4711 /app/start.sh",
    b"/app/layer3.txt": "chown 5:6 /app/layer3.txt",
    b"/etc/motd": "chmod 644 /etc/motd",
    b"/etc/app.conf": "echo edited > /etc/app.conf",
    b"/app/keep.txt": "echo edited >> /app/keep.txt",
    b"/srv/links": "mkdir /srv/links; cd /srv/links; echo l > one; ln one two; mkdir in; ln one in/three; cd /",
    b"/conf.d": "rm -r /conf.d; mkdir -p /conf.d/deep/er; echo o > /conf.d/deep/er/f; echo own > /conf.d/b.conf",
    b"/abs": "rm /abs; echo file > /abs",
    b"/dangling": "rm /dangling; mkdir -p /dangling/sub; echo x > /dangling/sub/x",
    b"/loop": "rm /loop; ln -s /etc /loop",
    b"/data": "rm -r /data; echo file > /data",
    b"/old": "rm -r /old; ln -s /etc /old",
    b"/tree/f": "rm /tree/f; mkdir -p /tree/f/sub; echo x > /tree/f/sub/x",
    b"/tree/a/f": "rm /tree/a/f; ln -s g /tree/a/f",
    b"/tree/a/g": "rm /tree/a/g",
    b"/tree/b/c/h": "rm /tree/b/c/h; mkfifo -m 620 /tree/b/c/h",
    b"/pipe": "rm /pipe; echo file > /pipe",
    b"/null": "rm /null; mknod -m 640 /null c 1 5",
    b"/disk": "rm /disk; mkdir /disk; chmod 1777 /disk",
    b"/srv/fifo": "mkfifo /srv/fifo; chmod 640 /srv/fifo; chown 7:8 /srv/fifo",
    b"/srv/dev": "mknod /srv/dev b 7 9",
    b"/srv/link": "ln -s /nowhere /srv/link",
    b"/srv/sock": "true",
}


def changed(boxes: Boxes, *, alive: bool) -> Box:
    """Return a container that changed something of every kind; a socket and an attribute are of our making."""
    box = boxes("; ".join(KINDS.values()), alive=alive)
    place = place_of(box)
    os.setxattr(place / "etc" / "motd", "security.capability", CAPABILITY)
    held = os.open(place / "srv", os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{held}/sock")
    os.close(held)
    return box


ENGINE_S = ("proc", "sys", "dev", ".dockerenv", "ready", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")


def told(box: Box) -> Facts:
    """Return all that the container sees, its directories whatever their time.

    Whose other names are the image's own may become a file of its own: only in a layer at rest it is one of them again.
    """
    found = seen(box, "/", leave=ENGINE_S)
    if box.details.container.state.alive:
        found["app/keep.txt"].pop("names")
        found["app/also.txt"].pop("names")
    return without_times(found)


@pytest.mark.case(17)
@STATES
def test_revert_and_undo_of_every_kind(boxes: Boxes, alive: bool) -> None:
    reverted_and_back(boxes, alive=alive)


@pytest.mark.case(17)
@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_unprivileged_revert_of_every_kind(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "privileged", lambda: False)
    reverted_and_back(boxes, alive=False)


def reverted_and_back(boxes: Boxes, *, alive: bool) -> None:
    untouched = boxes(name="untouched", alive=alive)
    image, noise = told(untouched), untouched.diff()
    box = changed(boxes, alive=alive)
    before, difference = told(box), box.diff()
    for path in KINDS:
        box.revert(path)
    assert told(box) == image
    if not alive:
        assert [line for line in box.diff() if line not in noise] == []
    for _ in KINDS:
        box.undo()
    assert told(box) == before
    assert box.diff() == difference
