"""Tree, cat and the editor agree on what lies below a mount, with the container and with each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui, dtui_json
from tui.core.errors import NotReachable
from tui.core.records import View
from tui.files import SeenTree
from tui.layers.changes import walk

pytestmark = pytest.mark.engine

DRIVERS = pytest.mark.parametrize("daemon", ["overlay2", "vfs"], indirect=True, scope="session")
SCRIPT = (
    "mkdir -p /vol/sub /tmpfs/t; echo v > /vol/sub/v; ln -s /etc/motd /vol/link; ln -s /vol/sub /to; echo b > /bind/b"
)


@pytest.fixture
def mounted(boxes: Boxes, tmp_path: Path) -> Iterator[Box]:
    """A running container with a volume, a bind mount and a tmpfs."""
    mounts = ("-v", "seen:/vol", "-v", f"{tmp_path}:/bind", "--tmpfs", "/tmpfs")
    yield boxes(SCRIPT, *mounts, alive=True)
    boxes.engine.docker("rm", "-f", "web")
    boxes.engine.docker("volume", "rm", "seen")


def paths(box: Box, top: bytes) -> list[str]:
    with closing(SeenTree(box.details)) as tree:
        return sorted(entry.path.decode() for _, entry in walk(tree, tree.resolve(top), View.MERGED, 0))


def tree(box: Box, path: str) -> list[str]:
    """Return the paths that the command line lists."""
    rows = dtui_json("-H", box.engine.host, "tree", f"web:{path}", "--view", "merged")
    return sorted(row["path"] for row in rows)


@DRIVERS
def test_running_tree_lists_what_container_lists(mounted: Box) -> None:
    for top in ("/vol", "/bind", "/tmpfs", "/srv", "/app"):
        assert tree(mounted, top) == sorted(mounted.sh(f"find {top} -mindepth 1").split()), top
    assert tree(mounted, "/to") == ["/vol/sub/v"]
    (file,) = dtui_json("-H", mounted.engine.host, "tree", "web:/vol/sub", "--view", "merged")
    assert (file["layer"], file["inside_mount"].endswith("/seen/_data")) == (None, True)


@DRIVERS
def test_stopped_tree_lists_volume(mounted: Box) -> None:
    mounted.stop()
    assert tree(mounted, "/vol") == ["/vol/link", "/vol/sub", "/vol/sub/v"]
    assert dtui("-H", mounted.engine.host, "cat", "web:/vol/sub/v") == b"v\n"
    assert {"/vol/sub/v", "/bind", "/tmpfs"} <= set(paths(mounted, b"/"))


@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_mount_of_host_is_named(mounted: Box, tmp_path: Path) -> None:
    mounted.stop()
    host = ("-H", mounted.engine.host)
    for words in (("cat", "web:/bind/b"), ("tree", "web:/bind", "--view", "merged")):
        answer = dtui(*host, *words, code=3).decode()
        assert "bind mount at /bind" in answer
        assert f"read {tmp_path} on the host, or start the container" in answer
    assert "start the container" in dtui(*host, "cat", "web:/tmpfs/t", code=3).decode()
    with closing(SeenTree(mounted.details)) as seen, pytest.raises(NotReachable):
        seen.children(b"/tmpfs", View.MERGED)


@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
@pytest.mark.promise("read-as-container")
def test_link_in_volume_reads_nothing_of_host(mounted: Box, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    mounted.sh(f"ln -s {tmp_path} /vol/out; ln -s {tmp_path}/secret /vol/file; ln -s ../../../../etc /vol/up")
    mounted.stop()
    for path in ("/vol/out/secret", "/vol/file", "/vol/up/shadow", "/vol/link"):
        dtui("-H", mounted.engine.host, "cat", f"web:{path}", code=1)
    for path in ("/vol/out", "/vol/up"):
        dtui("-H", mounted.engine.host, "tree", f"web:{path}", "--view", "merged", code=1)


@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_kernel_files_are_named_as_such(mounted: Box) -> None:
    for _ in ("running", "stopped"):
        for path in ("/proc/mounts", "/etc/mtab", "/proc/1/status", "/sys/kernel"):
            answer = dtui("-H", mounted.engine.host, "cat", f"web:{path}", code=1)
            assert b"a file of the kernel's" in answer, path
        mounted.stop()
