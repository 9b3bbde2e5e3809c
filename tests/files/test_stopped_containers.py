"""Containers at rest: what an act leaves in the layer, and what the container makes of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.attribute_tree import facts
from tests.support.boxes import Box, Boxes
from tests.support.checksums import tree_checksum
from tests.support.each_act import Acts, changes_next_to, changes_to
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, LayerError, NotFound
from tui.core.records import Details, View
from tui.files.history.backups import undo_records
from tui.files.verbs.acts import make_directory
from tui.files.verbs.copy import copy_in, copy_out
from tui.files.verbs.save import save
from tui.layers.view import LayerView
from tui.layers.whiteouts import is_whiteout

pytestmark = pytest.mark.engine

UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")


def is_union(box: Box) -> bool:
    return box.details.container.driver.name == "overlay2"


def healthy(box: Box) -> None:
    """The container can still write, remove and change files of its image: its own work directory is whole."""
    box.sh("echo w >> /app/keep.txt; rm /conf.d/b.conf; chmod 600 /app/start.sh; mkdir /srv/n; mv /old/one/two.txt /")


@pytest.mark.case(11)
def test_edit_leaves_image_untouched(boxes: Boxes) -> None:
    box = boxes()
    stack = box.details.stack
    assert stack is not None
    images = [layer.path for layer in stack.images]
    before = tree_checksum(images)
    box.write(b"/etc/app.conf", b"port=9\n")
    assert tree_checksum(images) == before
    assert (box.upper / "etc" / "app.conf").read_bytes() == b"port=9\n"
    box.start()
    assert box.sh("cat /etc/app.conf") == "port=9\n"


@pytest.mark.case(13)
def test_a_deleted_image_file_is_a_whiteout(boxes: Boxes) -> None:
    box = boxes()
    box.remove(b"/etc/motd")
    if is_union(box):
        assert is_whiteout(os.lstat(box.upper / "etc" / "motd"))
    assert box.diff().count("D /etc/motd") == 1
    box.start()
    assert box.sh("test -e /etc/motd || echo gone") == "gone\n"


@pytest.mark.case(14)
def test_layer_only_file_is_deleted_outright(boxes: Boxes) -> None:
    box = boxes("echo x > /etc/extra")
    box.remove(b"/etc/extra")
    assert not os.path.lexists(box.upper / "etc" / "extra")
    assert not [line for line in box.diff() if "extra" in line]


@pytest.mark.case(15)
def test_undo_restores_opaque_directory(boxes: Boxes) -> None:
    box = boxes("rm -r /conf.d; mkdir /conf.d; echo n > /conf.d/new")
    assert box.names(b"/conf.d") == [b"new"]
    box.remove(b"/conf.d", recursive=True)
    assert not box.exists(b"/conf.d")
    box.undo()
    assert box.names(b"/conf.d") == [b"new"]
    box.start()
    assert box.sh("ls /conf.d") == "new\n"


@pytest.mark.case(16)
def test_revert_brings_back_deleted_entries(boxes: Boxes) -> None:
    box = boxes("rm /etc/motd; rm -r /old")
    box.revert(b"/etc/motd")
    box.revert(b"/old")
    assert [line for line in box.diff() if "motd" in line or "old" in line] == []
    box.start()
    assert box.sh("cat /etc/motd /old/one/two.txt") == "hello\ntwo\n"


CHANGES = {
    b"/etc/app.conf": "echo x > /etc/app.conf",
    b"/etc/motd": "rm /etc/motd",
    b"/app/new": "echo n > /app/new",
    b"/srv/dir": "mkdir -p /srv/dir/deep; echo n > /srv/dir/deep/n",
    b"/conf.d": "rm -r /conf.d; mkdir /conf.d; echo o > /conf.d/other",
    b"/app/keep.txt": "chmod 600 /app/keep.txt",
    b"/old": "rm -r /old; ln -s /etc /old",
    b"/data": "rm -r /data; echo file > /data",
}


@pytest.mark.case(17)
def test_revert_of_every_kind_leaves_no_diff(boxes: Boxes) -> None:
    box = boxes("; ".join(CHANGES.values()))
    noise = boxes(name="plain").diff()
    for path in CHANGES:
        box.revert(path)
    assert [line for line in box.diff() if line not in noise] == []


@pytest.mark.case(18)
def test_image_directory_rename_keeps_metadata(boxes: Boxes) -> None:
    box = boxes("chown 5:6 /conf.d/a.conf; chmod 4750 /conf.d/a.conf; ln -s a.conf /conf.d/link; mkfifo /conf.d/pipe")
    box.rename(b"/conf.d", b"/etc/conf")
    box.start()
    told = box.sh("cd /etc/conf; stat -c '%n %a %u:%g %F' *; readlink link; test -e /conf.d || echo moved")
    assert told.splitlines() == [
        "a.conf 4750 5:6 regular file",
        "b.conf 644 0:0 regular file",
        "link 777 0:0 symbolic link",
        "pipe 644 0:0 fifo",
        "a.conf",
        "moved",
    ]


@pytest.mark.case(19)
@UNION
def test_metacopy_is_read_but_never_changed(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes()
    (tmp_path / "host").write_text("from the host\n")
    box.chmod(b"/conf.d/a.conf", "600")
    place = box.upper / "conf.d" / "a.conf"
    os.truncate(place, 0)
    os.truncate(place, 2)
    os.setxattr(place, "trusted.overlay.metacopy", b"")
    before, raw = box.names(b"/conf.d"), facts(place)
    assert box.read(b"/conf.d/a.conf") == b"a\n"
    copy_out(box.details, b"/conf.d/a.conf", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"a\n"
    wholes: Acts = {
        "delete all": lambda: box.remove(b"/conf.d", recursive=True),
        "rename all": lambda: box.rename(b"/conf.d", b"/elsewhere"),
        "revert all": lambda: box.revert(b"/conf.d"),
        "chmod all": lambda: box.chmod(b"/conf.d", "700", recursive=True),
    }
    for name, act in {**changes_to(box, b"/conf.d/a.conf", tmp_path / "host"), **wholes, "undo": box.undo}.items():
        with pytest.raises(DtuiError, match=r"a\.conf is a metacopy"):
            act()
        assert (facts(place), box.names(b"/conf.d"), box.read(b"/conf.d/a.conf")) == (raw, before, b"a\n"), name
        assert box.read(b"/conf.d/b.conf") == b"b\n", name
    for act in changes_next_to(box, b"/conf.d", tmp_path / "host").values():
        act()
        box.undo()
        assert facts(place) == raw


@pytest.mark.case(19)
@UNION
def test_redirect_directory_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes("mkdir -p /made")
    (tmp_path / "host").write_text("from the host\n")
    box.chmod(b"/etc/motd", "600")
    moved = box.upper / "made" / "moved"
    moved.mkdir()
    os.setxattr(moved, "trusted.overlay.redirect", b"/conf.d")
    before = facts(moved)
    every: Acts = {
        **changes_to(box, b"/made/moved/a.conf", tmp_path / "host"),
        **changes_next_to(box, b"/made/moved", tmp_path / "host"),
        "read": lambda: box.read(b"/made/moved/a.conf"),
        "delete all": lambda: box.remove(b"/made", recursive=True),
        "chmod all": lambda: box.chmod(b"/made", "700", recursive=True),
        "revert all": lambda: box.revert(b"/made"),
        "copy out": lambda: copy_out(box.details, b"/made", tmp_path / "out"),
    }
    for name, act in every.items():
        with pytest.raises(DtuiError, match="redirect"):
            act()
        assert (facts(moved), box.names(b"/made")) == (before, [b"moved"]), name
    box.undo()
    box.start()
    assert box.sh("stat -c %a /etc/motd; ls /conf.d") == "644\na.conf\nb.conf\n"


def test_creation_in_dev_proc_sys_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "host").write_text("from the host\n")
    box = boxes("mknod /dev/own c 1 3", alive=True)
    box.remove(b"/dev/own")
    box.stop()
    stack = box.details.stack
    assert stack is not None
    before = facts(stack.writable.path)
    for above in (b"/dev", b"/dev/shm", b"/proc", b"/sys"):
        for name, act in {**changes_next_to(box, above, tmp_path / "host"), "undo": box.undo}.items():
            with pytest.raises(EditRefused, match="is made anew at each start"):
                act()
            assert facts(stack.writable.path) == before, name
    with pytest.raises(EditRefused, match="is made anew at each start"):
        box.rename(b"/etc/motd", b"/dev/motd")
    (stack.writable.path / "dev").mkdir(exist_ok=True)
    (stack.writable.path / "dev" / "stale").write_text("of somebody else\n")
    box.revert(b"/dev/stale")
    assert not (stack.writable.path / "dev" / "stale").exists()
    box.undo()
    assert (stack.writable.path / "dev" / "stale").read_text() == "of somebody else\n"


@pytest.mark.case(20)
@UNION
def test_volatile_layer_is_read_only(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes()
    (tmp_path / "host").write_text("from the host\n")
    box.chmod(b"/etc/motd", "600")
    (box.upper.parent / "work" / "work" / "incompat" / "volatile").mkdir(parents=True)
    before = facts(box.upper)
    assert box.read(b"/etc/motd") == b"hello\n"
    copy_out(box.details, b"/etc/motd", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"hello\n"
    every = {**changes_to(box, b"/etc/motd", tmp_path / "host"), **changes_next_to(box, b"/etc", tmp_path / "host")}
    for name, act in {**every, "undo": box.undo}.items():
        with pytest.raises(EditRefused, match="mounted volatile"):
            act()
        assert facts(box.upper) == before, name
    assert len(list(undo_records(box.id))) == 1


@pytest.mark.case(21)
@UNION
def test_user_overlay_layer_is_refused(boxes: Boxes) -> None:
    box = boxes()
    os.setxattr(box.upper, "user.overlay.opaque", b"y")
    with pytest.raises(EditRefused, match=r"has user.overlay.\* attributes"):
        box.write(b"/etc/motd", b"x")


@pytest.mark.case(21)
@UNION
def test_user_overlay_directory_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes("rm -r /tree/b; mkdir -p /tree/b/new/c; touch /tree/b/new/c/file")
    marked = box.upper / "tree" / "b"
    os.removexattr(marked, "trusted.overlay.opaque")
    os.setxattr(marked, "user.overlay.opaque", b"y")
    before = tree_checksum([box.upper])
    for act in (
        lambda: box.write(b"/tree/b/new/c/file", b"x"),
        lambda: box.write(b"/tree/b/mine", b"x", create=True),
        lambda: box.remove(b"/tree/b/new/c/file"),
        lambda: box.remove(b"/tree", recursive=True),
        lambda: box.rename(b"/etc/motd", b"/tree/b/motd"),
        lambda: box.rename(b"/tree", b"/moved"),
        lambda: box.chmod(b"/tree/b/new", "700"),
        lambda: make_directory(box.id, b"/tree/b/new/d", inspect=box.inspect),
        lambda: copy_in(box.id, Path(__file__), b"/tree/b/new", inspect=box.inspect),
    ):
        with pytest.raises(EditRefused, match=r"/tree/b .*user.overlay.\* attributes"):
            act()
    assert tree_checksum([box.upper]) == before
    box.write(b"/tree/a/f", b"beside it\n")
    assert box.read(b"/tree/a/f") == b"beside it\n"


@pytest.mark.case(22)
def test_edit_splits_hard_linked_image_file(boxes: Boxes) -> None:
    box = boxes()
    if is_union(box):  # docker copied a full tree without its hard links
        assert "2 names share this file" in " ".join(box.files.plan(b"/app/keep.txt").warnings)
    box.write(b"/app/keep.txt", b"mine\n")
    assert box.read(b"/app/also.txt") == b"kept\n"
    box.start()
    assert box.sh("cat /app/keep.txt /app/also.txt") == "mine\nkept\n"


def started_after(box: Box) -> Callable[[str], Details]:
    """Return an ``inspect`` after whose first answer the container is started."""
    answers: list[Details] = []

    def inspect(container: str) -> Details:
        answers.append(box.endpoint.inspect(container))
        if len(answers) == 1:
            box.start()
        return answers[-1]

    return inspect


@pytest.mark.case(23)
@pytest.mark.parametrize("turn", range(int(os.environ.get("DTUI_START_TURNS", "2"))))
@pytest.mark.parametrize("moment", ["before", "created", "written", "synced", "renamed"])
def test_start_during_save_is_harmless(boxes: Boxes, moment: str, turn: int) -> None:
    """The work directory that docker gave its mount must never be emptied by ours."""
    box = boxes()
    inspect = started_after(box) if moment == "before" else box.endpoint.inspect

    def start(step: str) -> None:
        if step == moment:
            box.start()

    try:
        save(box.id, b"/etc/motd", b"new\n", None, inspect=inspect, checkpoint=start)
    except DtuiError:
        assert moment == "before"
        assert is_union(box)
    assert box.details.container.state.alive
    assert box.sh("cat /etc/motd") in ("hello\n", "new\n")
    healthy(box)
    assert box.details.container.state.alive


@pytest.mark.case(24)
def test_save_into_removed_container_fails(boxes: Boxes) -> None:
    box = boxes()
    box.engine.docker("create", "--network=none", "--name=held", "--volumes-from=web", box.details.container.image)
    opened = box.files.open(b"/etc/motd")
    layer = box.upper
    box.engine.docker("rm", "web")
    with pytest.raises((NotFound, LayerError, ChangedMeanwhile)):
        save(box.id, b"/etc/motd", b"mine\n", opened.stamp, inspect=box.endpoint.inspect)
    assert not layer.exists()
    assert not list(undo_records(box.id))


@pytest.mark.case(26)
def test_path_hidden_by_mount_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "vol").mkdir()
    box = boxes("true", "-v", f"{tmp_path}/vol:/srv/www", "--tmpfs", "/mem")
    before = subprocess.run(["/usr/bin/find", box.upper, "-ls"], capture_output=True, check=True).stdout
    for path in (b"/etc/hosts", b"/etc/resolv.conf", b"/etc/hostname", b"/srv/www/file", b"/mem/file"):
        with pytest.raises(EditRefused, match="hidden by the") as refused:
            box.write(path, b"x\n", create=True)
        assert "start the container" in refused.value.hint or "on the host" in refused.value.hint
        for act in (box.remove, lambda one: box.chmod(one, "600"), box.revert):
            with pytest.raises(DtuiError):
                act(path)
    assert subprocess.run(["/usr/bin/find", box.upper, "-ls"], capture_output=True, check=True).stdout == before


@pytest.mark.case(26)
def test_path_hidden_behind_link_is_refused(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "vol").mkdir()
    (tmp_path / "mine").write_text("mine\n")
    box = boxes("echo theirs > /var/run/data/file", "-v", f"{tmp_path}/vol:/var/run/data")
    before = subprocess.run(["/usr/bin/find", box.upper, "-ls"], capture_output=True, check=True).stdout
    tries: list[Callable[[], object]] = [
        lambda: box.write(b"/run/data/file", b"x\n", create=True),
        lambda: box.write(b"/var/run/data/file", b"x\n", create=True),
        lambda: box.files.plan(b"/var/run/data"),
        lambda: box.remove(b"/run/data", recursive=True),
        lambda: box.remove(b"/run", recursive=True),
        lambda: box.chmod(b"/var/run/data", "700"),
        lambda: box.rename(b"/etc/motd", b"/run/data/motd"),
        lambda: box.rename(b"/run", b"/elsewhere"),
        lambda: box.revert(b"/run/data"),
        lambda: make_directory(box.id, b"/run/data/sub", inspect=box.inspect),
        lambda: copy_in(box.id, tmp_path / "mine", b"/run/data/", inspect=box.inspect),
    ]
    for attempt in tries:
        with pytest.raises(EditRefused, match=r"hidden by the bind mount at /var/run/data|holds the bind mount at"):
            attempt()
    assert subprocess.run(["/usr/bin/find", box.upper, "-ls"], capture_output=True, check=True).stdout == before
    stack = box.details.stack
    assert stack is not None
    with LayerView.open(stack, box.details.mounts) as view:
        (data,) = view.children(b"/run", View.MERGED)
    assert data.covered_by is not None
    box.start()
    assert box.sh("cat /run/data/file") == "theirs\n"
