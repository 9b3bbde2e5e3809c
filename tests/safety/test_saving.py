"""Saves that cannot succeed leave what was there."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.boxes import Boxes
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused

pytestmark = pytest.mark.engine


@pytest.mark.case(35)
@pytest.mark.parametrize("in_place", [False, True], ids=["renamed", "in place"])
def test_a_full_disk_leaves_the_file_as_it_was(boxes: Boxes, in_place: bool) -> None:
    box = boxes("echo old > /small/file; ln /small/file /small/other", "--tmpfs", "/small:size=64k", alive=True)
    if not in_place:
        box.sh("rm /small/other")
    with pytest.raises(EditRefused, match="no space left"):
        box.write(b"/small/file", b"x" * 200_000)
    assert box.sh("cat /small/file; ls -A /small").splitlines()[:2] == ["old", "file"]
    assert box.write(b"/small/file", b"fits\n").in_place is in_place


@pytest.mark.case(36)
@pytest.mark.parametrize("flag", ["i", "a"])
def test_an_immutable_or_append_only_file_says_so_and_keeps_its_flag(boxes: Boxes, flag: str) -> None:
    box = boxes("echo old > /srv/fixed")
    target = str(box.upper / "srv" / "fixed")
    subprocess.run(["/usr/bin/chattr", f"+{flag}", target], check=True)
    try:
        acts = (
            lambda: box.write(b"/srv/fixed", b"new\n"),
            lambda: box.files.save(b"/srv/fixed", b"new\n", None, in_place=True),
            lambda: box.remove(b"/srv/fixed"),
            lambda: box.rename(b"/srv/fixed", b"/srv/other"),
            lambda: box.chmod(b"/srv/fixed", "600"),
            lambda: box.revert(b"/srv/fixed"),
        )
        for act in acts:
            with pytest.raises(DtuiError, match="immutable"):
                act()
        shown = subprocess.run(["/usr/bin/lsattr", target], capture_output=True, text=True, check=True).stdout
        assert flag in shown.split()[0]
        assert box.read(b"/srv/fixed") == b"old\n"
    finally:
        subprocess.run(["/usr/bin/chattr", f"-{flag}", target], check=True)


@pytest.mark.case(37)
def test_a_change_of_the_same_size_with_its_time_put_back_is_noticed(boxes: Boxes) -> None:
    box = boxes("echo AAAA > /srv/file")
    opened = box.files.open(b"/srv/file")
    place = box.upper / "srv" / "file"
    status = place.stat()
    place.write_bytes(b"BBBB\n")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ChangedMeanwhile, match="changed meanwhile"):
        box.files.save(b"/srv/file", b"CCCC\n", opened.stamp)
    assert box.read(b"/srv/file") == b"BBBB\n"
