"""Saves that cannot succeed leave what was there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.attribute_tree import place_of, seen, without_times
from tests.support.boxes import Boxes
from tests.support.each_act import Acts, changes_next_to, changes_to
from tests.support.tree_state import acl
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused

pytestmark = pytest.mark.engine


@pytest.mark.case(35)
@pytest.mark.parametrize("in_place", [False, True], ids=["renamed", "in place"])
def test_full_disk_leaves_old_file(boxes: Boxes, in_place: bool) -> None:
    box = boxes("echo old > /small/file; ln /small/file /small/other", "--tmpfs", "/small:size=64k", alive=True)
    if not in_place:
        box.sh("rm /small/other")
    with pytest.raises(EditRefused, match="no space left"):
        box.write(b"/small/file", b"x" * 200_000)
    assert box.sh("cat /small/file; ls -A /small").splitlines()[:2] == ["old", "file"]
    assert box.write(b"/small/file", b"fits\n").in_place is in_place


@pytest.mark.parametrize("in_place", [False, True], ids=["renamed", "in place"])
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_holes_survive_cat_into_write(boxes: Boxes, in_place: bool, alive: bool) -> None:
    make = "echo begin > /srv/f; truncate -s 50000000 /srv/f; echo end >> /srv/f; ln /srv/f /srv/g"
    box = boxes(make if in_place else f"{make}; rm /srv/g", alive=alive)
    command = f"{sys.executable} -m tui -H {box.engine.host}"
    back = f"{command} cat web:/srv/f | {command} write web:/srv/f --json"
    done = subprocess.run(["/bin/sh", "-c", back], capture_output=True, check=True)
    assert json.loads(done.stdout)["way"] == ("in place" if in_place else "atomic")
    place = box.upper / "srv" / "f"
    assert place.read_bytes() == b"begin\n" + bytes(50_000_000 - 6) + b"end\n"
    assert place.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_save_adds_no_default_acl(boxes: Boxes, alive: bool) -> None:
    box = boxes("mkdir /srv/open; echo secret > /srv/open/f; chmod 640 /srv/open/f", alive=alive)
    place = f"/proc/{box.details.pid}/root" if alive else str(box.upper)
    os.setxattr(f"{place}/srv/open", "system.posix_acl_default", acl(1234))
    box.write(b"/srv/open/f", b"edited\n")
    assert "system.posix_acl_access" not in os.listxattr(f"{place}/srv/open/f")
    box.write(b"/srv/open/new", b"made\n", create=True)
    assert "system.posix_acl_access" in os.listxattr(f"{place}/srv/open/new")


def test_hole_on_full_disk_stays_intact(boxes: Boxes) -> None:
    make = (
        "echo old > /small/f; truncate -s 150000 /small/f; ln /small/f /small/g; head -c 8192 /dev/urandom > /small/h"
    )
    box = boxes(make, "--tmpfs", "/small:size=64k", alive=True)
    look = "sha256sum /small/*; du -k /small/f"
    before = box.sh(look)
    with pytest.raises(EditRefused, match="no space left"):
        box.write(b"/small/f", b"x" * 100_000)
    assert box.sh(look) == before
    box.write(b"/small/f", b"x" * 20_000 + bytes(300_000))
    assert box.sh("tr -d '\\0' < /small/f | wc -c; stat -c %s /small/g") == "20000\n320000\n"


def test_write_beyond_memory_changes_nothing(boxes: Boxes) -> None:
    box = boxes("echo old > /srv/f")
    limited = f"/usr/bin/prlimit --as=700000000 {sys.executable} -m tui -H {box.engine.host} write web:/srv/f"
    words = ["/bin/sh", "-c", f"/usr/bin/head -c 900000000 /dev/zero | {limited}"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("dtui: there is not enough memory")
    assert box.read(b"/srv/f") == b"old\n"
    subprocess.run(["/bin/sh", "-c", f"echo new | {limited}"], capture_output=True, check=True)
    assert box.read(b"/srv/f") == b"new\n"


def test_undo_beyond_memory_names_backup(boxes: Boxes) -> None:
    box = boxes("truncate -s 700000000 /srv/f; ln /srv/f /srv/g")
    receipt = box.write(b"/srv/f", b"new\n")
    words = ["/usr/bin/prlimit", "--as=700000000", sys.executable, "-m", "tui", "-H", box.engine.host, "undo", "web"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert str(receipt.backup) in ended.stderr
    assert box.read(b"/srv/g") == b"new\n"
    box.undo()
    place = box.upper / "srv" / "g"
    assert (place.stat().st_size, place.stat().st_nlink) == (700_000_000, 2)
    assert place.stat().st_blocks * 512 < 1 << 20


@pytest.mark.case(36)
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("flag", ["i", "a"])
def test_immutable_file_refuses_every_act(boxes: Boxes, tmp_path: Path, flag: str, alive: bool) -> None:
    box = boxes("mkdir /srv/dir; echo old > /srv/dir/in; echo old > /srv/fixed", alive=alive)
    (tmp_path / "host").write_text("from the host\n")
    box.chmod(b"/srv/fixed", "640")
    before = without_times(seen(box, "/srv"))
    places = [str(place_of(box) / "srv" / name) for name in ("fixed", "dir")]
    subprocess.run(["/usr/bin/chattr", f"+{flag}", *places], check=True)
    below: Acts = {
        "delete all": lambda: box.remove(b"/srv/dir", recursive=True),
        "rename all": lambda: box.rename(b"/srv/dir", b"/srv/elsewhere"),
        "revert all": lambda: box.revert(b"/srv"),
    }
    if flag == "i":  # one may add to what is append-only
        below |= changes_next_to(box, b"/srv/dir", tmp_path / "host")
    try:
        for name, act in {**changes_to(box, b"/srv/fixed", tmp_path / "host"), **below, "undo": box.undo}.items():
            with pytest.raises(DtuiError, match="immutable"):
                act()
            assert without_times(seen(box, "/srv")) == before, name
        shown = subprocess.run(["/usr/bin/lsattr", "-d", *places], capture_output=True, text=True, check=True).stdout
        assert [flag in line.split()[0] for line in shown.splitlines()] == [True, True]
    finally:
        subprocess.run(["/usr/bin/chattr", f"-{flag}", *places], check=True)
    box.undo()
    assert seen(box, "/srv/fixed")["."]["mode"] == "0o100644"


@pytest.mark.case(37)
def test_change_with_reset_mtime_is_noticed(boxes: Boxes) -> None:
    box = boxes("echo AAAA > /srv/file")
    opened = box.files.open(b"/srv/file")
    place = box.upper / "srv" / "file"
    status = place.stat()
    place.write_bytes(b"BBBB\n")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ChangedMeanwhile, match="changed meanwhile"):
        box.files.save(b"/srv/file", b"CCCC\n", opened.stamp)
    assert box.read(b"/srv/file") == b"BBBB\n"
