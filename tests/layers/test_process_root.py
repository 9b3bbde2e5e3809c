"""A container whose first process sees another root than the container's own: no act of dtui goes there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.attribute_tree import facts
from tests.support.boxes import Box, Boxes
from tests.support.each_act import changes_next_to, changes_to
from tests.support.images import IMAGE
from tests.support.waiting import until
from tui.core.errors import DtuiError
from tui.files.verbs.copy import copy_out

pytestmark = pytest.mark.engine

POWERS = ("--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--cap-add=SYS_CHROOT", "--security-opt=seccomp=unconfined")


def moved(boxes: Boxes, words: tuple[str, ...], now: Callable[[int], bool], *options: str) -> Box:
    """Return a running container whose first process went elsewhere by some words, once it has."""
    boxes.engine.docker("run", "-d", "--network=none", "--name=web", *POWERS, *options, IMAGE, *words)
    box = Box(boxes.engine, boxes.endpoint)
    until(lambda: now(box.details.pid), "the process stays where it is")
    return box


def namespace_of(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino


def nothing_is_done(box: Box, folder: Path, path: bytes, host: Path) -> None:
    """See every act refused on a file that the first process finds at a path, and in the directory above it."""
    before = facts(folder)
    above = os.path.dirname(path)
    every = {
        **changes_to(box, path, host),
        **changes_next_to(box, above, host),
        "read": lambda: box.read(path),
        "plan": lambda: box.files.plan(path),
        "delete all": lambda: box.remove(above, recursive=True),
        "copy out": lambda: copy_out(box.details, above, host.parent / "out"),
    }
    for name, act in every.items():
        asks_the_layers = name == "revert"
        told = r"does not exist in|is as the image has it" if asks_the_layers else "another root"
        with pytest.raises(DtuiError, match=told):
            act()
        assert facts(folder) == before, name
    assert not (host.parent / "out").exists()


def test_host_mount_namespace_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    folder = tmp_path / "of the host"
    folder.mkdir()
    (folder / "secret").write_text("the host's\n")
    (tmp_path / "given").write_text("given\n")
    with subprocess.Popen(["/bin/sleep", "1000"]) as there:
        try:
            arguments = ("busybox", "nsenter", "-t", str(there.pid), "-m", "sleep", "1000")
            box = moved(boxes, arguments, lambda pid: namespace_of(pid) == namespace_of(os.getpid()), "--pid=host")
            nothing_is_done(box, folder, os.fsencode(folder / "secret"), tmp_path / "given")
        finally:
            there.kill()
    box.stop()
    box.write(b"/etc/motd", b"at rest\n")
    assert box.read(b"/etc/motd") == b"at rest\n"


def test_foreign_mount_namespace_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    victim = boxes("mkdir /srv/own; echo mine > /srv/own/file", alive=True, name="victim")
    (tmp_path / "given").write_text("given\n")
    there = victim.details.pid
    arguments = ("busybox", "nsenter", "-t", "1", "-m", "sleep", "1000")
    box = moved(boxes, arguments, lambda pid: namespace_of(pid) == namespace_of(there), "--pid=container:victim")
    nothing_is_done(box, Path(f"/proc/{there}/root/srv/own"), b"/srv/own/file", tmp_path / "given")


def test_chroot_is_refused_until_stopped(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given\n")
    script = "mkdir -p /jail/bin /jail/etc; cp /bin/busybox /jail/bin/; echo jail > /jail/etc/only; "
    arguments = ("sh", "-ec", f"{script} exec busybox chroot /jail /bin/busybox sleep 1000")
    box = moved(boxes, arguments, lambda pid: os.path.exists(f"/proc/{pid}/root/etc/only"))
    nothing_is_done(box, Path(f"/proc/{box.details.pid}/root/etc"), b"/etc/only", tmp_path / "given")
    box.stop()
    box.write(b"/jail/etc/only", b"mended\n")
    assert box.read(b"/jail/etc/only") == b"mended\n"
