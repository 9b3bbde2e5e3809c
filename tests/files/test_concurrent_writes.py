"""What the container writes while dtui acts is never thrown away: all is looked at again before it is replaced."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.boxes import Boxes
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused
from tui.files.history import backups, journal
from tui.files.history.backups import BackupMode, UndoKind, last_to_undo
from tui.files.tree.root_tree import RootTree
from tui.files.verbs import acts
from tui.files.verbs.copy import copy_in, copy_out
from tui.files.verbs.permissions import mode_change
from tui.files.verbs.revert import revert
from tui.files.verbs.save import save
from tui.files.verbs.undo import undo
from tui.files.write import below_root
from tui.files.write.options import SaveOptions
from tui.layers.process_root import process_of
from tui.linux.name_ops import name_ops_inside
from tui.linux.rooted_paths import Root
from tui.linux.syscalls import renameat2

pytestmark = pytest.mark.engine

EXCHANGE = 2  # renameat2(2)
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")


def in_phase(number: int, do: Callable[[], object]) -> Callable[[int, bytes], None]:
    """Return a step that does something once, when counting from nothing began for the ``number``-th time."""
    begun = 0

    def step(count: int, path: bytes) -> None:
        nonlocal begun
        del path
        if count == 0:
            begun += 1
            if begun == number:
                do()

    return step


@pytest.mark.parametrize("target", [b"/tree/a/f", b"/tree"])
def test_delete_keeps_write_after_backup(boxes: Boxes, target: bytes) -> None:
    box = boxes(alive=True)
    step = in_phase(2, lambda: box.sh("echo later >> /tree/a/f"))
    with pytest.raises(ChangedMeanwhile):
        acts.remove(box.id, target, inspect=box.inspect, recursive=True, step=step)
    assert box.sh("cat /tree/a/f /tree/a/g /tree/b/c/h /tree/f") == "af\nlater\nag\nh\nf\n"


def test_delete_refuses_swapped_file(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes("echo one > /srv/f; echo two > /srv/g", alive=True)
    top = Path(f"/proc/{box.details.pid}/root/srv")
    open_file = RootTree.open_file

    def swapped(tree: RootTree, path: bytes) -> int:
        renameat2(-1, os.fsencode(top / "f"), -1, os.fsencode(top / "g"), EXCHANGE)
        try:
            return open_file(tree, path)
        finally:
            renameat2(-1, os.fsencode(top / "f"), -1, os.fsencode(top / "g"), EXCHANGE)

    monkeypatch.setattr(RootTree, "open_file", swapped)
    with pytest.raises(ChangedMeanwhile, match="/srv/f was changed meanwhile"):
        box.remove(b"/srv/f")
    assert (top / "f").read_text() == "one\n"


@UNION
def test_move_by_copy_keeps_concurrent_write(boxes: Boxes) -> None:
    box = boxes(alive=True)
    begun: list[bytes] = []

    def step(count: int, path: bytes) -> None:
        del count
        if path.startswith(b"/srv/tree") and not begun:
            begun.append(path)
            box.sh("echo later >> /tree/a/f")

    with pytest.raises(ChangedMeanwhile):
        acts.rename(box.id, b"/tree", b"/srv/tree", inspect=box.inspect, step=step)
    assert box.sh("cat /tree/a/f /tree/a/g /tree/f; test ! -e /srv/tree") == "af\nlater\nag\nf\n"


@pytest.mark.parametrize("there", [False, True], ids=["free", "taken"])
def test_copy_in_keeps_concurrent_write(boxes: Boxes, tmp_path: Path, there: bool) -> None:
    box = boxes("echo one > /srv/file" if there else "true", alive=True)
    (tmp_path / "file").write_text("mine\n")
    step = in_phase(2, lambda: box.sh("echo theirs > /srv/file"))
    with pytest.raises(ChangedMeanwhile):
        copy_in(box.id, tmp_path / "file", b"/srv/file", inspect=box.inspect, step=step)
    assert box.sh("cat /srv/file") == "theirs\n"


def test_revert_keeps_concurrent_write(boxes: Boxes) -> None:
    box = boxes("echo one > /etc/app.conf", alive=True)
    step = in_phase(2, lambda: box.sh("echo theirs >> /etc/app.conf"))
    with pytest.raises(ChangedMeanwhile):
        revert(box.id, b"/etc/app.conf", inspect=box.inspect, step=step)
    assert box.sh("cat /etc/app.conf") == "one\ntheirs\n"


def test_in_place_save_keeps_later_write(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes(alive=True)
    begin = journal.begin_in_place

    def begin_and_be_late(*given: object) -> journal.Record:
        record = begin(*given)  # type: ignore[arg-type]
        box.sh("echo later >> /etc/app.conf")
        return record

    before = box.read(b"/etc/app.conf")
    monkeypatch.setattr(journal, "begin_in_place", begin_and_be_late)
    with pytest.raises(ChangedMeanwhile):
        save(box.id, b"/etc/app.conf", b"mine\n", None, SaveOptions(in_place=True), inspect=box.inspect)
    assert box.read(b"/etc/app.conf") == before + b"later\n"
    assert not journal.pending()


def test_swapped_in_device_is_never_opened(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes("echo x > /srv/f", alive=True)
    replace, open_path, writing_opens = below_root.new_metadata, Root.open_path, []

    def too_late(*given: object) -> object:
        box.sh("rm /srv/f; mknod /srv/f c 1 5")
        return replace(*given)  # type: ignore[arg-type]

    def spy(root: Root, path: bytes, *, follow: bool = True, flags: int = os.O_PATH) -> int:
        if flags & os.O_ACCMODE:
            writing_opens.append(path)
        return open_path(root, path, follow=follow, flags=flags)

    monkeypatch.setattr(below_root, "new_metadata", too_late)
    monkeypatch.setattr(Root, "open_path", spy)
    with pytest.raises(DtuiError):
        save(box.id, b"/srv/f", b"mine\n", None, SaveOptions(in_place=True), inspect=box.inspect)
    assert writing_opens == []


def test_large_save_needs_explicit_no_backup(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box = boxes("head -c 9000 /dev/urandom > /srv/large")
    before = box.read(b"/srv/large")
    monkeypatch.setattr(backups, "ACT_LIMIT", 4000)
    with pytest.raises(EditRefused, match="no-backup"):
        box.write(b"/srv/large", b"small")
    assert box.read(b"/srv/large") == before
    receipt = save(box.id, b"/srv/large", b"small", None, SaveOptions(keep=BackupMode.NOTHING), inspect=box.inspect)
    assert (receipt.backup, receipt.notes) == (None, ("no backup is kept",))
    assert box.read(b"/srv/large") == b"small"


def test_chmod_and_undo_keep_later_times(boxes: Boxes) -> None:
    box = boxes(alive=True)
    step = in_phase(2, lambda: box.sh("echo later >> /tree/a/f; touch -d @1900000000 /tree/a/f"))
    change = mode_change("640")
    acts.change_metadata(box.id, b"/tree/a", change, UndoKind.CHMOD, inspect=box.inspect, recursive=True, step=step)
    assert box.sh("cat /tree/a/f; stat -c '%a %Y' /tree/a/f") == "af\nlater\n640 1900000000\n"
    undo(last_to_undo(box.id), inspect=box.inspect, save=box.files.save, force=True)
    assert box.sh("stat -c '%a %Y' /tree/a/f") == "644 1900000000\n"


def test_save_reaches_both_hard_links(boxes: Boxes) -> None:
    box = boxes("mkdir /u; echo one > /u/a; ln /u/a /u/b")
    receipt = box.write(b"/u/a", b"two\n")
    assert receipt.in_place
    assert box.read(b"/u/b") == b"two\n"
    box.undo()
    assert box.read(b"/u/b") == b"one\n"


@UNION
def test_save_reports_split_hard_link(boxes: Boxes) -> None:
    receipt = boxes().write(b"/app/keep.txt", b"two\n")
    assert receipt.notes == ("2 names shared this file; only this one changed",)


def test_kernel_file_write_is_refused(boxes: Boxes) -> None:
    box = boxes("ln -s /proc/1/oom_score_adj /cfg", alive=True)
    before = box.sh("cat /cfg")
    with pytest.raises(EditRefused, match="kernel"):
        save(box.id, b"/cfg", b"7\n", None, SaveOptions(in_place=True), inspect=box.inspect)
    assert box.sh("cat /cfg") == before


def test_acts_on_kernel_files_are_refused(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes("ln -s /proc/1 /one; ln -s /sys/fs/cgroup /groups", alive=True)
    (tmp_path / "file").write_text("7")
    before = box.sh("ls -l /proc/1/oom_score_adj; cat /proc/1/oom_score_adj; ls -ld /sys/fs/cgroup")
    tries: list[Callable[[], object]] = [
        lambda: box.chmod(b"/one/oom_score_adj", "777"),
        lambda: box.remove(b"/one/oom_score_adj"),
        lambda: box.rename(b"/one/oom_score_adj", b"/moved"),
        lambda: box.rename(b"/etc/motd", b"/one/motd"),
        lambda: acts.make_directory(box.id, b"/one/sub", inspect=box.inspect),
        lambda: acts.make_directory(box.id, b"/groups/sub", inspect=box.inspect),
        lambda: copy_in(box.id, tmp_path / "file", b"/one/oom_score_adj", inspect=box.inspect),
        lambda: copy_out(box.details, b"/one/oom_score_adj", tmp_path / "out"),
    ]
    for attempt in tries:
        with pytest.raises(DtuiError, match="a file of the kernel's, on"):
            attempt()
    assert box.sh("ls -l /proc/1/oom_score_adj; cat /proc/1/oom_score_adj; ls -ld /sys/fs/cgroup") == before
    assert box.sh("cat /etc/motd") == "hello\n"


def test_keyboard_interrupt_spares_helper(boxes: Boxes) -> None:
    box = boxes(alive=True)
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = set(children.read_text().split())
    details = box.details
    with name_ops_inside(details.pid, partial(process_of, details.pid, box.id)):
        (helper,) = set(children.read_text().split()) - before
        assert os.getsid(int(helper)) != os.getsid(0)
